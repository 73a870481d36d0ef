import type { Packet } from '../packet.ts'
import { enterTunnel, hasTunnelBytes, TRANSPARENT_ETHERNET } from './tunnel-header.ts'

/** GRE protocol types (draft-foschiano-erspan section 4). */
export const ERSPAN_I_II = 0x88be
export const ERSPAN_III = 0x22eb

const HEADER_II_BYTES = 8
const HEADER_III_BYTES = 12
const PLATFORM_SUBHEADER_BYTES = 8
const VERSION_II = 1
const VERSION_III = 2

/**
 * ERSPAN: a mirrored Ethernet frame behind a GRE header that was entered. Type I has no header of its own and no GRE
 * sequence number; type II has both; type III may have a platform subheader, and can carry frames that are no Ethernet.
 * @returns false: see enterGre
 */
export function enterErspan(bytes: Uint8Array, packet: Packet, hasSequence: boolean): boolean {
  const isTypeIII = packet.payloadType === ERSPAN_III
  if (!isTypeIII && !hasSequence) return enterTunnel(packet, 0, TRANSPARENT_ETHERNET)
  if (!hasTunnelBytes(packet, isTypeIII ? HEADER_III_BYTES : HEADER_II_BYTES)) return false
  const at = packet.payloadOffset
  const version = bytes[at]! >> 4
  if (!isTypeIII) return version === VERSION_II && enterTunnel(packet, HEADER_II_BYTES, TRANSPARENT_ETHERNET)
  const frameType = (bytes[at + 10]! >> 2) & 0x1f
  if (version !== VERSION_III || frameType !== 0) return false
  const hasSubheader = (bytes[at + 11]! & 1) !== 0
  return enterTunnel(packet, HEADER_III_BYTES + (hasSubheader ? PLATFORM_SUBHEADER_BYTES : 0), TRANSPARENT_ETHERNET)
}
