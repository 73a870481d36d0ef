import type { QueryRow } from '../../schemas/api.ts'
import type { TimeRange } from './range.ts'
import type { Measure } from './url-state.ts'

/**
 * Rows of the hub as columns for the chart. A bucket in which somebody listened and nothing came is zero; a bucket in
 * which nobody listened is null, a gap, so that a silent sensor never looks like falling traffic.
 */

export interface AlignedTraffic {
  /** Starts of all buckets of the range, Unix seconds, ascending. */
  readonly time: number[]
  readonly series: readonly AlignedSeries[]
}

interface AlignedSeries {
  readonly name: string
  readonly values: (number | null)[]
}

type TrafficRow = QueryRow<'traffic'>
type CoverageRow = QueryRow<'coverage'>

interface AlignOptions {
  readonly range: TimeRange
  readonly bucketSeconds: number
  readonly measure: Measure
  /** Series to show even when they have no row, in this order; others follow by name. */
  readonly names: readonly string[]
  /** True when series are sensors: then each has its own gaps. */
  readonly bySensor: boolean
}

export function bucketTimes(range: TimeRange, bucketSeconds: number): number[] {
  const count = Math.max(0, Math.ceil((range.until - range.since) / bucketSeconds))
  return Array.from({ length: count }, (_, index) => range.since + index * bucketSeconds)
}

function bucketIndex(start: string, range: TimeRange, bucketSeconds: number): number {
  return Math.floor((Date.parse(start) / 1000 - range.since) / bucketSeconds)
}

function measureOf(row: TrafficRow, measure: Measure): number | null {
  if (measure === 'packets') return row.packet_count
  return measure === 'sources' ? row.src_addr_unique_count : row.packets_per_addr_day
}

/** The columns of a chart. The coverage rows must have the same range and bucket as the traffic rows. */
export function alignTraffic(
  rows: readonly TrafficRow[],
  coverage: readonly CoverageRow[],
  options: AlignOptions,
): AlignedTraffic {
  const { range, bucketSeconds } = options
  const time = bucketTimes(range, bucketSeconds)
  const listened = coverageBySensor(coverage, range, bucketSeconds)
  const anyone = time.map((_, index) => [...listened.values()].some(cells => (cells[index] ?? 0) > 0))
  const found = new Set(rows.map(row => row.series))
  for (const name of options.names) found.delete(name)
  const names = [...options.names, ...[...found].sort()]
  const values = new Map(
    names.map(name => {
      const own = options.bySensor ? (listened.get(name) ?? []) : null
      return [name, time.map((_, index) => ((own ? (own[index] ?? 0) > 0 : anyone[index]) ? 0 : null) as number | null)]
    }),
  )
  for (const row of rows) {
    const index = bucketIndex(row.bucket_start, range, bucketSeconds)
    // Packets are proof of listening even where no span says so; a rate without exposure stays a gap.
    if (index >= 0 && index < time.length) values.get(row.series)![index] = measureOf(row, options.measure)
  }
  return { time, series: names.map(name => ({ name, values: values.get(name)! })) }
}

/** Listened part of each bucket per sensor, 0 where there is no row. */
export function coverageBySensor(
  rows: readonly CoverageRow[],
  range: TimeRange,
  bucketSeconds: number,
): Map<string, number[]> {
  const length = bucketTimes(range, bucketSeconds).length
  const sensors = new Map<string, number[]>()
  for (const row of rows) {
    const index = bucketIndex(row.bucket_start, range, bucketSeconds)
    if (index < 0 || index >= length) continue
    let cells = sensors.get(row.sensor)
    if (!cells) {
      cells = new Array<number>(length).fill(0)
      sensors.set(row.sensor, cells)
    }
    cells[index] = row.coverage
  }
  return sensors
}

/** When sensors began, Unix seconds by name: before it there is nothing to miss. */
export type Beginnings = ReadonlyMap<string, number>

