import { DROP_IP_HEADER_INVALID, DROP_IP_HEADER_TRUNCATED, DROP_IP_VERSION_INVALID } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { be32 } from '../word.ts'
import { notePlaces } from './ip-places.ts'
import { decodeTransport } from './transport.ts'

const IPV4_HEADER_BYTES = 20
const MAPPED_PREFIX = 0xffff

/** IPv4 header with options (RFC 791 section 3.1). Link-layer padding past the total length is not looked at. */
export function decodeIpv4(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < IPV4_HEADER_BYTES) {
    decodeIpv4Truncated(bytes, offset, end, packet)
    return
  }
  const first = bytes[offset]!
  if (first >> 4 !== 4) {
    packet.drop = DROP_IP_VERSION_INVALID
    return
  }
  packet.ipVersion = 4
  const headerBytes = (first & 15) * 4
  if (headerBytes < IPV4_HEADER_BYTES) {
    packet.drop = DROP_IP_HEADER_INVALID
    return
  }
  const totalLength = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  packet.ipLength = totalLength
  let packetEnd = offset + totalLength
  if (totalLength < headerBytes) {
    if (totalLength !== 0) {
      packet.drop = DROP_IP_HEADER_INVALID
      return
    }
    // Zero is what a host records of its own segments before the network card cuts them (TSO). The original length of
    // a record is not believed when it is less than what was captured.
    packetEnd = end
    packet.ipLength = Math.max(end - offset, packet.originalLength - (packet.capturedLength - (end - offset)))
  }
  if (packetEnd > end) packetEnd = end
  const fragment = (bytes[offset + 6]! << 8) | bytes[offset + 7]!
  const protocol = bytes[offset + 9]!
  packet.ipId = (bytes[offset + 4]! << 8) | bytes[offset + 5]!
  if (fragment !== 0) decodeFragmentField(fragment, packet)
  packet.ttl = bytes[offset + 8]!
  packet.protocol = protocol
  packet.src2 = MAPPED_PREFIX
  packet.src3 = be32(bytes, offset + 12)
  packet.dst2 = MAPPED_PREFIX
  packet.dst3 = be32(bytes, offset + 16)
  const payload = offset + headerBytes
  if (payload > packetEnd) {
    packet.drop = DROP_IP_HEADER_TRUNCATED
    return
  }
  if (packet.decodeOptions !== 0) notePlaces(packet, offset, payload, packetEnd)
  if (packet.fragmentOffset === 0) decodeTransport(bytes, payload, packetEnd, protocol, packet)
}

/** Flags and fragment offset; the offset counts 8-byte units. */
function decodeFragmentField(fragment: number, packet: Packet): void {
  packet.reservedFlag = fragment >> 15
  packet.dontFragment = (fragment >> 14) & 1
  packet.fragmentOffset = (fragment & 0x1fff) * 8
  packet.isFragment = (fragment & 0x3fff) !== 0 ? 1 : 0
}

/** A header that was cut: each field that is there in full is used. */
function decodeIpv4Truncated(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const length = end - offset
  packet.drop = DROP_IP_HEADER_TRUNCATED
  if (length < 1) return
  if (bytes[offset]! >> 4 !== 4) {
    packet.drop = DROP_IP_VERSION_INVALID
    return
  }
  packet.ipVersion = 4
  if ((bytes[offset]! & 15) * 4 < IPV4_HEADER_BYTES) {
    packet.drop = DROP_IP_HEADER_INVALID
    return
  }
  if (length >= 4) packet.ipLength = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  if (length >= 6) packet.ipId = (bytes[offset + 4]! << 8) | bytes[offset + 5]!
  if (length >= 8) decodeFragmentField((bytes[offset + 6]! << 8) | bytes[offset + 7]!, packet)
  if (length >= 9) packet.ttl = bytes[offset + 8]!
  if (length >= 10) packet.protocol = bytes[offset + 9]!
  if (length >= 16) {
    packet.src2 = MAPPED_PREFIX
    packet.src3 = be32(bytes, offset + 12)
  }
}
