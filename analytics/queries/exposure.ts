import type { AnswerMeta } from '../../schemas/api.ts'
import { type ListenedSpan, listenedWithin } from '../../schemas/coverage.ts'
import { DAY_SECONDS, formatTime, INTERVAL_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { readCoverage } from '../coverage.ts'
import type { Session } from '../database.ts'
import { bindList, type Sql, sql } from '../sql.ts'
import type { SensorRow, TimeRange } from './request.ts'

/** What one sensor listened to in a range: the denominator of its rate. */
export interface Exposure {
  readonly sensor: string
  /** Time listened / time of the range. */
  readonly coverage: number
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

/** Listened spans per sensor in and around a range. */
export function readSpans(
  session: Session,
  sensors: readonly SensorRow[],
  { since, until }: TimeRange,
): Promise<Map<string, ListenedSpan[]>> {
  return readCoverage(
    session,
    sensors.map(row => row.sensor),
    since * MICROSECONDS,
    until * MICROSECONDS,
  )
}

/** In the order of the sensors. */
export async function readExposures(
  session: Session,
  sensors: readonly SensorRow[],
  range: TimeRange,
): Promise<Exposure[]> {
  return exposuresOf(sensors, await readSpans(session, sensors, range), range)
}

/** In the order of the sensors. */
export function exposuresOf(
  sensors: readonly SensorRow[],
  spans: ReadonlyMap<string, readonly ListenedSpan[]>,
  { since, until }: TimeRange,
): Exposure[] {
  const from = since * MICROSECONDS
  const to = until * MICROSECONDS
  return sensors.map(row => {
    const listened = listenedWithin(spans.get(row.sensor)!, from, to)
    return {
      sensor: row.sensor,
      coverage: listened / (to - from),
      addrDays: (row.ipv4_addr_count * listened) / MICROSECONDS / DAY_SECONDS,
      hasRate: row.ipv4_addr_count > 0 && listened >= LISTENED_MIN,
    }
  })
}

export interface Comparison {
  /** Sensors that take part, with their exposure in the range. */
  readonly exposures: readonly Exposure[]
  readonly leftOut: readonly string[]
  /** The period of the same length just before; null when nothing is compared. */
  readonly previous: TimeRange | null
}

/**
 * Which sensors take part when a period is compared with the previous one: those that covered both. When none did
 * there is nothing to compare, and nobody leaves.
 */
export async function readComparison(
  session: Session,
  sensors: readonly SensorRow[],
  range: TimeRange,
  compare: string,
): Promise<Comparison> {
  const exposures = await readExposures(session, sensors, range)
  const previous = { since: range.since - (range.until - range.since), until: range.since }
  if (compare === 'none' || previous.since < 0) return { exposures, leftOut: [], previous: null }
  const before = await readExposures(session, sensors, previous)
  const stays = exposures.map(
    ({ coverage }, index) => Math.min(coverage, before[index]!.coverage) >= COMPARED_COVERAGE_MIN,
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
    sensors: exposures.filter(({ coverage }) => coverage > 0).map(({ sensor }) => sensor),
    sensors_left_out: leftOut,
    exposed_addr_days: exposures.reduce((sum, { addrDays }) => sum + addrDays, 0),
    total_rows: totalRows,
  }
}
