import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeEthertype } from './ethertype.ts'

const GLOBAL_ROUTE_HEADER_BYTES = 40
/** Ethertype and two reserved bytes (RFC 4391 section 6). */
const ENCAPSULATION_BYTES = 4

/** LINKTYPE_IPOIB: a global route header of InfiniBand, then IP over InfiniBand. */
export function decodeIpoib(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const at = offset + GLOBAL_ROUTE_HEADER_BYTES
  if (end - at < ENCAPSULATION_BYTES) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodeEthertype(bytes, at + ENCAPSULATION_BYTES, end, (bytes[at]! << 8) | bytes[at + 1]!, packet)
}
