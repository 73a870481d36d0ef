import { DAYS_PER_UPLOAD_MAX } from './batch.ts'
import { TelescopeError } from './errors.ts'
import { DAY_SECONDS, formatDay, formatTime } from './time.ts'

/**
 * Refuses an upload of more days than one may hold, with the commands that make two of it, and what else helps.
 * @param what it is, and which
 * @param days how many, in words
 * @param first Unix seconds of a time on the earliest day, at least 0
 * @param last on the latest one, not beyond what Date can hold
 */
export function tooManyDays(
  what: string,
  days: string,
  [first, last]: readonly [number, number],
  details: Readonly<Record<string, string | number>> = {},
): TelescopeError {
  const cut = formatTime(Math.floor(first / DAY_SECONDS + DAYS_PER_UPLOAD_MAX) * DAY_SECONDS)
  return new TelescopeError(
    'UPLOAD_DAYS_TOO_MANY',
    `${what}: packets of ${days} days (${formatDay(first)} to ${formatDay(last)}), at most ${DAYS_PER_UPLOAD_MAX} are taken; ` +
      `split the capture and send the parts: editcap -B ${cut} FILE first.pcap; editcap -A ${cut} FILE rest.pcap; ` +
      'or let hirundo collect read it, which begins a new batch in time; if the days cannot be, set the clock of the recorder',
    { ...details, days_max: DAYS_PER_UPLOAD_MAX },
  )
}
