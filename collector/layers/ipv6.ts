import { DROP_IP_HEADER_TRUNCATED, DROP_IP_VERSION_INVALID } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { be32 } from '../word.ts'
import { decodeTransport } from './transport.ts'

const IPV6_HEADER_BYTES = 40
const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION_OPTIONS = 60
const MOBILITY = 135
const HIP = 139
const SHIM6 = 140
const OPTION_PAD1 = 0
const OPTION_JUMBO = 0xc2
/** Extension headers of one packet that are looked through; RFC 8504 section 5.3 lets a host stop far earlier. */
const EXTENSION_HEADERS_MAX = 64

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
    if (count === EXTENSION_HEADERS_MAX || end - offset < 8) {
      packet.drop = DROP_IP_HEADER_TRUNCATED
      return
    }
    let headerBytes = (bytes[offset + 1]! + 1) * 8
    if (next === FRAGMENT) {
      headerBytes = 8
      const fragment = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
      packet.fragmentOffset = fragment & 0xfff8
      packet.isFragment = (fragment & 0xfff9) !== 0 ? 1 : 0
    } else if (next === AUTHENTICATION) {
      // RFC 4302 section 2.2: counted in 4-byte words, minus 2.
      headerBytes = (bytes[offset + 1]! + 2) * 4
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
  if (offset > end) packet.drop = DROP_IP_HEADER_TRUNCATED
  else decodeTransport(bytes, offset, end, next, packet)
}

function isExtension(next: number): boolean {
  switch (next) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
    case MOBILITY:
    case HIP:
    case SHIM6:
      return true
    default:
      return false
  }
}

/**
 * The Jumbo Payload option (RFC 2675 section 2) among hop-by-hop options.
 * @returns its length, 0 without one
 */
function jumboPayloadLength(bytes: Uint8Array, start: number, end: number): number {
  let offset = start
  while (offset < end) {
    const type = bytes[offset]!
    if (type === OPTION_PAD1) {
      offset++
      continue
    }
    if (end - offset < 2) return 0
    const length = bytes[offset + 1]!
    if (type === OPTION_JUMBO && length === 4 && end - offset >= 6) return be32(bytes, offset + 2)
    offset += 2 + length
  }
  return 0
}
