import type { Packet } from './packet.ts'

/**
 * The compact profile of a scan SYN, 64 bits as two words (FLOW.syn_profile holds the layout): unknown tools cluster
 * by it. Both functions are for scan SYNs only; other packets have the profile 0.
 */

const NO_WINDOW_SCALE = 15
/** RFC 7323 section 2.3: a larger shift count counts as 14. */
const WINDOW_SCALE_MAX = 14

/** Bits 0 to 31: window, MSS. */
export function synProfileLow(packet: Packet): number {
  // A header that is cut short has no window; the profile then says so in bit 63.
  const window = packet.tcpWindow < 0 ? 0 : packet.tcpWindow
  return (window | ((packet.tcpMss < 0 ? 0 : packet.tcpMss) << 16)) >>> 0
}

/** Bits 32 to 63: window scale, DF, TTL bucket, option kinds, overflow. */
export function synProfileHigh(packet: Packet): number {
  return synProfileUpper(packet, packet.ttl, packet.dontFragment)
}

/** The same from values at hand; window scale and options are those of the packet. Signed or not. */
export function synProfileUpper(packet: Packet, ttl: number, dontFragment: number): number {
  const scale = packet.tcpWindowScale < 0 ? NO_WINDOW_SCALE : Math.min(packet.tcpWindowScale, WINDOW_SCALE_MAX)
  const ttlBucket = ttl <= 32 ? 0 : ttl <= 64 ? 1 : ttl <= 128 ? 2 : 3
  return (
    (scale |
      (dontFragment << 4) |
      (ttlBucket << 5) |
      (packet.tcpOptionKinds << 7) |
      (packet.tcpOptionsOverflow << 31)) >>>
    0
  )
}
