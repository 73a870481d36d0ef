import type { QueryRow } from '../../schemas/api.ts'
import { coverageBySensor, weightedRate } from './align.ts'
import type { TimeRange } from './range.ts'

/**
 * What rises, and where: ports by how much their packets per address-day grew against the period before, each with a
 * verdict found by leaving out the top source, then each sensor. A plain comparison of two periods, said as such.
 */

/** Below this growth a port does not count as rising, nor does a sensor. */
export const RISING_FACTOR_MIN = 1.5
/** Fewer packets in the period prove nothing. */
export const RISING_PACKETS_MIN = 50
const RISING_ROWS_MAX = 5

type PortRow = QueryRow<'ports'>

export interface RisingPort {
  readonly row: PortRow
  /** Packets per address-day of both periods; before is 0 for what was not seen. */
  readonly now: number
  readonly before: number
}

/** The ports that grew most, largest growth first. */
export function risingPorts(now: readonly PortRow[], before: readonly PortRow[]): RisingPort[] {
  const previous = new Map(before.map(row => [`${row.service_port}/${row.protocol}`, row.packets_per_addr_day ?? 0]))
  return now
    .map(row => ({
      row,
      now: row.packets_per_addr_day ?? 0,
      before: previous.get(`${row.service_port}/${row.protocol}`) ?? 0,
    }))
    .filter(port => port.row.packet_count >= RISING_PACKETS_MIN && rises(port.now, port.before))
    .sort((a, b) => b.now - b.before - (a.now - a.before))
    .slice(0, RISING_ROWS_MAX)
}

export interface SensorChange {
  readonly sensor: string
  readonly now: number
  readonly before: number
}

export type Verdict =
  /** Without its top source the port does not rise. */
  | { readonly kind: 'source'; readonly source: string; readonly share: number }
  /** Without this sensor it does not rise. */
  | { readonly kind: 'sensor'; readonly sensor: string }
  | { readonly kind: 'everywhere' | 'some'; readonly risen: number; readonly sensors: number }

/** As the hub decides it for rankings: a sensor with less coverage in either period leaves both. */
const COMPARED_COVERAGE_MIN = 0.8

/** Which sensors two periods can be compared by. */
export function comparedSensors(
  coverage: readonly QueryRow<'coverage'>[],
  before: TimeRange,
  now: TimeRange,
  bucketSeconds: number,
): { sensors: string[]; leftOut: string[] } {
  const periods = [before, now].map(range => coverageBySensor(coverage, range, bucketSeconds))
  const names = [...new Set(coverage.map(row => row.sensor))].sort()
  const stays = (name: string): boolean =>
    periods.every(cells => {
      const own = cells.get(name) ?? []
      return own.length > 0 && sum(own) / own.length >= COMPARED_COVERAGE_MIN
    })
  return { sensors: names.filter(stays), leftOut: names.filter(name => !stays(name)) }
}

/** Rows of both periods, by sensor, as the change at each of the sensors. */
export function sensorChanges(
  sensors: readonly string[],
  rows: readonly QueryRow<'traffic'>[],
  coverage: readonly QueryRow<'coverage'>[],
  before: TimeRange,
  now: TimeRange,
  bucketSeconds: number,
): SensorChange[] {
  const cellsBefore = coverageBySensor(coverage, before, bucketSeconds)
  const cellsNow = coverageBySensor(coverage, now, bucketSeconds)
  return sensors.flatMap(sensor => {
    const own = rows.filter(row => row.series === sensor)
    const rateBefore = weightedRate(own, cellsBefore.get(sensor) ?? [], before, bucketSeconds)
    const rateNow = weightedRate(own, cellsNow.get(sensor) ?? [], now, bucketSeconds)
    return rateBefore === null || rateNow === null ? [] : [{ sensor, now: rateNow, before: rateBefore }]
  })
}

/**
 * Who carries the rise.
 * @param topSource the source with most packets in the period, and its part of them; null when unknown
 * @returns null when no sensor listened in both periods
 */
export function verdictOf(
  changes: readonly SensorChange[],
  topSource: { readonly source: string; readonly share: number } | null,
): Verdict | null {
  if (changes.length === 0) return null
  const now = sum(changes.map(change => change.now))
  const before = sum(changes.map(change => change.before))
  if (topSource && !rises(now * (1 - topSource.share), before)) return { kind: 'source', ...topSource }
  const most = changes.reduce((best, change) => (change.now - change.before > best.now - best.before ? change : best))
  if (changes.length > 1 && !rises(now - most.now, before - most.before)) return { kind: 'sensor', sensor: most.sensor }
  const risen = changes.filter(change => rises(change.now, change.before)).length
  // Eight in ten: one sensor in six may be quiet by chance.
  return { kind: risen >= changes.length * 0.8 ? 'everywhere' : 'some', risen, sensors: changes.length }
}

function rises(now: number, before: number): boolean {
  return now > 0 && now >= before * RISING_FACTOR_MIN
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
