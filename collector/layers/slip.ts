import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeRawIp } from './raw-ip.ts'

/** Direction, and what stood in place of a compressed TCP header (RFC 1144), which the capture has in full. */
const SLIP_HEADER_BYTES = 16

/** LINKTYPE_SLIP: a header of the capturing host, then the IP packet. */
export function decodeSlip(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < SLIP_HEADER_BYTES) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodeRawIp(bytes, offset + SLIP_HEADER_BYTES, end, packet)
}
