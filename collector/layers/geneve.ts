import type { Packet } from '../packet.ts'
import { ETHERTYPE_MIN, enterTunnel, hasTunnelBytes } from './tunnel-header.ts'

export const GENEVE_PORT = 6081

const GENEVE_HEADER_BYTES = 8
const CONTROL = 0x80

/**
 * GENEVE (RFC 8926 section 3.4): version, length of the options in words, flags, ethertype; in the payload of UDP. A
 * control packet carries no traffic.
 * @returns false: see enterGre
 */
export function enterGeneve(bytes: Uint8Array, packet: Packet): boolean {
  if (!hasTunnelBytes(packet, GENEVE_HEADER_BYTES)) return false
  const at = packet.payloadOffset
  const version = bytes[at]! >> 6
  const optionBytes = (bytes[at]! & 0x3f) * 4
  const type = (bytes[at + 2]! << 8) | bytes[at + 3]!
  if (version !== 0 || (bytes[at + 1]! & CONTROL) !== 0 || type < ETHERTYPE_MIN) return false
  return enterTunnel(packet, GENEVE_HEADER_BYTES + optionBytes, type)
}