export function beginningsOf(sensors: readonly Pick<QueryRow<'sensors'>, 'sensor' | 'recording_since'>[]): Beginnings {
  return new Map(sensors.map(row => [row.sensor, Date.parse(row.recording_since) / 1000]))
}

/**
 * Seconds of each bucket that a sensor could have listened to: since it began, up to now. The coverage of a bucket is
 * a part of these; where there are none, nothing is missing.
 * @param began undefined when unknown: then all that has passed counts
 */
export function countableSeconds(
  range: TimeRange,
  bucketSeconds: number,
  began: number | undefined,
  now: number,
): number[] {
  return bucketTimes(range, bucketSeconds).map(start =>
    Math.max(0, Math.min(start + bucketSeconds, range.until, now) - Math.max(start, began ?? start)),
  )
}

/** Seconds listened, of cells and what they are parts of. */
export function listenedSeconds(cells: readonly number[], countable: readonly number[]): number {
  return countable.reduce((total, seconds, index) => total + (cells[index] ?? 0) * seconds, 0)
}

/** A run of buckets alike: `full` listened to at least 95 %, `none` not at all, `part` in between; `outside` before the
 * sensor began or still to come. */
export interface CoverageRun {
  readonly from: number
  readonly to: number
  readonly level: 'full' | 'part' | 'none' | 'outside'
  /** Mean of the buckets, 0 to 1. */
  readonly coverage: number
}

/** Below it a bucket shows as partly covered; clocks and file cuts cost a few seconds an hour. */
const COVERAGE_FULL_MIN = 0.95

/**
 * The cells of one sensor joined into runs, for drawing and for reading aloud.
 * @param countable of the same buckets
 */
export function coverageRuns(
  cells: readonly number[],
  countable: readonly number[],
  range: TimeRange,
  bucketSeconds: number,
): CoverageRun[] {
  const levels = countable.map((seconds, index) => (seconds > 0 ? coverageLevel(cells[index] ?? 0) : 'outside'))
  const runs: CoverageRun[] = []
  let first = 0
  for (let index = 1; index <= levels.length; index++) {
    if (levels.length === 0 || (index < levels.length && levels[index] === levels[first])) continue
    const part = countable.map((_, at) => cells[at] ?? 0).slice(first, index)
    runs.push({
      from: range.since + first * bucketSeconds,
      to: Math.min(range.until, range.since + index * bucketSeconds),
      level: levels[first]!,
      coverage: part.reduce((sum, cell) => sum + cell, 0) / part.length,
    })
    first = index
  }
  return runs
}

function coverageLevel(coverage: number): 'full' | 'part' | 'none' {
  if (coverage >= COVERAGE_FULL_MIN) return 'full'
  return coverage > 0 ? 'part' : 'none'
}

/** How many of the sensors listened in each bucket, for shading what rests on fewer. */
export function listeningCounts(sensors: readonly (readonly number[])[], length: number): number[] {
  return Array.from({ length }, (_, index) => sensors.filter(cells => (cells[index] ?? 0) >= 0.5).length)
}

/** How many of the sensors had begun and could listen in each bucket; 0 for what is still to come. */
export function expectedCounts(countable: readonly (readonly number[])[], length: number): number[] {
  return Array.from({ length }, (_, index) => countable.filter(seconds => seconds[index]! > 0).length)
}

/**
 * Mean rate of one sensor's rows over a range: its buckets weighted by how long each was listened to, which is packets
 * by exposed address-days of the whole range.
 * @returns null when it never listened
 */
export function weightedRate(
  rows: readonly TrafficRow[],
  cells: readonly number[],
  countable: readonly number[],
  range: TimeRange,
  bucketSeconds: number,
): number | null {
  const exposure = listenedSeconds(cells, countable)
  if (exposure === 0) return null
  let weighted = 0
  for (const row of rows) {
    const index = bucketIndex(row.bucket_start, range, bucketSeconds)
    weighted += (row.packets_per_addr_day ?? 0) * (cells[index] ?? 0) * (countable[index] ?? 0)
  }
  return weighted / exposure
}
