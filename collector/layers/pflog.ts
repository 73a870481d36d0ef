import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeAddressFamily } from './address-family.ts'

/** Up to the fields that every version of it has: length, family, action, reason, interface, rule set, two numbers. */
const HEADER_BYTES_MIN = 45

/** LINKTYPE_PFLOG: the log of the packet filter of BSD; its length, filled up to words, and family stand first. */
export function decodePflog(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const headerBytes = end > offset ? (bytes[offset]! + 3) & ~3 : HEADER_BYTES_MIN
  if (end - offset < headerBytes) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else if (headerBytes < HEADER_BYTES_MIN) packet.drop = DROP_NOT_IP
  else decodeAddressFamily(bytes, offset + headerBytes, end, bytes[offset + 1]!, packet)
}
