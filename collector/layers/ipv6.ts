import { DROP_IP_HEADER_TRUNCATED, DROP_IP_VERSION_INVALID } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { be32 } from '../word.ts'
import { notePlaces } from './ip-places.ts'
import {
  EXTENSION_BYTES_MIN,
  EXTENSION_HEADERS_MAX,
  extensionBytes,
  FRAGMENT,
  findIpv6Option,
  HOP_BY_HOP,
  isExtension,
} from './ipv6-extension.ts'
import { decodeTransport } from './transport.ts'

const IPV6_HEADER_BYTES = 40
const OPTION_JUMBO = 0xc2

/** IPv6 header (RFC 8200 section 3) and the extension headers after it (section 4). */
export function decodeIpv6(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const length = end - offset
  packet.drop = DROP_IP_HEADER_TRUNCATED
  if (length < 1) return
  if (bytes[offset]! >> 4 !== 6) {
    packet.drop = DROP_IP_VERSION_INVALID
    return
  }
  packet.ipVersion = 6
  if (length >= 6) packet.ipLength = IPV6_HEADER_BYTES + ((bytes[offset + 4]! << 8) | bytes[offset + 5]!)
  if (length >= 7) packet.protocol = bytes[offset + 6]!
  if (length >= 8) packet.ttl = bytes[offset + 7]!
  if (length >= 24) {
    packet.src0 = be32(bytes, offset + 8)
    packet.src1 = be32(bytes, offset + 12)
    packet.src2 = be32(bytes, offset + 16)
    packet.src3 = be32(bytes, offset + 20)
  }
  if (length < IPV6_HEADER_BYTES) return
  packet.dst0 = be32(bytes, offset + 24)
  packet.dst1 = be32(bytes, offset + 28)
  packet.dst2 = be32(bytes, offset + 32)
  packet.dst3 = be32(bytes, offset + 36)
  packet.drop = -1
  decodeExtensions(bytes, offset, end, packet)
}

function decodeExtensions(bytes: Uint8Array, start: number, captureEnd: number, packet: Packet): void {
  let end = Math.min(captureEnd, start + packet.ipLength)
  let offset = start + IPV6_HEADER_BYTES
  let next = packet.protocol
  // A payload length of zero before hop-by-hop options may be a jumbogram; its real length stands in an option.
  if (next === HOP_BY_HOP && packet.ipLength === IPV6_HEADER_BYTES) end = captureEnd
  for (let count = 0; isExtension(next); count++) {
    if (count === EXTENSION_HEADERS_MAX || end - offset < EXTENSION_BYTES_MIN) {
      packet.drop = DROP_IP_HEADER_TRUNCATED
      return
    }
    const headerBytes = extensionBytes(bytes, offset, next)
    if (next === FRAGMENT) {
      const fragment = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
      packet.fragmentOffset = fragment & 0xfff8
      // A second fragment header, which only a crafted packet has, does not take it back.
      if ((fragment & 0xfff9) !== 0) packet.isFragment = 1
    }
    if (headerBytes > end - offset) {
      packet.drop = DROP_IP_HEADER_TRUNCATED
      return
    }
    if (next === HOP_BY_HOP && packet.ipLength === IPV6_HEADER_BYTES) {
      const payloadLength = jumboPayloadLength(bytes, offset + 2, offset + headerBytes)
      if (payloadLength > 0) packet.ipLength = IPV6_HEADER_BYTES + payloadLength
      end = Math.min(captureEnd, start + packet.ipLength)
    }
    next = bytes[offset]!
    packet.protocol = next
    offset += headerBytes
    if (packet.fragmentOffset !== 0) return
  }
  if (offset > end) {
    packet.drop = DROP_IP_HEADER_TRUNCATED
    return
  }
  if (packet.decodeOptions !== 0) notePlaces(packet, start, offset, end)
  decodeTransport(bytes, offset, end, next, packet)
}

/**
 * The Jumbo Payload option (RFC 2675 section 2) among hop-by-hop options.
 * @returns its length, 0 without one
 */
function jumboPayloadLength(bytes: Uint8Array, start: number, end: number): number {
  const value = findIpv6Option(bytes, start, end, OPTION_JUMBO, 4)
  return value < 0 ? 0 : be32(bytes, value)
}
