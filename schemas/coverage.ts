import type { SpanBasis } from './catalog.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from './time.ts'

/** Coverage arithmetic: listened spans, and when a silence counts as listened. Times are Unix microseconds. */

export interface ListenedSpan {
  /** Inclusive. */
  readonly from: number
  /** Exclusive. */
  readonly to: number
  readonly basis: SpanBasis
  /** Packets kept within it. */
  readonly packets: number
}

/**
 * A silence counts as listened when its probability at the sensor's usual rate is at least this (definitions,
 * "coverage when only captures come").
 */
const SILENCE_PROBABILITY_MIN = 1e-6

/**
 * A silence of one interval or less always counts as listened, in microseconds. Packets come in runs and the rate
 * swings by day, so on a large sensor the rule above alone would find hundreds of sub-second silences a day.
 */
export const SILENCE_ALWAYS_LISTENED = INTERVAL_SECONDS * MICROSECONDS

/**
 * The longest silence, in microseconds, that is likely enough at this rate to count as listened: independent arrivals
 * give exp(-rate × silence) >= 10⁻⁶, so rate × silence <= 13.8 packets; at least SILENCE_ALWAYS_LISTENED.
 * @param packetsPerSecond the usual rate of the sensor; 0 when nothing is known, then no silence counts
 */
function silenceListenedMax(packetsPerSecond: number): number {
  if (!(packetsPerSecond > 0)) return 0
  return Math.max(SILENCE_ALWAYS_LISTENED, (-Math.log(SILENCE_PROBABILITY_MIN) / packetsPerSecond) * MICROSECONDS)
}

/**
 * Joins spans that touch, overlap, or are parted only by a silence that counts as listened. Only an inferred end can
 * be stretched over a silence: a declared end is what the sensor said.
 * @returns spans in order, disjoint; a joined span is declared only when all its parts are
 */
export function joinSpans(spans: readonly ListenedSpan[], packetsPerSecond: number): ListenedSpan[] {
  const silenceMax = silenceListenedMax(packetsPerSecond)
  const joined: ListenedSpan[] = []
  for (const span of [...spans].sort((a, b) => a.from - b.from || a.to - b.to)) {
    const last = joined.at(-1)
    const stretch = last && last.basis === 'inferred' && span.basis === 'inferred' ? silenceMax : 0
    if (!last || span.from - last.to > stretch) {
      joined.push(span)
      continue
    }
    joined[joined.length - 1] = {
      from: last.from,
      to: Math.max(last.to, span.to),
      basis: last.basis === 'declared' && span.basis === 'declared' ? 'declared' : 'inferred',
      packets: last.packets + span.packets,
    }
  }
  return joined
}

/** What two lists of spans, each in order and disjoint, have in common; in order, disjoint. */
export function commonSpans(
  a: readonly Pick<ListenedSpan, 'from' | 'to'>[],
  b: readonly Pick<ListenedSpan, 'from' | 'to'>[],
): { from: number; to: number }[] {
  const common: { from: number; to: number }[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const from = Math.max(a[i]!.from, b[j]!.from)
    const to = Math.min(a[i]!.to, b[j]!.to)
    if (from < to) common.push({ from, to })
    if (a[i]!.to < b[j]!.to) i++
    else j++
  }
  return common
}

/** Microseconds of [from, to) that the spans cover; the spans must be disjoint, as joinSpans returns them. */
export function listenedWithin(spans: readonly ListenedSpan[], from: number, to: number): number {
  let listened = 0
  for (const span of spans) listened += Math.max(0, Math.min(span.to, to) - Math.max(span.from, from))
  return listened
}
