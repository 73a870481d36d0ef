import { TelescopeError } from './errors.ts'

/** Interval and bucket arithmetic. All times are UTC; seconds are Unix seconds; ranges are [since, until). */

/** Length of the fixed slice of capture time that a flow belongs to. */
export const INTERVAL_SECONDS = 60
/** Backscatter keeps this finer slot, for windows that slide by ten seconds (attack vectors). */
export const SLOT_SECONDS = 10
export const HOUR_SECONDS = 3600
export const DAY_SECONDS = 86_400
export const MICROSECONDS = 1_000_000

/** Start of the bucket that holds the second. */
export function bucketStart(seconds: number, bucketSeconds: number): number {
  return Math.floor(seconds / bucketSeconds) * bucketSeconds
}

/** `2026-11-22` of a Unix second. */
export function formatDay(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 10)
}

/** `2026-11-22T10:00:00Z` of a Unix second; fractions are kept to the millisecond and only when there are any. */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}

/**
 * Reads a day, an ISO 8601 time with Z or offset, or Unix seconds.
 * @returns Unix seconds
 * @throws QUERY_INVALID; a time without a zone is refused because nobody can know which was meant
 */
export function parseTime(text: string): number {
  if (/^\d{1,11}$/.test(text)) return Number(text)
  const iso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)
  const milliseconds = iso ? Date.parse(text) : Number.NaN
  // 30 February is read as 2 March: the day must be there again.
  const day = new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`))
  if (Number.isNaN(milliseconds) || day.toISOString().slice(0, 10) !== text.slice(0, 10)) {
    throw new TelescopeError(
      'QUERY_INVALID',
      `time "${text}" is not 2026-11-22, 2026-11-22T10:00:00Z or Unix seconds`,
      { time: text },
    )
  }
  return milliseconds / 1000
}

/**
 * The Monday that begins an ISO week such as `2026-W46`.
 * @returns Unix seconds of 00:00 UTC
 * @throws QUERY_INVALID
 */
export function parseWeek(text: string): number {
  const match = /^(\d{4})-W(\d{2})$/.exec(text)
  const week = match ? Number(match[2]) : 0
  // 4 January is always in week 1 (ISO 8601); its Monday is the start of that week.
  const january4 = match ? Date.UTC(Number(match[1]), 0, 4) / 1000 : 0
  const monday = january4 - ((new Date(january4 * 1000).getUTCDay() + 6) % 7) * DAY_SECONDS
  const start = monday + (week - 1) * 7 * DAY_SECONDS
  if (!match || week < 1 || formatWeek(start) !== text) {
    throw new TelescopeError('QUERY_INVALID', `week "${text}" is not an ISO week such as 2026-W46`, { week: text })
  }
  return start
}

/** The ISO week of a Unix second, `2026-W46`. */
export function formatWeek(seconds: number): string {
  const day = bucketStart(seconds, DAY_SECONDS)
  // The Thursday of a week decides which year the week belongs to (ISO 8601).
  const thursday = day + (3 - ((new Date(day * 1000).getUTCDay() + 6) % 7)) * DAY_SECONDS
  const year = new Date(thursday * 1000).getUTCFullYear()
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / 1000) / (7 * DAY_SECONDS)) + 1
  return `${year}-W${String(week).padStart(2, '0')}`
}
