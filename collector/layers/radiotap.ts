import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { le32 } from '../word.ts'
import { decodeIeee80211, endBeforeFcs } from './ieee80211.ts'

/** Version, padding, length, first word of which fields are present. */
const HEADER_BYTES_MIN = 8
const PRESENT_TSFT = 1
const PRESENT_FLAGS = 2
const TSFT_BYTES = 8
const FLAG_FCS = 0x10
const FLAG_DATA_PAD = 0x20

/** Radiotap header (radiotap.org), then an IEEE 802.11 frame as its flags field describes it. Little-endian. */
export function decodeRadiotap(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const headerBytes = end - offset < HEADER_BYTES_MIN ? 0 : bytes[offset + 2]! | (bytes[offset + 3]! << 8)
  if (end - offset < HEADER_BYTES_MIN || end - offset < headerBytes) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  if (bytes[offset] !== 0 || headerBytes < HEADER_BYTES_MIN) {
    packet.drop = DROP_NOT_IP
    return
  }
  const frame = offset + headerBytes
  const flags = radiotapFlags(bytes, offset, frame)
  const frameEnd = (flags & FLAG_FCS) !== 0 ? endBeforeFcs(frame, end, packet) : end
  decodeIeee80211(bytes, frame, frameEnd, (flags & FLAG_DATA_PAD) !== 0, packet)
}

/** The flags field, 0 without one. Fields stand in the order of their bits, each at a multiple of its size. */
function radiotapFlags(bytes: Uint8Array, start: number, end: number): number {
  const present = le32(bytes, start + 4)
  if ((present & PRESENT_FLAGS) === 0) return 0
  let offset = start + HEADER_BYTES_MIN
  // The highest bit of each word says that another one follows.
  for (let hasMore = present >>> 31; hasMore === 1 && offset + 4 <= end; offset += 4) hasMore = bytes[offset + 3]! >> 7
  if ((present & PRESENT_TSFT) !== 0) offset = start + ((offset - start + 7) & ~7) + TSFT_BYTES
  return offset < end ? bytes[offset]! : 0
}
