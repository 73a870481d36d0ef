import { DROP_TRANSPORT_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeQuotedIpv6 } from './quoted-packet.ts'

const ICMPV6_HEADER_BYTES = 8
/** Types 1 to 127 are errors (RFC 4443 section 2.1), of which these four are defined. */
const ERROR_FIRST = 1
const ERROR_LAST = 4

/** ICMPv6 type and code, and the packet that an error message quotes (RFC 4443). */
export function decodeIcmpv6(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end > offset) packet.icmpType = bytes[offset]!
  if (end - offset < 2) {
    packet.drop = DROP_TRANSPORT_TRUNCATED
    return
  }
  packet.icmpCode = bytes[offset + 1]!
  if (packet.icmpType >= ERROR_FIRST && packet.icmpType <= ERROR_LAST) {
    decodeQuotedIpv6(bytes, offset + ICMPV6_HEADER_BYTES, end, packet)
  }
}
