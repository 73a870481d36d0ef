import type { AnswerMeta } from '../../schemas/api.ts'
import { type ListenedSpan, listenedWithin } from '../../schemas/coverage.ts'
import { DAY_SECONDS, formatTime, INTERVAL_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { readCoverage, readRecordingSince } from '../coverage.ts'
import type { SensorRow } from '../sensors.ts'
import { bindList, type Sql, sql } from '../sql.ts'
import type { QueryContext, TimeRange } from './request.ts'

/** A sensor, and when it listened in and around a range. */
export interface SensorListening {
  readonly row: SensorRow
  /** Disjoint and in order. */
  readonly spans: readonly ListenedSpan[]
  /** Unix microseconds; see readRecordingSince. */
  readonly recordingSince: number
}

/** What one sensor listened to in a range: the denominator of its rate. */
export interface Exposure {
  readonly sensor: string
  /** Time listened / time of the range that has passed since the sensor began; 0 when none has. */
  readonly coverage: number
  /** Time listened / time of the range that has passed, whether or not the sensor had begun: what comparisons need. */
  readonly rangeCoverage: number
  /** Whether it listened at all. */
  readonly hasListened: boolean
  /** IPv4 addresses × days listened. */
  readonly addrDays: number
  /** Whether it has IPv4 addresses and listened long enough for a rate. */
  readonly hasRate: boolean
}

/**
 * Microseconds that a sensor must have listened in a range or bucket before it has a rate there: an inferred span ends
 * at a packet, and one packet in the second before an outage is no rate of 86 400 a day. It is the resolution of flows.
 */
export const LISTENED_MIN = INTERVAL_SECONDS * MICROSECONDS

/** A period compared with the one before it has to be covered this far by a sensor, or the sensor leaves both. */
const COMPARED_COVERAGE_MIN = 0.8

/** In the order of the sensors; those that begin only at or after the end of the range have nothing in it. */
export async function readListening(
  context: QueryContext,
  sensors: readonly SensorRow[],
  { since, until }: TimeRange,
): Promise<SensorListening[]> {
  const names = sensors.map(row => row.sensor)
  const spans = await readCoverage(context, names, since * MICROSECONDS, until * MICROSECONDS)
  const begins = await readRecordingSince(context, sensors)
  return sensors.map(row => ({ row, spans: spans.get(row.sensor)!, recordingSince: begins.get(row.sensor)! }))
}

/** Without the sensors that begin at or after the end of the range: they are no part of the region in it. */
export function begunBefore(listening: readonly SensorListening[], { until }: TimeRange): SensorListening[] {
  return listening.filter(({ recordingSince }) => recordingSince < until * MICROSECONDS)
}

/** In the order of the sensors. */
export async function readExposures(
  context: QueryContext,
  sensors: readonly SensorRow[],
  range: TimeRange,
): Promise<Exposure[]> {
  return exposuresOf(context, await readListening(context, sensors, range), range)
}

/** In the order of the sensors. Rates rest on all that was listened to, coverage on the time up to now. */
export function exposuresOf(
  { now }: QueryContext,
  listening: readonly SensorListening[],
  { since, until }: TimeRange,
): Exposure[] {
  const from = since * MICROSECONDS
  const to = until * MICROSECONDS
  const passed = Math.min(until, now) * MICROSECONDS
  return listening.map(({ row, spans, recordingSince }) => {
    const listened = listenedWithin(spans, from, to)
    const listenedUntilNow = listenedWithin(spans, from, passed)
    return {
      sensor: row.sensor,
      coverage: partOfTime(listenedUntilNow, Math.max(from, recordingSince), passed),
      rangeCoverage: partOfTime(listenedUntilNow, from, passed),
      hasListened: listened > 0,
      addrDays: (row.ipv4_addr_count * listened) / MICROSECONDS / DAY_SECONDS,
      hasRate: row.ipv4_addr_count > 0 && listened >= LISTENED_MIN,
    }
  })
}

/** Time listened / [from, to), 0 to 1; 0 when [from, to) is empty. */
export function partOfTime(listened: number, from: number, to: number): number {
  return to > from ? listened / (to - from) : 0
}

export interface Comparison {
  /** Sensors that take part, with their exposure in the range. */
  readonly exposures: readonly Exposure[]
  readonly leftOut: readonly string[]
  /** The period of the same length just before; null when nothing is compared. */
  readonly previous: TimeRange | null
}

/**
 * Which sensors take part when a period is compared with the previous one: those that covered both, all of it that has
 * passed; one that began within the previous period saw too little of it to compare. When none did there is nothing to
 * compare, and nobody leaves.
 */
export async function readComparison(
  context: QueryContext,
  sensors: readonly SensorRow[],
  range: TimeRange,
  compare: string,
): Promise<Comparison> {
  const listening = begunBefore(await readListening(context, sensors, range), range)
  const exposures = exposuresOf(context, listening, range)
  const previous = { since: range.since - (range.until - range.since), until: range.since }
  if (compare === 'none' || previous.since < 0) return { exposures, leftOut: [], previous: null }
  const before = await readExposures(
    context,
    listening.map(({ row }) => row),
    previous,
  )
  const stays = exposures.map(
    ({ rangeCoverage }, index) => Math.min(rangeCoverage, before[index]!.rangeCoverage) >= COMPARED_COVERAGE_MIN,
  )
  if (!stays.includes(true)) return { exposures, leftOut: [], previous: null }
  return {
    exposures: exposures.filter((_, index) => stays[index]),
    leftOut: exposures.filter((_, index) => !stays[index]).map(({ sensor }) => sensor),
    previous,
  }
}

/**
 * Sensors with the weight of one IPv4 packet in the mean of the sensors' rates, as a table `sensor, weight`: the sum
 * of weights over packets is the rate.
 */
export function rateWeights(exposures: readonly Exposure[]): Sql {
  const listening = countListening(exposures)
  return sql`SELECT unnest(${bindList(
    'text',
    exposures.map(({ sensor }) => sensor),
  )}) AS sensor, unnest(${bindList(
    'float64',
    exposures.map(({ addrDays, hasRate }) => (hasRate ? 1 / (addrDays * listening) : 0)),
  )}) AS weight`
}

/** Sensors that a rate rests on. */
export function countListening(exposures: readonly Exposure[]): number {
  return exposures.filter(({ hasRate }) => hasRate).length
}

export function answerMeta(
  range: TimeRange,
  { exposures, leftOut, previous }: Comparison,
  totalRows: number,
): AnswerMeta {
  return {
    since: formatTime(range.since),
    until: formatTime(range.until),
    previous_since: previous && formatTime(previous.since),
    sensors: exposures.filter(({ hasListened }) => hasListened).map(({ sensor }) => sensor),
    sensors_left_out: leftOut,
    exposed_addr_days: exposures.reduce((sum, { addrDays }) => sum + addrDays, 0),
    total_rows: totalRows,
  }
}
