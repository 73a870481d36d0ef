import { bucketStart, DAY_SECONDS, HOUR_SECONDS } from '../../schemas/time.ts'

/** Arithmetic of the range that is looked at. Times are Unix seconds, ranges are [since, until). */

export interface TimeRange {
  readonly since: number
  readonly until: number
}

/** Ranges that move with the data; a week is what the page shows when nothing was chosen. */
export const PRESETS = { '24h': DAY_SECONDS, '7d': 7 * DAY_SECONDS, '28d': 28 * DAY_SECONDS, all: null } as const
export type Preset = keyof typeof PRESETS
export const DEFAULT_PRESET: Preset = '7d'

/** A preset, or fixed times on an hour. */
export type RangeChoice = Preset | TimeRange

/** Hours up to this length, days beyond: a line of more points than pixels says less. */
const HOURLY_SECONDS_MAX = 8 * DAY_SECONDS

/** The hub serves no more buckets in one answer (BUCKETS_MAX of its queries). */
const BUCKETS_MAX = 2400

export type BucketSeconds = 3600 | 86_400

export function isPreset(text: string): text is Preset {
  return Object.hasOwn(PRESETS, text)
}

/** The times that a choice means today: presets end where the data ends. */
export function resolveRange(choice: RangeChoice, data: TimeRange): TimeRange {
  if (typeof choice !== 'string') return choice
  const seconds = PRESETS[choice]
  return seconds === null ? data : { since: data.until - seconds, until: data.until }
}

/** The bucket that is wished for, as far as the range allows it: days only when both ends are on a day. */
export function chooseBucket(range: TimeRange, wish: BucketSeconds | 'auto'): BucketSeconds {
  const onDays = range.since % DAY_SECONDS === 0 && range.until % DAY_SECONDS === 0
  if (!onDays) return HOUR_SECONDS
  const seconds = range.until - range.since
  const hoursServed = seconds <= BUCKETS_MAX * HOUR_SECONDS
  if (wish === DAY_SECONDS || !hoursServed) return DAY_SECONDS
  return wish === HOUR_SECONDS || seconds <= HOURLY_SECONDS_MAX ? HOUR_SECONDS : DAY_SECONDS
}

/**
 * The range one period earlier (-1) or later (1). At the edge of the data it keeps its length and ends there.
 * @returns null when there is nothing to move to
 */
export function shiftRange(range: TimeRange, data: TimeRange, direction: -1 | 1): TimeRange | null {
  const length = range.until - range.since
  let since = range.since + direction * length
  // From outside the data the next step is its near end.
  if (direction > 0 && since + length <= data.since) since = data.since
  if (direction < 0 && since >= data.until) since = data.until - length
  // A range longer than the data stands on the edge already.
  if (direction > 0) since = Math.min(since, data.until - length)
  else since = Math.max(since, Math.min(data.since, range.since))
  const moved = direction > 0 ? since > range.since : since < range.since
  return moved ? { since, until: since + length } : null
}

/**
 * The buckets that a stretch between two moments touches, within the range.
 * @returns null when it lies outside
 */
export function zoomRange(range: TimeRange, from: number, to: number, bucketSeconds: number): TimeRange | null {
  const first = Math.max(range.since, bucketStart(Math.min(from, to), bucketSeconds))
  const last = Math.min(range.until, bucketStart(Math.max(from, to) - 1e-3, bucketSeconds) + bucketSeconds)
  return first < last ? { since: first, until: last } : null
}
