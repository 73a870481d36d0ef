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
import { receiptState } from '../receipts.ts'
import { formatMicroseconds, type PlainRow } from '../rows.ts'
import { bind, type Sql, sql } from '../sql.ts'
import { type QueryContext, selectSensors, sensorList } from './request.ts'

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

const { last_upload_at, quarantined_count, held_count, withdrawn_count } = SENSOR_HEALTH
const { late_upload_count, clock_skew_seconds } = SENSOR_HEALTH
const UPLOADS = {
  sensor: SENSOR.sensor,
  last_upload_at,
  quarantined_count,
  held_count,
  withdrawn_count,
} as const satisfies Table
const RECENT = { sensor: SENSOR.sensor, late_upload_count, clock_skew_seconds } as const satisfies Table
const USUAL = {
  sensor: SENSOR.sensor,
  usual_seconds: { type: 'float64', role: 'measure', sharing: 'members', doc: 'Median.' },
  interval_count: { type: 'uint32', role: 'measure', sharing: 'members', doc: 'Intervals that it is of.' },
} as const satisfies Table

/** Each sensor of the scope and how it is doing, by name. */
export async function readSensorHealth(context: QueryContext): Promise<SensorHealth[]> {
  const { session, now } = context
  const sensors = await selectSensors(context)
  const chosen = sql`sensor IN (SELECT unnest(${sensorList(sensors)}))`
  const ago = (seconds: number) => bind('timestamp_us', (now - seconds) * MICROSECONDS)
  const uploads = bySensor(
    await session.plain(
      UPLOADS,
      sql`SELECT sensor, max(received_at) AS last_upload_at,
        sum(CASE WHEN state = ${receiptState('quarantined')} THEN 1 ELSE 0 END) AS quarantined_count,
        sum(CASE WHEN state = ${receiptState('held')} THEN 1 ELSE 0 END) AS held_count,
        sum(CASE WHEN state = ${receiptState('withdrawn')} THEN 1 ELSE 0 END) AS withdrawn_count
        FROM receipt WHERE ${chosen} GROUP BY sensor`,
    ),
  )
  const usual = bySensor(
    await session.plain(USUAL, usualIntervals(sql`${chosen} AND received_at >= ${ago(USUAL_DAYS * DAY_SECONDS)}`)),
  )
  const recent = bySensor(
    await session.plain(
      RECENT,
      sql`SELECT sensor,
        sum(CASE WHEN received_at >= ${ago(RECENT_DAYS * DAY_SECONDS)}
          AND epoch_us(received_at) - epoch_us(last_packet) > ${bind('int64', LATE_SECONDS * MICROSECONDS)} THEN 1 ELSE 0 END) AS late_upload_count,
        arg_max(clock_skew_seconds, received_at) FILTER (WHERE clock_skew_seconds IS NOT NULL) AS clock_skew_seconds
        FROM receipt WHERE ${chosen} AND received_at >= ${ago(USUAL_DAYS * DAY_SECONDS)} GROUP BY sensor`,
    ),
  )
  const missing = gapsBySensor(
    await session.plain(
      SEQUENCE_GAP,
      sql`SELECT sensor, spool, first_sequence, missing_until AS last_sequence, reason, found_at FROM (
          SELECT sequence_gap.sensor, sequence_gap.spool, first_sequence, reason, found_at,
            CASE WHEN reason <> ${bind('uint8', GAP_REASONS.indexOf('unknown'))} OR last_at < ${ago(SPOOL_ENDED_SECONDS)}
                OR (oldest_waiting IS NULL AND found_at < ${ago(UNDERWAY_SECONDS)}) THEN sequence_gap.last_sequence
              WHEN oldest_waiting IS NOT NULL THEN least(sequence_gap.last_sequence, oldest_waiting - 1)
              ELSE 0 END AS missing_until
          FROM sequence_gap JOIN upload_spool USING (sensor, spool)) AS gaps
        WHERE ${chosen} AND missing_until >= first_sequence ORDER BY sensor, found_at DESC, spool, first_sequence DESC`,
    ),
  )
  const coverage = await coverageOf(context, sensors)
  return sensors.map(({ sensor, economy }): SensorHealth => {
    const last = uploads.get(sensor)?.last_upload_at ?? null
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
      quarantined_count: uploads.get(sensor)?.quarantined_count ?? 0,
      held_count: uploads.get(sensor)?.held_count ?? 0,
      withdrawn_count: uploads.get(sensor)?.withdrawn_count ?? 0,
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

async function coverageOf(
  { session, now }: QueryContext,
  sensors: Awaited<ReturnType<typeof selectSensors>>,
): Promise<Map<string, number>> {
  const to = now * MICROSECONDS
  const begins = await readRecordingSince(session, sensors)
  const start = to - RECENT_DAYS * DAY_SECONDS * MICROSECONDS
  const spans = await readCoverage(
    session,
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
