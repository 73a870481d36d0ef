import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeAddressFamily } from './address-family.ts'

const FAMILY_BYTES = 4

/** LINKTYPE_NULL and LINKTYPE_LOOP: an address family in the byte order of the capturing host, then the packet. */
export function decodeLoopback(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < FAMILY_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  // Families are small numbers, so only one byte order makes one of them; the other half must be zero.
  const low = bytes[offset]! | (bytes[offset + 1]! << 8)
  const high = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  const family = high === 0 ? low : low === 0 ? high : -1
  decodeAddressFamily(bytes, offset + FAMILY_BYTES, end, family, packet)
}
