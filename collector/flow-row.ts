import { SPOOF_BITS, TOOLS } from '../schemas/tool.ts'

/**
 * How a flow lies in the flow table: ROW_WORDS 32-bit words, keys first. The table writes by these names, the column
 * fillers read by them.
 */

/** Number of the interval: Unix seconds / 60. */
export const ROW_INTERVAL = 0
/** Four words, most significant first; IPv4 as IPv4-mapped. */
export const ROW_SRC = 1
export const ROW_DST_INDEX_HIGH = 5
export const ROW_DST_INDEX_LOW = 6
/** Bits 0-7 protocol, 8-15 TTL, 16-19 IP version, 20-23 class, 24-27 slot. */
export const ROW_HEADER = 7
export const HEADER_TTL_SHIFT = 8
export const HEADER_VERSION_SHIFT = 16
export const HEADER_CLASS_SHIFT = 20
export const HEADER_SLOT_SHIFT = 24
/** Bits 0-15 service port, 16-31 peer port. */
export const ROW_PORTS = 8
export const ROW_TCP_FLAGS = 9
export const ROW_SYN_PROFILE_LOW = 10
export const ROW_SYN_PROFILE_HIGH = 11
/** Four words, as the source. */
export const ROW_VICTIM = 12
export const ROW_KEY_WORDS = 16

export const ROW_PACKET_COUNT = 16
export const ROW_BYTES_LOW = 17
export const ROW_BYTES_HIGH = 18
/** Bits 0-7 first second of the interval, 8-15 last second, 16-31 sampled source port. */
export const ROW_NOTES = 19
/**
 * Signs of its packets: one bit each (SIGN_*). As long as all packets of the flow agree, each count is packet_count
 * or 0. Otherwise bit 31 is set and the rest is the place of its counters in the table's extras: most flows of a
 * telescope have one packet, and the counters would be 40 % of a row.
 */
export const ROW_SIGNS = 20
export const ROW_WORDS = 21

/** Signs: TOOLS from bit 0, then SPOOF_BITS, then the fragment. */
export const SIGN_SPOOF_SHIFT = TOOLS.length
export const SIGN_FRAGMENT = SIGN_SPOOF_SHIFT + SPOOF_BITS.length
/** At most 31, because bit 31 of ROW_SIGNS has another meaning. */
export const SIGN_COUNT = SIGN_FRAGMENT + 1
