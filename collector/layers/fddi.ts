import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeLlc } from './ethertype.ts'

/** Frame control, destination, source. */
const HEADER_BYTES = 13
/** Asynchronous, long addresses, LLC; the low bits are a priority. */
const FORMAT = 0xf0
const FORMAT_LLC = 0x50

/** FDDI (ANSI X3.139 section 7), then LLC (RFC 1390). */
export function decodeFddi(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < HEADER_BYTES) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else if ((bytes[offset]! & FORMAT) !== FORMAT_LLC) packet.drop = DROP_NOT_IP
  else decodeLlc(bytes, offset + HEADER_BYTES, end, packet)
}
