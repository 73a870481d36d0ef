import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { be32 } from '../word.ts'
import { decodeIeee80211 } from './ieee80211.ts'

const PRISM_HEADER_BYTES = 144
/** Version and length. */
const AVS_HEADER_BYTES_MIN = 8
/** Upper bits of the AVS version word; the lower ones number the version. */
const AVS_MAGIC = 0x80211

/** LINKTYPE_IEEE802_11_PRISM: a Prism monitor header of fixed size or, told apart by its first word, an AVS header. */
export function decodePrism(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const isAvs = end - offset >= AVS_HEADER_BYTES_MIN && be32(bytes, offset) >>> 12 === AVS_MAGIC
  if (isAvs) decodeAvs(bytes, offset, end, packet)
  else if (end - offset < PRISM_HEADER_BYTES) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodeIeee80211(bytes, offset + PRISM_HEADER_BYTES, end, false, packet)
}

/** LINKTYPE_IEEE802_11_AVS: an AVS header, whose second word is its length, then the frame. */
export function decodeAvs(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const headerBytes = end - offset < AVS_HEADER_BYTES_MIN ? AVS_HEADER_BYTES_MIN : be32(bytes, offset + 4)
  if (end - offset < headerBytes) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else if (headerBytes < AVS_HEADER_BYTES_MIN) packet.drop = DROP_NOT_IP
  else decodeIeee80211(bytes, offset + headerBytes, end, false, packet)
}
