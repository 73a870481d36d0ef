import type { Packet } from './packet.ts'

/**
 * The compact profile of a scan SYN, 64 bits as two words (FLOW.syn_profile holds the layout): unknown tools cluster
 * by it. Both functions are for scan SYNs only; other packets have the profile 0.
 */

export const NO_WINDOW_SCALE = 15
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
  const { ttl, dontFragment, tcpOptionKinds, tcpOptionsOverflow } = packet
  return synProfileUpper(windowScale(packet), dontFragment, ttl, tcpOptionKinds, tcpOptionsOverflow) >>> 0
}

/** The window scale as the profile holds it. */
export function windowScale({ tcpWindowScale }: Packet): number {
  return tcpWindowScale < 0 ? NO_WINDOW_SCALE : Math.min(tcpWindowScale, WINDOW_SCALE_MAX)
}

/** The same from values at hand; signed. */
export function synProfileUpper(
  scale: number,
  dontFragment: number,
  ttl: number,
  kinds: number,
  overflow: number,
): number {
  const ttlBucket = ttl <= 32 ? 0 : ttl <= 64 ? 1 : ttl <= 128 ? 2 : 3
  return scale | (dontFragment << 4) | (ttlBucket << 5) | (kinds << 7) | (overflow << 31)
}
