import type { QueryRow } from '../../schemas/api.ts'
import { type Beginnings, countableSeconds, coverageBySensor, listenedSeconds, weightedRate } from './align.ts'
import type { TimeRange } from './range.ts'

/**
 * What rises, and where: ports by how much their packets per address-day grew against the period before, each with a
 * verdict found by leaving out the top source, then each sensor. A plain comparison of two periods, said as such.
 */

/** Below this growth a port does not count as rising, nor does a sensor. */
export const RISING_FACTOR_MIN = 1.5
/** Fewer packets in the period prove nothing. */
export const RISING_PACKETS_MIN = 50
export const RISING_ROWS_MAX = 5

type PortRow = QueryRow<'ports'>

export interface RisingPort {
  readonly row: PortRow
  /** Packets per address-day of both periods; before is 0 for what was not seen. */
  readonly now: number
  readonly before: number
}

/**
 * Ports that may have grown most, largest growth first. What the earlier answer does not hold counts as 0 there, though
 * it may only have been too rare for it: exact numbers decide (`rises`).
 */
export function risingCandidates(now: readonly PortRow[], before: readonly PortRow[]): RisingPort[] {
  const previous = new Map(before.map(row => [`${row.service_port}/${row.protocol}`, row.packets_per_addr_day ?? 0]))
  return now
    .map(row => ({
      row,
      now: row.packets_per_addr_day ?? 0,
      before: previous.get(`${row.service_port}/${row.protocol}`) ?? 0,
    }))
    .filter(port => port.row.packet_count >= RISING_PACKETS_MIN && rises(port.now, port.before))
    .sort(byGrowth)
}

/** Largest growth first. */
export function byGrowth(a: Growth, b: Growth): number {
  return b.now - b.before - (a.now - a.before)
}

export interface Growth {
  readonly now: number
  readonly before: number
}

export interface SensorChange extends Growth {
  readonly sensor: string
}

export type Verdict =
  /** Without its top source, which carries most of the increase, the port does not rise. */
  | { readonly kind: 'source'; readonly source: string; readonly share: number }
  /** Without this sensor it does not rise. */
  | { readonly kind: 'sensor'; readonly sensor: string }
  | { readonly kind: 'everywhere' | 'some'; readonly risen: number; readonly sensors: number }

/** As the hub decides it for rankings: a sensor with less coverage in either period leaves both. */
const COMPARED_COVERAGE_MIN = 0.8

/** Two periods of the same length, one after the other, and what is needed to know who listened in them. */
export interface PeriodPair {
  readonly before: TimeRange
  readonly range: TimeRange
  readonly bucketSeconds: number
  readonly begins: Beginnings
  /** Unix seconds. */
  readonly now: number
}

/** A sensor that leaves a comparison, with the part of each period that it listened to. */
export interface LeftOut extends Growth {
  readonly sensor: string
}

/** Which of the sensors two periods can be compared by. */
export function comparedSensors(
  names: readonly string[],
  coverage: readonly QueryRow<'coverage'>[],
  pair: PeriodPair,
): { sensors: string[]; leftOut: LeftOut[] } {
  const { before, range, bucketSeconds, begins, now } = pair
  const listened = names.map(sensor => {
    const partOf = (period: TimeRange): number => {
      const cells = coverageBySensor(coverage, period, bucketSeconds).get(sensor) ?? []
      const countable = countableSeconds(period, bucketSeconds, begins.get(sensor), now)
      // Of all that has passed: who began within the period saw too little of it.
      const passed = Math.min(period.until, now) - period.since
      return passed > 0 ? listenedSeconds(cells, countable) / passed : 0
    }
    return { sensor, before: partOf(before), now: partOf(range) }
  })
  const stays = (part: LeftOut): boolean => !isTooLittle(part.before) && !isTooLittle(part.now)
  return {
    sensors: listened.filter(stays).map(({ sensor }) => sensor),
    leftOut: listened.filter(part => !stays(part)),
  }
}

/** Whether a part of a period that was listened to is too small to compare by. */
export function isTooLittle(coverage: number): boolean {
  return coverage < COMPARED_COVERAGE_MIN
}

/** Rows of both periods, by sensor, as the change at each of the sensors. */
export function sensorChanges(
  sensors: readonly string[],
  rows: readonly QueryRow<'traffic'>[],
  coverage: readonly QueryRow<'coverage'>[],
  { before, range, bucketSeconds, begins, now }: PeriodPair,
): SensorChange[] {
  const cellsBefore = coverageBySensor(coverage, before, bucketSeconds)
  const cellsNow = coverageBySensor(coverage, range, bucketSeconds)
  return sensors.flatMap(sensor => {
    const own = rows.filter(row => row.series === sensor)
    const rateOf = (cells: ReadonlyMap<string, readonly number[]>, period: TimeRange): number | null => {
      const countable = countableSeconds(period, bucketSeconds, begins.get(sensor), now)
      return weightedRate(own, cells.get(sensor) ?? [], countable, period, bucketSeconds)
    }
    const rateBefore = rateOf(cellsBefore, before)
    const rateNow = rateOf(cellsNow, range)
    return rateBefore === null || rateNow === null ? [] : [{ sensor, now: rateNow, before: rateBefore }]
  })
}

/** The source with most packets of a period; shares are parts of all packets of the same period, 0 to 1. */
export interface TopSource {
  readonly source: string
  readonly share: number
  readonly shareBefore: number
}

/**
 * Who carries the rise.
 * @param topSource the source with most packets in the period, and its part of the packets then and before; null when
 * unknown
 * @returns null when no sensor listened in both periods
 */
export function verdictOf(changes: readonly SensorChange[], topSource: TopSource | null): Verdict | null {
  if (changes.length === 0) return null
  const now = sum(changes.map(change => change.now))
  const before = sum(changes.map(change => change.before))
  if (topSource) {
    const { source, share, shareBefore } = topSource
    const own = { now: now * share, before: before * shareBefore }
    const carriesMost = own.now - own.before > (now - before) / 2
    if (carriesMost && !rises(now - own.now, before - own.before)) return { kind: 'source', source, share }
  }
  const most = changes.reduce((best, change) => (change.now - change.before > best.now - best.before ? change : best))
  if (changes.length > 1 && !rises(now - most.now, before - most.before)) return { kind: 'sensor', sensor: most.sensor }
  const risen = changes.filter(change => rises(change.now, change.before)).length
  // Eight in ten: one sensor in six may be quiet by chance.
  return { kind: risen >= changes.length * 0.8 ? 'everywhere' : 'some', risen, sensors: changes.length }
}

/** Mean rates over the sensors that listened in both periods. */
export function meanRates(changes: readonly SensorChange[]): Growth {
  const mean = (pick: (change: SensorChange) => number): number =>
    changes.length === 0 ? 0 : changes.reduce((sum, change) => sum + pick(change), 0) / changes.length
  return { now: mean(change => change.now), before: mean(change => change.before) }
}

export function rises(now: number, before: number): boolean {
  return now > 0 && now >= before * RISING_FACTOR_MIN
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
