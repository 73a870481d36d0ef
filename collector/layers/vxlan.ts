import type { Packet } from '../packet.ts'
import { enterTunnel, hasTunnelBytes, TRANSPARENT_ETHERNET } from './tunnel-header.ts'

export const VXLAN_PORT = 4789

const VXLAN_HEADER_BYTES = 8
/** The identifier is valid; without it the header means nothing. All other bits are ignored on receipt. */
const FLAG_IDENTIFIER = 0x08

/**
 * VXLAN (RFC 7348 section 5): an Ethernet frame, in the payload of UDP.
 * @returns false: see enterGre
 */
export function enterVxlan(bytes: Uint8Array, packet: Packet): boolean {
  if (!hasTunnelBytes(packet, VXLAN_HEADER_BYTES)) return false
  const isVxlan = (bytes[packet.payloadOffset]! & FLAG_IDENTIFIER) !== 0
  return isVxlan && enterTunnel(packet, VXLAN_HEADER_BYTES, TRANSPARENT_ETHERNET)
}
