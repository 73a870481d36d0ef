import type { AnswerMeta, QueryRow } from '../../schemas/api.ts'
import { DAY_SECONDS, HOUR_SECONDS } from '../../schemas/time.ts'
import { beginningsOf } from './align.ts'
import { fetchAnswer } from './api.ts'
import { filterParameters, type PageContext, rangeParameters } from './page-context.ts'
import {
  byGrowth,
  comparedSensors,
  type LeftOut,
  meanRates,
  type PeriodPair,
  RISING_ROWS_MAX,
  type RisingPort,
  rises,
  risingCandidates,
  type SensorChange,
  sensorChanges,
  type TopSource,
  type Verdict,
  verdictOf,
} from './rising.ts'
import { viewOf } from './url-state.ts'

/** Reading what `rising.ts` judges. */

/** Ranks that are compared; rarer ports have too few packets to rise by. */
export const PORT_ROWS_MAX = 1000
/** Candidates whose exact numbers are asked for; each takes two questions or three. */
const CANDIDATES_MAX = 4 * RISING_ROWS_MAX

export interface PortChange {
  readonly period: Periods
  readonly changes: readonly SensorChange[]
  readonly verdict: Verdict | null
}

export interface Rising {
  readonly period: Periods
  readonly ports: readonly (RisingPort & PortChange)[]
}

export async function fetchRising(context: PageContext, signal: AbortSignal): Promise<Rising> {
  const period = await fetchPeriods(context, signal)
  if (period.sensors.length === 0) return { period, ports: [] }
  const asked = {
    ...filterParameters(context.view),
    class: comparedClass(context),
    // The same sensors on both sides.
    sensor: period.sensors.join(','),
    compare: 'none',
    limit: String(PORT_ROWS_MAX),
  }
  const [now, before] = await Promise.all([
    fetchAnswer('ports', { ...rangeParameters(context.range), ...asked }, signal),
    fetchAnswer('ports', { ...rangeParameters(period.before), ...asked }, signal),
  ])
  const candidates = risingCandidates(now.rows, before.rows).slice(0, CANDIDATES_MAX)
  const ports: (RisingPort & PortChange)[] = []
  while (ports.length < RISING_ROWS_MAX && candidates.length > 0) {
    const exact = await Promise.all(
      candidates.splice(0, RISING_ROWS_MAX).map(async ({ row }) => {
        const change = await fetchPortChange(context, row, period, signal)
        return { row, ...meanRates(change.changes), ...change }
      }),
    )
    ports.push(...exact.filter(port => rises(port.now, port.before)))
  }
  return { period, ports: ports.sort(byGrowth).slice(0, RISING_ROWS_MAX) }
}

/** What is compared when no class was chosen: answers to attacks elsewhere (backscatter) are no scans. */
export function comparedClass({ view }: PageContext): string {
  return view.filters.class.join(',') || 'scan'
}

/** The range and the one before it, as they can be compared. */
export interface Periods extends PeriodPair {
  /** Sensors that listened enough in both; without any there is nothing to compare. */
  readonly sensors: readonly string[]
  readonly leftOut: readonly LeftOut[]
  readonly coverage: readonly QueryRow<'coverage'>[]
}

export async function fetchPeriods(context: PageContext, signal: AbortSignal): Promise<Periods> {
  const { range, view } = context
  const before = { since: range.since - (range.until - range.since), until: range.since }
  const onDays = [before.since, range.since, range.until].every(time => time % DAY_SECONDS === 0)
  const bucketSeconds = onDays ? DAY_SECONDS : HOUR_SECONDS
  const both = rangeParameters({ since: before.since, until: range.until })
  const wanted = view.filters.sensor
  const parameters = {
    ...both,
    ...(wanted.length > 0 ? { sensor: wanted.join(',') } : {}),
    bucket: String(bucketSeconds),
  }
  const [coverage, sensors] = await Promise.all([
    fetchAnswer('coverage', parameters, signal),
    fetchAnswer('sensors', both, signal),
  ])
  const names = sensors.rows.map(row => row.sensor).filter(name => wanted.length === 0 || wanted.includes(name))
  const pair = { before, range, bucketSeconds, begins: beginningsOf(sensors.rows), now: Date.now() / 1000 }
  return { ...pair, ...comparedSensors(names, coverage.rows, pair), coverage: coverage.rows }
}

/** What is known of the sensors that an answer leaves out; nothing when the periods are those of another answer. */
export function leftOutOf(period: Periods | undefined, meta: AnswerMeta): readonly LeftOut[] {
  if (!period) return []
  const isSame =
    Date.parse(meta.since) === period.range.since * 1000 && Date.parse(meta.until) === period.range.until * 1000
  return isSame ? period.leftOut : []
}

/** How a port changed at each sensor against the period before, and who carries it. */
export async function fetchPortChange(
  context: PageContext,
  port: Pick<QueryRow<'ports'>, 'protocol' | 'service_port'>,
  period: Periods,
  signal: AbortSignal,
): Promise<PortChange> {
  const { before, range, bucketSeconds, sensors, coverage } = period
  if (sensors.length === 0) return { period, changes: [], verdict: null }
  const view = viewOf({ name: 'port', protocol: port.protocol, port: port.service_port }, context.view)
  const filters = { ...filterParameters(view), class: comparedClass(context), sensor: sensors.join(',') }
  const both = rangeParameters({ since: before.since, until: range.until })
  const [traffic, sources] = await Promise.all([
    fetchAnswer('traffic', { ...both, ...filters, bucket: String(bucketSeconds), by: 'sensor' }, signal),
    fetchAnswer('sources', { ...rangeParameters(range), ...filters, limit: '1' }, signal),
  ])
  const changes = sensorChanges(sensors, traffic.rows, coverage, period)
  const packetsOf = (isNow: boolean): number =>
    traffic.rows
      .filter(row => Date.parse(row.bucket_start) / 1000 >= range.since === isNow)
      .reduce((sum, row) => sum + row.packet_count, 0)
  const top = sources.rows[0]
  const packets = packetsOf(true)
  if (!top || packets === 0) return { period, changes, verdict: verdictOf(changes, null) }
  const topSource: TopSource = { source: top.src_addr, share: top.packet_count / packets, shareBefore: 0 }
  const packetsBefore = packetsOf(false)
  const suspected = verdictOf(changes, topSource)
  if (suspected?.kind !== 'source' || packetsBefore === 0) return { period, changes, verdict: suspected }
  // Only now does it matter what it sent before; below these ranks it was little.
  const earlier = await fetchAnswer(
    'sources',
    { ...rangeParameters(before), ...filters, limit: String(PORT_ROWS_MAX) },
    signal,
  )
  const own = earlier.rows.find(row => row.src_addr === top.src_addr)?.packet_count ?? 0
  return { period, changes, verdict: verdictOf(changes, { ...topSource, shareBefore: own / packetsBefore }) }
}
