import { PROTOCOL } from '../../schemas/protocol.ts'
import type { Packet } from '../packet.ts'
import { be32 } from '../word.ts'
import { EXTENSION_BYTES_MIN, EXTENSION_HEADERS_MAX, extensionBytes, FRAGMENT, isExtension } from './ipv6-extension.ts'

const IPV4_HEADER_BYTES = 20
const IPV6_HEADER_BYTES = 40
const MAPPED_PREFIX = 0xffff

/**
 * The start of the packet that an ICMP error answers (RFC 792: its header and 8 bytes; RFC 1812: as much as fits). A
 * quotation too short to hold the destination is as good as none; lengths in it may have been rewritten on the way
 * and are not judged.
 */
export function decodeQuotedIpv4(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < IPV4_HEADER_BYTES) return
  const headerBytes = (bytes[offset]! & 15) * 4
  if (bytes[offset]! >> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return
  packet.quotedVersion = 4
  packet.quotedDst2 = MAPPED_PREFIX
  packet.quotedDst3 = be32(bytes, offset + 16)
  packet.quotedProtocol = bytes[offset + 9]!
  const isLaterFragment = (((bytes[offset + 6]! << 8) | bytes[offset + 7]!) & 0x1fff) !== 0
  if (!isLaterFragment) decodeQuotedPorts(bytes, offset + headerBytes, end, packet)
}

/**
 * The same for ICMPv6 (RFC 4443 section 2.4). The protocol is that behind the extension headers, as far as they are
 * quoted.
 */
export function decodeQuotedIpv6(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < IPV6_HEADER_BYTES || bytes[offset]! >> 4 !== 6) return
  packet.quotedVersion = 6
  packet.quotedDst0 = be32(bytes, offset + 24)
  packet.quotedDst1 = be32(bytes, offset + 28)
  packet.quotedDst2 = be32(bytes, offset + 32)
  packet.quotedDst3 = be32(bytes, offset + 36)
  packet.quotedProtocol = bytes[offset + 6]!
  decodeQuotedExtensions(bytes, offset + IPV6_HEADER_BYTES, end, packet)
}

function decodeQuotedExtensions(bytes: Uint8Array, start: number, end: number, packet: Packet): void {
  let offset = start
  for (let count = 0; isExtension(packet.quotedProtocol); count++) {
    if (count === EXTENSION_HEADERS_MAX || end - offset < EXTENSION_BYTES_MIN) return
    const type = packet.quotedProtocol
    const isLaterFragment = type === FRAGMENT && (((bytes[offset + 2]! << 8) | bytes[offset + 3]!) & 0xfff8) !== 0
    packet.quotedProtocol = bytes[offset]!
    if (isLaterFragment) return
    offset += extensionBytes(bytes, offset, type)
  }
  decodeQuotedPorts(bytes, offset, end, packet)
}

function decodeQuotedPorts(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (packet.quotedProtocol !== PROTOCOL.tcp && packet.quotedProtocol !== PROTOCOL.udp) return
  if (end - offset < 4) return
  packet.quotedSrcPort = (bytes[offset]! << 8) | bytes[offset + 1]!
  packet.quotedDstPort = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
}
