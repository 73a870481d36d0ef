import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

/** Labels in one stack that are looked through; real stacks have up to about ten. */
const LABEL_DEPTH_MAX = 32

/**
 * MPLS label stack (RFC 3032). Nothing in it names the payload: as routers do (RFC 4928), the first nibble after the
 * bottom of the stack decides between IPv4 and IPv6, and anything else is not IP.
 */
export function decodeMpls(bytes: Uint8Array, start: number, end: number, packet: Packet): void {
  let offset = start
  for (let depth = 0; depth < LABEL_DEPTH_MAX; depth++) {
    if (end - offset < 4) {
      packet.drop = DROP_LINK_HEADER_TRUNCATED
      return
    }
    const isBottom = (bytes[offset + 2]! & 1) === 1
    offset += 4
    if (!isBottom) continue
    if (offset === end) {
      packet.drop = DROP_LINK_HEADER_TRUNCATED
      return
    }
    const nibble = bytes[offset]! >> 4
    if (nibble === 4) decodeIpv4(bytes, offset, end, packet)
    else if (nibble === 6) decodeIpv6(bytes, offset, end, packet)
    else packet.drop = DROP_NOT_IP
    return
  }
  packet.drop = DROP_NOT_IP
}
