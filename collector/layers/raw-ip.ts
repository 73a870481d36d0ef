import { DROP_IP_HEADER_TRUNCATED, DROP_IP_VERSION_INVALID } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

/** LINKTYPE_RAW: the packet begins with its IP header, whose version field says which. */
export function decodeRawIp(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (offset >= end) {
    packet.drop = DROP_IP_HEADER_TRUNCATED
    return
  }
  const version = bytes[offset]! >> 4
  if (version === 4) decodeIpv4(bytes, offset, end, packet)
  else if (version === 6) decodeIpv6(bytes, offset, end, packet)
  else packet.drop = DROP_IP_VERSION_INVALID
}
