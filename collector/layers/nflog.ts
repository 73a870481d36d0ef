import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeAddressFamily } from './address-family.ts'

/** Address family, version, resource. */
const HEADER_BYTES = 4
/** Length, which counts these four bytes, and type. */
const ATTRIBUTE_HEADER_BYTES = 4
const ATTRIBUTE_PAYLOAD = 9

/**
 * LINKTYPE_NFLOG: a family, then attributes, of which one is the packet. Their numbers are in the byte order of the
 * capturing host. A type is a small number, so only one order makes one of it.
 */
export function decodeNflog(bytes: Uint8Array, start: number, end: number, packet: Packet): void {
  packet.drop = DROP_LINK_HEADER_TRUNCATED
  let offset = start + HEADER_BYTES
  while (end - offset >= ATTRIBUTE_HEADER_BYTES) {
    const isLittleEndian = bytes[offset + 3] === 0
    const high = bytes[isLittleEndian ? offset + 1 : offset]!
    const low = bytes[isLittleEndian ? offset : offset + 1]!
    const length = (high << 8) | low
    const type = isLittleEndian ? bytes[offset + 2] : bytes[offset + 2] === 0 ? bytes[offset + 3] : -1
    if (length < ATTRIBUTE_HEADER_BYTES) {
      packet.drop = DROP_NOT_IP
      return
    }
    if (type === ATTRIBUTE_PAYLOAD) {
      packet.drop = -1
      const payload = offset + ATTRIBUTE_HEADER_BYTES
      decodeAddressFamily(bytes, payload, Math.min(end, offset + length), bytes[start]!, packet)
      return
    }
    offset += (length + 3) & ~3
  }
  // Without an attribute that reaches beyond the capture, the record has no packet.
  if (offset === end && end - start >= HEADER_BYTES) packet.drop = DROP_NOT_IP
}
