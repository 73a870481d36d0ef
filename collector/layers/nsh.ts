import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

const BASE_HEADER_BYTES = 4
const NEXT_IPV4 = 1
const NEXT_IPV6 = 2

/** Network service header (RFC 8300 section 2.2): length in 4-byte words, next protocol. */
export function decodeNsh(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const headerBytes = end - offset < BASE_HEADER_BYTES ? BASE_HEADER_BYTES : (bytes[offset + 1]! & 0x3f) * 4
  if (end - offset < headerBytes) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const next = headerBytes < BASE_HEADER_BYTES ? 0 : bytes[offset + 3]!
  if (next === NEXT_IPV4) decodeIpv4(bytes, offset + headerBytes, end, packet)
  else if (next === NEXT_IPV6) decodeIpv6(bytes, offset + headerBytes, end, packet)
  else packet.drop = DROP_NOT_IP
}
