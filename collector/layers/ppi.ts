import { DROP_LINK_HEADER_TRUNCATED, DROP_LINK_TYPE_UNSUPPORTED, DROP_NOT_IP } from '../drop.ts'
import { LINK_ETHERNET, LINK_IEEE80211 } from '../link-type.ts'
import type { Packet } from '../packet.ts'
import { le32 } from '../word.ts'
import { decodeEthernet } from './ethernet.ts'
import { decodeIeee80211, endBeforeFcs } from './ieee80211.ts'

/** Version, flags, length, link type. */
const HEADER_BYTES = 8
/** Type and length of a field. */
const FIELD_HEADER_BYTES = 4
const FIELD_80211_COMMON = 2
const COMMON_FLAGS_OFFSET = 8
const COMMON_FLAG_FCS = 1

/** Per-Packet Information (CACE's PPI specification 1.0.7): fields about a frame, then the frame. Little-endian. */
export function decodePpi(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const headerBytes = end - offset < HEADER_BYTES ? HEADER_BYTES : bytes[offset + 2]! | (bytes[offset + 3]! << 8)
  if (end - offset < headerBytes) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  if (bytes[offset] !== 0 || headerBytes < HEADER_BYTES) {
    packet.drop = DROP_NOT_IP
    return
  }
  const linkType = le32(bytes, offset + 4)
  const frame = offset + headerBytes
  if (linkType === LINK_IEEE80211) {
    const frameEnd = hasFcs(bytes, offset + HEADER_BYTES, frame) ? endBeforeFcs(frame, end, packet) : end
    decodeIeee80211(bytes, frame, frameEnd, false, packet)
  } else if (linkType === LINK_ETHERNET) decodeEthernet(bytes, frame, end, packet)
  else packet.drop = DROP_LINK_TYPE_UNSUPPORTED
}

/** The flag in the first 802.11-Common field. */
function hasFcs(bytes: Uint8Array, start: number, end: number): boolean {
  let offset = start
  while (end - offset >= FIELD_HEADER_BYTES) {
    const type = bytes[offset]! | (bytes[offset + 1]! << 8)
    const length = bytes[offset + 2]! | (bytes[offset + 3]! << 8)
    const value = offset + FIELD_HEADER_BYTES
    if (type === FIELD_80211_COMMON) {
      return end - value > COMMON_FLAGS_OFFSET && (bytes[value + COMMON_FLAGS_OFFSET]! & COMMON_FLAG_FCS) !== 0
    }
    offset = value + length
  }
  return false
}
