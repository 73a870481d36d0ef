import { DROP_TUNNEL_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'

/** Ethertype of a whole Ethernet frame (RFC 1701: transparent Ethernet bridging). */
export const TRANSPARENT_ETHERNET = 0x6558
/** Ethertype of a PPP frame (RFC 2637). */
export const TUNNELLED_PPP = 0x880b
/** Below this a number is no ethertype (IEEE 802.3 clause 3.2.6). */
export const ETHERTYPE_MIN = 0x0600

/**
 * Whether so many bytes of a tunnel header are there, from `payloadOffset` on. When it is the capture that ends before
 * them the packet is dropped; when the packet itself does, it is no tunnel and stays what it is.
 */
export function hasTunnelBytes(packet: Packet, byteCount: number): boolean {
  if (packet.payloadEnd - packet.payloadOffset >= byteCount) return true
  const isCut = packet.ipLength > packet.payloadEnd - packet.ipOffset
  if (isCut) packet.drop = DROP_TUNNEL_HEADER_TRUNCATED
  return false
}

/** Moves the payload of the packet behind a tunnel header that is there. */
export function enterTunnel(packet: Packet, headerBytes: number, type: number): boolean {
  if (!hasTunnelBytes(packet, headerBytes)) return false
  packet.payloadOffset += headerBytes
  packet.payloadType = type
  return true
}
