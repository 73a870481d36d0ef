import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

const FAMILY_BYTES = 4
const AF_INET = 2
/** AF_INET6 of Linux, of NetBSD and OpenBSD, of FreeBSD, and of Darwin. */
const AF_INET6: readonly number[] = [10, 24, 28, 30]

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
  if (family === AF_INET) decodeIpv4(bytes, offset + FAMILY_BYTES, end, packet)
  else if (AF_INET6.includes(family)) decodeIpv6(bytes, offset + FAMILY_BYTES, end, packet)
  else packet.drop = DROP_NOT_IP
}
