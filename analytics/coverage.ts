import { COVERAGE_SPAN, type SENSOR, SPAN_BASES } from '../schemas/catalog.ts'
import { joinSpans, type ListenedSpan } from '../schemas/coverage.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { reopenDays } from './closed-days.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import type { SpanView } from './kept-spans.ts'
import type { PlainRow } from './rows.ts'
import { bind, sql } from './sql.ts'
import type { UsualRateView } from './usual-rates.ts'

/** When sensors listened: spans of uploads, joined over silences that are likely. Times are Unix microseconds. */

/**
 * Spans are read this far beyond the range, so that one outside can be joined with one inside. No silence longer than
 * 13.8 hours ever counts as listened: the usual rate is a median of hours that have packets, so at least 1 an hour.
 */
const JOIN_MARGIN = DAY_SECONDS * MICROSECONDS

interface CoverageContext {
  readonly session: Session
  readonly spans: SpanView
  readonly usualRates: UsualRateView
}

/** Adds the spans that uploads declare or imply, within the transaction of the session. */
export async function addSpans(
  session: Session,
  uploads: readonly { sensor: string; sha256: string; spans: readonly ListenedSpan[] }[],
): Promise<void> {
  const rows = uploads.flatMap(({ sensor, sha256, spans }) =>
    spans.map(span => ({
      sensor,
      sha256,
      listened_from: span.from,
      listened_to: span.to,
      basis: SPAN_BASES.indexOf(span.basis),
      packet_count: span.packets,
    })),
  )
  if (rows.length === 0) return
  await insertRows(session, 'coverage_span', COVERAGE_SPAN, rows)
  // Not all days between: what comes late by a year beside what comes now leaves the year closed.
  for (const [first, last] of runsOfDays(rows.map(row => row.listened_from))) await reopenDays(session, first, last)
}

/** The first and the last day of each run of days without a gap, Unix microseconds of their starts. */
function runsOfDays(times: readonly number[]): [first: number, last: number][] {
  const day = DAY_SECONDS * MICROSECONDS
  const days = [...new Set(times.map(time => Math.floor(time / day) * day))].sort((a, b) => a - b)
  const runs: [number, number][] = []
  for (const start of days) {
    const run = runs.at(-1)
    if (run && start === run[1] + day) run[1] = start
    else runs.push([start, start])
  }
  return runs
}

/**
 * Joined spans per sensor, disjoint and in order, that touch [from, to); a sensor that never listened has none. The usual
 * rate rests on all that the sensor sent, not on the range: one day has one coverage, however it is asked.
 */
export async function readCoverage(
  { session, spans, usualRates }: CoverageContext,
  sensors: readonly string[],
  from: number,
  to: number,
): Promise<Map<string, ListenedSpan[]>> {
  const usual = await usualRates.read(session, sensors)
  const range = { from: from - JOIN_MARGIN, to: to + JOIN_MARGIN }
  const all = await spans.read(session, sensors, range)
  return new Map(
    sensors.map(sensor => {
      const near = all.get(sensor)!.filter(span => span.to > range.from && span.from < range.to)
      return [sensor, joinSpans(near, (usual.get(sensor) ?? 0) / HOUR_SECONDS)]
    }),
  )
}

/**
 * When each sensor began, Unix microseconds: the earlier of its registration and its first listened span. What lies
 * before is no gap of it.
 */
export async function readRecordingSince(
  { session, spans }: CoverageContext,
  sensors: readonly PlainRow<typeof SENSOR>[],
): Promise<Map<string, number>> {
  const names = sensors.map(row => row.sensor)
  const firsts = await spans.readFirst(session, names)
  const first = (sensor: string) => firsts.get(sensor) ?? Number.POSITIVE_INFINITY
  return new Map(sensors.map(row => [row.sensor, Math.min(row.created_at, first(row.sensor))]))
}

/**
 * Microseconds listened in each bucket of [from, to), by disjoint spans.
 * @param bucket length of a bucket; `to - from` is a multiple of it
 */
export function listenedByBucket(
  spans: readonly ListenedSpan[],
  from: number,
  to: number,
  bucket: number,
): Float64Array {
  const listened = new Float64Array((to - from) / bucket)
  for (const span of spans) {
    const first = Math.max(0, Math.floor((span.from - from) / bucket))
    for (let index = first; index < listened.length; index++) {
      const start = from + index * bucket
      if (start >= span.to) break
      listened[index]! += Math.max(0, Math.min(span.to, start + bucket) - Math.max(span.from, start))
    }
  }
  return listened
}

/** Takes [from, to) out of what any sensor listened to, within the transaction of the session. */
export async function cutCoverage(session: Session, from: number, to: number): Promise<void> {
  const touched = sql`listened_to > ${bind('timestamp_us', from)} AND listened_from < ${bind('timestamp_us', to)}`
  const rows = await session.plain(COVERAGE_SPAN, sql`SELECT * FROM coverage_span WHERE ${touched}`)
  if (rows.length === 0) return
  await session.run(sql`DELETE FROM coverage_span WHERE ${touched}`)
  const parts = rows.flatMap(row =>
    [
      { ...row, listened_to: Math.min(row.listened_to, from) },
      { ...row, listened_from: Math.max(row.listened_from, to) },
    ]
      .filter(part => part.listened_from < part.listened_to)
      .map(part => ({
        ...part,
        packet_count: Math.round(
          (row.packet_count * (part.listened_to - part.listened_from)) / (row.listened_to - row.listened_from),
        ),
      })),
  )
  await insertRows(session, 'coverage_span', COVERAGE_SPAN, parts)
  await reopenDays(session, ...boundsOf([...rows, ...parts].map(row => row.listened_from)))
}

function boundsOf(times: readonly number[]): [first: number, last: number] {
  return times.reduce<[number, number]>(
    ([first, last], time) => [Math.min(first, time), Math.max(last, time)],
    [Number.POSITIVE_INFINITY, 0],
  )
}
