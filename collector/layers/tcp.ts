import { TCP_FLAG } from '../../schemas/protocol.ts'
import { DROP_TRANSPORT_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { be32 } from '../word.ts'

const TCP_HEADER_BYTES = 20
const OPTION_END = 0
const OPTION_NOP = 1
const OPTION_MSS = 2
const OPTION_WINDOW_SCALE = 3
/** Options that the SYN profile has room for. */
const OPTIONS_KEPT = 6
/** A kind has four bits in the profile. */
const OPTION_KIND_MAX = 15

/**
 * TCP header (RFC 9293 section 3.1). With ports but no flags, as in an ICMP-sized capture or a tiny fragment, the
 * packet is good: ports are known.
 */
export function decodeTcp(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const length = end - offset
  if (length < TCP_HEADER_BYTES) {
    decodeTcpTruncated(bytes, offset, length, packet)
    return
  }
  packet.srcPort = (bytes[offset]! << 8) | bytes[offset + 1]!
  packet.dstPort = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  packet.tcpSeq = be32(bytes, offset + 4)
  packet.tcpAck = be32(bytes, offset + 8)
  const flags = ((bytes[offset + 12]! << 8) | bytes[offset + 13]!) & 0xfff
  packet.tcpFlags = flags
  packet.tcpWindow = (bytes[offset + 14]! << 8) | bytes[offset + 15]!
  const headerBytes = (bytes[offset + 12]! >> 4) * 4
  if (headerBytes !== TCP_HEADER_BYTES && (flags & TCP_FLAG.syn) !== 0) {
    decodeTcpOptions(bytes, offset + TCP_HEADER_BYTES, offset + headerBytes, end, packet)
  }
}

function decodeTcpTruncated(bytes: Uint8Array, offset: number, length: number, packet: Packet): void {
  if (length < 4) {
    packet.drop = DROP_TRANSPORT_TRUNCATED
    return
  }
  packet.srcPort = (bytes[offset]! << 8) | bytes[offset + 1]!
  packet.dstPort = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  if (length >= 8) {
    packet.tcpSeq = be32(bytes, offset + 4)
  }
  if (length >= 12) packet.tcpAck = be32(bytes, offset + 8)
  if (length >= 14) {
    packet.tcpFlags = ((bytes[offset + 12]! << 8) | bytes[offset + 13]!) & 0xfff
    if (bytes[offset + 12]! >> 4 !== TCP_HEADER_BYTES / 4) packet.tcpOptionsOverflow = 1
  }
  if (length >= 16) packet.tcpWindow = (bytes[offset + 14]! << 8) | bytes[offset + 15]!
}

/** The options of a SYN (RFC 9293 section 3.2, RFC 7323), summed up for the SYN profile; fields must be cleared. */
export function decodeTcpOptions(
  bytes: Uint8Array,
  start: number,
  headerEnd: number,
  end: number,
  packet: Packet,
): void {
  // A data offset below 5 ends before it starts: malformed, and so marked.
  if (headerEnd < start || headerEnd > end) packet.tcpOptionsOverflow = 1
  const optionsEnd = headerEnd < end ? headerEnd : end
  let kinds = 0
  let offset = start
  for (let count = 0; offset < optionsEnd; count++) {
    const kind = bytes[offset]!
    if (kind === OPTION_END) break
    const length = kind === OPTION_NOP ? 1 : optionsEnd - offset >= 2 ? bytes[offset + 1]! : 0
    if (count === OPTIONS_KEPT || length === 0 || (kind !== OPTION_NOP && length < 2) || length > optionsEnd - offset) {
      packet.tcpOptionsOverflow = 1
      break
    }
    kinds |= (kind < OPTION_KIND_MAX ? kind : OPTION_KIND_MAX) << (4 * count)
    if (kind === OPTION_MSS && length === 4) packet.tcpMss = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
    else if (kind === OPTION_WINDOW_SCALE && length === 3) packet.tcpWindowScale = bytes[offset + 2]!
    offset += length
  }
  packet.tcpOptionKinds = kinds
}
