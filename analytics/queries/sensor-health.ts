import { SENSOR } from '../../schemas/catalog.ts'
import type { Table } from '../../schemas/column.ts'
import {
  LATE_SECONDS,
  MISSING_RANGES_MAX,
  SENSOR_HEALTH,
  type SensorHealth,
  SILENT_INTERVALS,
  SILENT_SECONDS_MIN,
  USUAL_INTERVALS,
} from '../../schemas/sensor-health.ts'
import { GAP_REASONS, SEQUENCE_GAP } from '../../schemas/sequence-gap.ts'
import { DAY_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { listenedByBucket, readCoverage, readRecordingSince } from '../coverage.ts'
import { formatMicroseconds, type PlainRow } from '../rows.ts'
import type { SensorRow } from '../sensors.ts'
import { bind, type Sql, sql } from '../sql.ts'
import { ofSensors, type QueryContext, selectSensors } from './request.ts'
import { readUploadStates } from './upload-states.ts'

/** What is usual is told from this long; it also bounds what is read, however many receipts there are. */
const USUAL_DAYS = 31
const RECENT_DAYS = 7
/** Uploads that come this close to each other are one burst: the time between bursts is what is usual. */
const BURST_SECONDS = 30
/** Uploads that are looked at to find USUAL_INTERVALS between bursts. */
const BURST_UPLOADS_MAX = 500
/** With fewer intervals nothing is usual yet. */
const INTERVALS_MIN = 3
/** Where a sensor does not say what it still holds, a number may be on its way for this long. */
const UNDERWAY_SECONDS = 600
/** A spool that has not been heard of for this long sends what it still held no more. */
const SPOOL_ENDED_SECONDS = DAY_SECONDS

const { late_upload_count, clock_skew_seconds } = SENSOR_HEALTH
const RECENT = { sensor: SENSOR.sensor, late_upload_count, clock_skew_seconds } as const satisfies Table
const SKEW = { sensor: SENSOR.sensor, clock_skew_seconds } as const satisfies Table
const UPLOAD_COUNT = {
  sensor: SENSOR.sensor,
  upload_count: { type: 'uint64', role: 'measure', sharing: 'members', doc: 'Uploads.' },
} as const satisfies Table
const USUAL = {
  sensor: SENSOR.sensor,
  usual_seconds: { type: 'float64', role: 'measure', sharing: 'members', doc: 'Median.' },
  interval_count: { type: 'uint32', role: 'measure', sharing: 'members', doc: 'Intervals that it is of.' },
} as const satisfies Table

/** Each sensor of the scope and how it is doing, by name. */
export async function readSensorHealth(context: QueryContext): Promise<SensorHealth[]> {
  const { session, now } = context
  const sensors = selectSensors(context)
  const chosen = ofSensors(context, sensors)
  const before = (seconds: number) => bind('timestamp_us', (now - seconds) * MICROSECONDS)
  const statesOf = await readUploadStates(session, chosen)
  const lastUploads = await context.lastUploads.read(session, now * MICROSECONDS)
  const usual = await readUsual(context, sensors)
  const recent = await readRecent(context, sensors)
  const missing = gapsBySensor(
    await session.plain(
      SEQUENCE_GAP,
      sql`SELECT sensor, spool, first_sequence, missing_until AS last_sequence, reason, found_at FROM (
          SELECT sequence_gap.sensor, sequence_gap.spool, first_sequence, reason, found_at,
            CASE WHEN reason <> ${bind('uint8', GAP_REASONS.indexOf('unknown'))} OR last_at < ${before(SPOOL_ENDED_SECONDS)}
                OR (oldest_waiting IS NULL AND found_at < ${before(UNDERWAY_SECONDS)}) THEN sequence_gap.last_sequence
              WHEN oldest_waiting IS NOT NULL THEN least(sequence_gap.last_sequence, oldest_waiting - 1)
              ELSE 0 END AS missing_until
          FROM sequence_gap JOIN upload_spool USING (sensor, spool)) AS gaps
        WHERE ${chosen} AND missing_until >= first_sequence ORDER BY sensor, found_at DESC, spool, first_sequence DESC`,
    ),
  )
  const coverage = await coverageOf(context, sensors)
  return sensors.map(({ sensor, economy }): SensorHealth => {
    const last = lastUploads.get(sensor) ?? null
    const states = statesOf(sensor)
    const interval = usual.get(sensor)
    const usualSeconds = interval && interval.interval_count >= INTERVALS_MIN ? interval.usual_seconds : null
    const gaps = missing.get(sensor) ?? []
    return {
      sensor,
      economy,
      last_upload_at: timeOf(last),
      usual_interval_seconds: usualSeconds,
      silent_since: isSilent(last, usualSeconds, now) ? timeOf(last) : null,
      missing_sequence_count: gaps.reduce((sum, gap) => sum + gap.last_sequence - gap.first_sequence + 1, 0),
      late_upload_count: recent.get(sensor)?.late_upload_count ?? 0,
      clock_skew_seconds: recent.get(sensor)?.clock_skew_seconds ?? null,
      coverage_7d: coverage.get(sensor) ?? 0,
      quarantined_count: states.in('quarantined'),
      held_count: states.in('held'),
      withdrawn_count: states.in('withdrawn'),
      missing_sequences: gaps.slice(0, MISSING_RANGES_MAX).map(gap => ({
        spool: gap.spool,
        first_sequence: gap.first_sequence,
        last_sequence: gap.last_sequence,
        reason: GAP_REASONS[gap.reason]!,
        found_at: formatMicroseconds(BigInt(gap.found_at)),
      })),
    }
  })
}

/**
 * What is usual of each sensor. Of most the last days hold all uploads that are looked at; only of the others more is
 * read.
 */
async function readUsual(context: QueryContext, sensors: readonly SensorRow[]) {
  const { session, now } = context
  const ofLastDays = sql`received_at >= ${ago(now, RECENT_DAYS)}`
  const counts = await session.plain(
    UPLOAD_COUNT,
    sql`SELECT sensor, count(*) AS upload_count FROM receipt WHERE ${ofLastDays} GROUP BY sensor`,
  )
  const many = new Set(counts.filter(row => row.upload_count >= BURST_UPLOADS_MAX).map(row => row.sensor))
  const usual = (some: readonly SensorRow[], condition: Sql) =>
    session.plain(USUAL, usualIntervals(sql`${condition} AND ${ofSensors(context, some)}`))
  return bySensor([
    ...(await usual(
      sensors.filter(({ sensor }) => many.has(sensor)),
      ofLastDays,
    )),
    ...(await usual(
      sensors.filter(({ sensor }) => !many.has(sensor)),
      sql`received_at >= ${ago(now, USUAL_DAYS)}`,
    )),
  ])
}

/** Late uploads of the last days, and the last skew that a sensor told, if it told one in the time of what is usual. */
async function readRecent(context: QueryContext, sensors: readonly SensorRow[]) {
  const { session, now } = context
  const skew = sql`arg_max(clock_skew_seconds, received_at) FILTER (WHERE clock_skew_seconds IS NOT NULL) AS clock_skew_seconds`
  const recent = bySensor(
    await session.plain(
      RECENT,
      sql`SELECT sensor, sum(CASE WHEN epoch_us(received_at) - epoch_us(last_packet) > ${bind('int64', LATE_SECONDS * MICROSECONDS)}
          THEN 1 ELSE 0 END) AS late_upload_count, ${skew} FROM receipt
        WHERE ${ofSensors(context, sensors)} AND received_at >= ${ago(now, RECENT_DAYS)} GROUP BY sensor`,
    ),
  )
  const silent = sensors.filter(({ sensor }) => (recent.get(sensor)?.clock_skew_seconds ?? null) === null)
  if (silent.length === 0) return recent
  const earlier = await session.plain(
    SKEW,
    sql`SELECT sensor, ${skew} FROM receipt WHERE ${ofSensors(context, silent)}
      AND received_at >= ${ago(now, USUAL_DAYS)} GROUP BY sensor`,
  )
  for (const { sensor, clock_skew_seconds } of earlier) {
    recent.set(sensor, { sensor, clock_skew_seconds, late_upload_count: recent.get(sensor)?.late_upload_count ?? 0 })
  }
  return recent
}

function ago(now: number, days: number) {
  return bind('timestamp_us', (now - days * DAY_SECONDS) * MICROSECONDS)
}

/** Median of the last intervals between bursts. */
function usualIntervals(condition: Sql): Sql {
  return sql`SELECT sensor, median(seconds)::DOUBLE AS usual_seconds, count(*)::UINTEGER AS interval_count FROM (
      SELECT sensor, seconds, row_number() OVER (PARTITION BY sensor ORDER BY received_at DESC) AS place FROM (
        SELECT sensor, received_at,
          (epoch_us(received_at) - epoch_us(lag(received_at) OVER (PARTITION BY sensor ORDER BY received_at))) / 1e6 AS seconds
        FROM (SELECT sensor, unnest(max(received_at, ${bind('int64', BURST_UPLOADS_MAX)})) AS received_at
          FROM receipt WHERE ${condition} GROUP BY sensor) AS latest) AS intervals
      WHERE seconds >= ${bind('float64', BURST_SECONDS)}) AS between_bursts
    WHERE place <= ${bind('int64', USUAL_INTERVALS)} GROUP BY sensor`
}

/** @param last Unix microseconds */
function isSilent(last: number | null, usualSeconds: number | null, now: number): boolean {
  if (last === null) return false
  const silence = now - last / MICROSECONDS
  // Whoever is silent for longer than what is usual is told from has nothing that is usual any more.
  if (usualSeconds === null) return silence > USUAL_DAYS * DAY_SECONDS
  return silence > Math.max(SILENT_INTERVALS * usualSeconds, SILENT_SECONDS_MIN)
}

async function coverageOf(context: QueryContext, sensors: readonly SensorRow[]): Promise<Map<string, number>> {
  const to = context.now * MICROSECONDS
  const begins = await readRecordingSince(context, sensors)
  const start = to - RECENT_DAYS * DAY_SECONDS * MICROSECONDS
  const spans = await readCoverage(
    context,
    sensors.map(row => row.sensor),
    start,
    to,
  )
  return new Map(
    sensors.map(({ sensor }) => {
      const from = Math.max(start, begins.get(sensor) ?? start)
      if (from >= to) return [sensor, 0]
      const [listened] = listenedByBucket(spans.get(sensor) ?? [], from, to, to - from)
      return [sensor, listened! / (to - from)]
    }),
  )
}

function timeOf(micros: number | null): string | null {
  return micros === null ? null : formatMicroseconds(BigInt(micros))
}

function bySensor<R extends { readonly sensor: string }>(rows: readonly R[]): Map<string, R> {
  return new Map(rows.map(row => [row.sensor, row]))
}

function gapsBySensor(rows: readonly PlainRow<typeof SEQUENCE_GAP>[]): Map<string, PlainRow<typeof SEQUENCE_GAP>[]> {
  const gaps = new Map<string, PlainRow<typeof SEQUENCE_GAP>[]>()
  for (const row of rows) {
    const list = gaps.get(row.sensor)
    if (list) list.push(row)
    else gaps.set(row.sensor, [row])
  }
  return gaps
}
