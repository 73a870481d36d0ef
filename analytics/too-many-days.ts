import { DAYS_PER_UPLOAD_MAX } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { DAY_SECONDS, formatDay, formatTime } from '../schemas/time.ts'
import type { ParsedUpload } from './storage.ts'

/**
 * Refuses an upload of more days than one may hold, with the commands that make two of it, and what else helps.
 * @param first Unix seconds of the earliest interval, at least 0
 * @param last of the latest one, not beyond what Date can hold
 */
export function tooManyDays(upload: ParsedUpload, days: number, first: number, last: number): TelescopeError {
  const { sensor, sha256 } = upload
  const cut = formatTime(Math.floor(first / DAY_SECONDS + DAYS_PER_UPLOAD_MAX) * DAY_SECONDS)
  return new TelescopeError(
    'UPLOAD_DAYS_TOO_MANY',
    `upload ${sensor}/${sha256}: packets of ${days} days (${formatDay(first)} to ${formatDay(last)}), at most ${DAYS_PER_UPLOAD_MAX} are taken; ` +
      `split the capture and send the parts: editcap -B ${cut} FILE first.pcap; editcap -A ${cut} FILE rest.pcap; ` +
      'or let hirundo collect read it, which begins a new batch in time; if the days cannot be, set the clock of the recorder',
    { sensor, sha256, days, days_max: DAYS_PER_UPLOAD_MAX },
  )
}
