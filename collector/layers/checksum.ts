import { PROTOCOL } from '../../schemas/protocol.ts'
import { DROP_IP_CHECKSUM_INVALID, DROP_TRANSPORT_CHECKSUM_INVALID } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { GENEVE_PORT } from './geneve.ts'
import { DESTINATION_OPTIONS, extensionBytes, findIpv6Option, ROUTING } from './ipv6-extension.ts'
import { VXLAN_PORT } from './vxlan.ts'

const IPV6_HEADER_BYTES = 40
const TCP_HEADER_BYTES = 20
const UDP_HEADER_BYTES = 8
const ICMP_HEADER_BYTES_MIN = 4
const OPTION_HOME_ADDRESS = 0xc9
/** A sum over a right checksum: minus zero in one's complement (RFC 1071). */
const SUM_RIGHT = 0xffff

/**
 * Gives a packet without drop reason one when a checksum in it is wrong. The IPv4 header is judged when it is there,
 * TCP, UDP, ICMP and ICMPv6 when all of the packet is there, it is no fragment, and it says what its checksum covers.
 * Costs a pass over the packet.
 */
export function verifyChecksums(bytes: Uint8Array, packet: Packet): void {
  const { ipOffset, payloadOffset, payloadEnd, ipVersion } = packet
  // A later IPv6 fragment has no checksum of its own, and no place for it.
  if (payloadOffset === 0) return
  if (ipVersion === 4 && fold(sum(bytes, ipOffset, payloadOffset)) !== SUM_RIGHT) {
    packet.drop = DROP_IP_CHECKSUM_INVALID
    return
  }
  if (packet.isFragment !== 0 || packet.ipLength !== payloadEnd - ipOffset) return
  // Recorded before the network card cut it into segments: it made the checksums of these only.
  const isOffloaded = ipVersion === 4 && (bytes[ipOffset + 2]! | bytes[ipOffset + 3]!) === 0
  if (isOffloaded || (ipVersion === 6 && hasOtherEndpoint(bytes, packet))) return
  if (!isTransportRight(bytes, packet)) packet.drop = DROP_TRANSPORT_CHECKSUM_INVALID
}

/** True also where there is nothing to judge. */
function isTransportRight(bytes: Uint8Array, packet: Packet): boolean {
  const { payloadOffset: offset, payloadEnd: end, ipVersion } = packet
  switch (packet.protocol) {
    case PROTOCOL.tcp:
      return end - offset < TCP_HEADER_BYTES || isSumRight(bytes, packet, end)
    case PROTOCOL.udp:
      return end - offset < UDP_HEADER_BYTES || isUdpRight(bytes, packet)
    case PROTOCOL.icmp:
      if (ipVersion !== 4 || end - offset < ICMP_HEADER_BYTES_MIN) return true
      return fold(sum(bytes, offset, end)) === SUM_RIGHT
    case PROTOCOL.icmpv6:
      return ipVersion !== 6 || end - offset < ICMP_HEADER_BYTES_MIN || isSumRight(bytes, packet, end)
    default:
      return true
  }
}

/** The UDP length says what the checksum covers; one that cannot be leaves nothing to judge. */
function isUdpRight(bytes: Uint8Array, packet: Packet): boolean {
  const { payloadOffset: offset, payloadEnd: end, ipVersion, dstPort } = packet
  const isMissing = (bytes[offset + 6]! | bytes[offset + 7]!) === 0
  // RFC 768: none was made. In IPv6 only tunnels may do so (RFC 8200 section 8.1, RFC 6935).
  if (isMissing) return ipVersion === 4 || dstPort === VXLAN_PORT || dstPort === GENEVE_PORT
  const length = (bytes[offset + 4]! << 8) | bytes[offset + 5]!
  // RFC 2675 section 4: a jumbogram's is zero, and its checksum covers all of it.
  if (length === 0 && ipVersion === 6) return isSumRight(bytes, packet, end)
  if (length < UDP_HEADER_BYTES || length > end - offset) return true
  return isSumRight(bytes, packet, offset + length)
}

/** Over the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) and the payload up to `end`. */
function isSumRight(bytes: Uint8Array, packet: Packet, end: number): boolean {
  const { payloadOffset: offset, src0, src1, src2, src3, dst0, dst1, dst2, dst3 } = packet
  // A word of 32 bits counts as the sum of its halves, since 65 536 is 1 in one's complement; and the 0xffff that
  // stands before a mapped IPv4 address counts as nothing.
  const addresses = src0 + src1 + src2 + src3 + dst0 + dst1 + dst2 + dst3
  return fold(addresses + (end - offset) + packet.protocol + sum(bytes, offset, end)) === SUM_RIGHT
}

/** Sum of the 16-bit words; an odd last byte is the upper half of one. */
function sum(bytes: Uint8Array, start: number, end: number): number {
  let total = 0
  let offset = start
  for (; end - offset >= 2; offset += 2) total += (bytes[offset]! << 8) | bytes[offset + 1]!
  return offset < end ? total + (bytes[offset]! << 8) : total
}

/** The one's complement sum of 16 bits, 1 to 65 535 for any total above zero. */
function fold(total: number): number {
  let folded = total
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000)
  return folded
}

/**
 * True when the pseudo-header has other addresses than the IPv6 header: the packet has segments of a source route
 * before it (RFC 8200 section 8.1), or a home address (RFC 6275 section 11.3.1).
 */
function hasOtherEndpoint(bytes: Uint8Array, packet: Packet): boolean {
  let type = bytes[packet.ipOffset + 6]!
  let offset = packet.ipOffset + IPV6_HEADER_BYTES
  while (offset < packet.payloadOffset) {
    const end = offset + extensionBytes(bytes, offset, type)
    const hasSegmentsLeft = type === ROUTING && bytes[offset + 3] !== 0
    const hasHomeAddress =
      type === DESTINATION_OPTIONS && findIpv6Option(bytes, offset + 2, end, OPTION_HOME_ADDRESS, 16) >= 0
    if (hasSegmentsLeft || hasHomeAddress) return true
    type = bytes[offset]!
    offset = end
  }
  return false
}
