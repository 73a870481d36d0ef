import { PROTOCOL } from '../../schemas/protocol.ts'
import type { Packet } from '../packet.ts'
import { decodeIcmp } from './icmp.ts'
import { decodeIcmpv6 } from './icmpv6.ts'
import { decodeTcp } from './tcp.ts'
import { decodeUdp } from './udp.ts'

/** The header after the IP headers of a whole packet or a first fragment; other protocols have nothing that we use. */
export function decodeTransport(
  bytes: Uint8Array,
  offset: number,
  end: number,
  protocol: number,
  packet: Packet,
): void {
  if (protocol === PROTOCOL.tcp) decodeTcp(bytes, offset, end, packet)
  else if (protocol === PROTOCOL.udp) decodeUdp(bytes, offset, end, packet)
  else if (protocol === PROTOCOL.icmp) decodeIcmp(bytes, offset, end, packet)
  else if (protocol === PROTOCOL.icmpv6) decodeIcmpv6(bytes, offset, end, packet)
}
