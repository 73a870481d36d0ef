import { DROP_TRANSPORT_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeQuotedIpv4 } from './quoted-packet.ts'

const ICMP_HEADER_BYTES = 8
const UNREACHABLE = 3
const SOURCE_QUENCH = 4
const REDIRECT = 5
const TIME_EXCEEDED = 11
const PARAMETER_PROBLEM = 12

/** ICMP type and code, and the packet that an error message quotes (RFC 792). */
export function decodeIcmp(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end > offset) packet.icmpType = bytes[offset]!
  if (end - offset < 2) {
    packet.drop = DROP_TRANSPORT_TRUNCATED
    return
  }
  packet.icmpCode = bytes[offset + 1]!
  if (quotesPacket(packet.icmpType)) decodeQuotedIpv4(bytes, offset + ICMP_HEADER_BYTES, end, packet)
}

/** True for the error messages, which quote the packet that they answer. */
export function quotesPacket(type: number): boolean {
  switch (type) {
    case UNREACHABLE:
    case SOURCE_QUENCH:
    case REDIRECT:
    case TIME_EXCEEDED:
    case PARAMETER_PROBLEM:
      return true
    default:
      return false
  }
}
