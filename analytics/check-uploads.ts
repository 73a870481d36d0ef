import { CLOCK_AHEAD_SECONDS_MAX, DAYS_PER_UPLOAD_MAX } from '../schemas/batch.ts'
import type { Table } from '../schemas/column.ts'
import type { ListenedSpan } from '../schemas/coverage.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { tooManyDays } from '../schemas/upload-days.ts'
import type { Session } from './database.ts'
import { refused } from './group-flows.ts'
import type { PlainRow } from './rows.ts'
import { bind, sql, whole } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/** Whether what is about to be counted can be. */

const DAY = DAY_SECONDS * MICROSECONDS
/** 2255: beyond it microseconds are no exact numbers; such a time is a broken clock. */
const DAY_START_MAX = Number.MAX_SAFE_INTEGER - DAY

/** What no upload can hold: bounds the sums, so that one that lies cannot make them too large for a number. */
const PACKETS_PER_UPLOAD_MAX = 2 ** 34
const BYTES_PER_UPLOAD_MAX = 2 ** 44

const UPLOAD_DAY = {
  upload: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number in the group.' },
  day_start: { type: 'text', role: 'key', sharing: 'withheld', doc: 'Unix microseconds; may be no time that can be.' },
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Flows.' },
  packet_count: { type: 'float64', role: 'measure', sharing: 'withheld', doc: 'Packets.' },
  byte_count: { type: 'float64', role: 'measure', sharing: 'withheld', doc: 'Bytes.' },
} as const satisfies Table
const DAY_RANGE = {
  day_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'UTC days.' },
  first_day: UPLOAD_DAY.day_start,
  last_day: UPLOAD_DAY.day_start,
} as const satisfies Table
/** Start of the UTC day of a flow. */
const DAY_MICROSECONDS = sql`epoch_us(date_trunc('day', interval_start))`

/** What a group holds of one upload and day. */
export interface UploadDay extends Omit<PlainRow<typeof UPLOAD_DAY>, 'day_start'> {
  /** Unix microseconds of its start. */
  readonly day: number
}

/**
 * What the group that is open in the session holds, by upload and day.
 * @throws UPLOAD_DAYS_TOO_MANY, BATCH_INVALID for times that cannot be
 */
export async function sumDays(session: Session, uploads: readonly ParsedUpload[]): Promise<UploadDay[]> {
  // Packets may claim to be of millions of days: more rows than good uploads have are not read.
  const rowsMax = uploads.length * DAYS_PER_UPLOAD_MAX
  const rows = await session.plain(
    UPLOAD_DAY,
    sql`SELECT upload, ${DAY_MICROSECONDS}::VARCHAR AS day_start, count(*) AS row_count,
        sum(packet_count::DOUBLE) AS packet_count, sum(byte_count::DOUBLE) AS byte_count
      FROM group_flow GROUP BY upload, ${DAY_MICROSECONDS} ORDER BY upload, ${DAY_MICROSECONDS} LIMIT ${whole(rowsMax + 1)}`,
  )
  const sums = rows.map(({ day_start, ...row }) => ({ ...row, day: Number(day_start) }))
  for (const [number, upload] of uploads.entries()) {
    const days = sums.filter(row => row.upload === number).map(row => row.day)
    if (days.length === 0) continue
    if (days.length > DAYS_PER_UPLOAD_MAX) await refuseDays(session, upload, number)
    checkTimes(upload, days[0]!, days.at(-1)!)
  }
  return sums
}

async function refuseDays(session: Session, upload: ParsedUpload, number: number): Promise<never> {
  const [found] = await session.plain(
    DAY_RANGE,
    sql`SELECT count(DISTINCT ${DAY_MICROSECONDS}) AS day_count, min(${DAY_MICROSECONDS})::VARCHAR AS first_day,
      max(${DAY_MICROSECONDS})::VARCHAR AS last_day FROM group_flow WHERE upload = ${bind('uint32', number)}`,
  )
  const [first, last] = [Number(found!.first_day), Number(found!.last_day)]
  checkTimes(upload, first, last)
  const { sensor, sha256 } = upload
  const days = found!.day_count
  const range = [first / MICROSECONDS, last / MICROSECONDS] as const
  throw tooManyDays(`upload ${sensor}/${sha256}`, String(days), range, { sensor, sha256, days })
}

/** @param first Unix microseconds of the start of a day, as `last` */
function checkTimes(upload: ParsedUpload, first: number, last: number): void {
  if (first >= 0 && last <= DAY_START_MAX) return
  throw refused(upload, 'packets before 1970 or after 2255; set the clock')
}

/**
 * What was loaded must be what the parsing child said, and what it listened to must have passed.
 * @throws BATCH_INVALID
 */
export function checkUploads(uploads: readonly ParsedUpload[], days: readonly UploadDay[], nowMicros: number): void {
  for (const [number, upload] of uploads.entries()) {
    const metadata = upload.batches.map(batch => batch.metadata)
    const wrong = metadata.flatMap(({ spans }) => spans).find(span => !isSpan(span, nowMicros))
    if (wrong)
      throw refused(upload, `listened from ${wrong.from} to ${wrong.to}, which is no span of time that can have passed`)
    const own = days.filter(day => day.upload === number)
    const flows = sumOf(own, 'row_count')
    const packets = sumOf(own, 'packet_count')
    const bytes = sumOf(own, 'byte_count')
    if (flows !== sumOf(metadata, 'flows')) {
      throw refused(upload, `${flows} flows, ${sumOf(metadata, 'flows')} by its metadata`)
    }
    if (packets !== sumOf(metadata, 'packets_kept')) {
      throw refused(upload, `${packets} packets in its flows, ${sumOf(metadata, 'packets_kept')} by its metadata`)
    }
    if (packets > PACKETS_PER_UPLOAD_MAX || bytes > BYTES_PER_UPLOAD_MAX) {
      throw refused(upload, `${packets} packets of ${bytes} bytes, more than can be`)
    }
  }
}

/** A declared span is believed, so it must be one that a sensor can have listened to by now. */
function isSpan({ from, to, packets, basis }: ListenedSpan, now: number): boolean {
  if (![from, to, packets].every(value => Number.isSafeInteger(value) && value >= 0) || from >= to) return false
  return (
    basis === 'inferred' ||
    (to <= now + CLOCK_AHEAD_SECONDS_MAX * MICROSECONDS && to - from <= DAYS_PER_UPLOAD_MAX * DAY)
  )
}

function sumOf<K extends string>(rows: readonly Readonly<Record<K, number>>[], name: K): number {
  return rows.reduce((sum, row) => sum + row[name], 0)
}
