import type { QueryRow } from '../../schemas/api.ts'
import { DAY_SECONDS, HOUR_SECONDS } from '../../schemas/time.ts'
import { fetchAnswer } from './api.ts'
import { filterParameters, type PageContext, rangeParameters } from './page-context.ts'
import type { TimeRange } from './range.ts'
import {
  comparedSensors,
  type RisingPort,
  risingPorts,
  type SensorChange,
  sensorChanges,
  type Verdict,
  verdictOf,
} from './rising.ts'
import { viewOf } from './url-state.ts'

/** Reading what `rising.ts` judges. */

/** Ranks that are compared; rarer ports have too few packets to rise by. */
export const PORT_ROWS_MAX = 1000

export interface PortChange {
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
    // The same sensors on both sides.
    sensor: period.sensors.join(','),
    compare: 'none',
    limit: String(PORT_ROWS_MAX),
  }
  const [now, before] = await Promise.all([
    fetchAnswer('ports', { ...rangeParameters(context.range), ...asked }, signal),
    fetchAnswer('ports', { ...rangeParameters(period.before), ...asked }, signal),
  ])
  const found = risingPorts(now.rows, before.rows)
  const ports = await Promise.all(
    found.map(async port => ({ ...port, ...(await fetchPortChange(context, port.row, period, signal)) })),
  )
  return { period, ports }
}

/** The range and the one before it, as they can be compared. */
interface Periods {
  readonly before: TimeRange
  readonly bucketSeconds: number
  /** Sensors that listened enough in both; without any there is nothing to compare. */
  readonly sensors: readonly string[]
  readonly leftOut: readonly string[]
  readonly coverage: readonly QueryRow<'coverage'>[]
}

export async function fetchPeriods(context: PageContext, signal: AbortSignal): Promise<Periods> {
  const { range, view } = context
  const before = { since: range.since - (range.until - range.since), until: range.since }
  const onDays = [before.since, range.since, range.until].every(time => time % DAY_SECONDS === 0)
  const bucketSeconds = onDays ? DAY_SECONDS : HOUR_SECONDS
  const both = rangeParameters({ since: before.since, until: range.until })
  const sensor = view.filters.sensor.join(',')
  const parameters = { ...both, ...(sensor ? { sensor } : {}), bucket: String(bucketSeconds) }
  const { rows } = await fetchAnswer('coverage', parameters, signal)
  return { before, bucketSeconds, ...comparedSensors(rows, before, range, bucketSeconds), coverage: rows }
}

/** How a port changed at each sensor against the period before, and who carries it. */
export async function fetchPortChange(
  context: PageContext,
  port: Pick<QueryRow<'ports'>, 'protocol' | 'service_port'>,
  { before, bucketSeconds, sensors, coverage }: Periods,
  signal: AbortSignal,
): Promise<PortChange> {
  if (sensors.length === 0) return { changes: [], verdict: null }
  const { range } = context
  const view = viewOf({ name: 'port', protocol: port.protocol, port: port.service_port }, context.view)
  const filters = { ...filterParameters(view), sensor: sensors.join(',') }
  const both = rangeParameters({ since: before.since, until: range.until })
  const [traffic, sources] = await Promise.all([
    fetchAnswer('traffic', { ...both, ...filters, bucket: String(bucketSeconds), by: 'sensor' }, signal),
    fetchAnswer('sources', { ...rangeParameters(range), ...filters, limit: '1' }, signal),
  ])
  const changes = sensorChanges(sensors, traffic.rows, coverage, before, range, bucketSeconds)
  const packets = traffic.rows
    .filter(row => Date.parse(row.bucket_start) / 1000 >= range.since)
    .reduce((sum, row) => sum + row.packet_count, 0)
  const top = sources.rows[0]
  const topSource = top && packets > 0 ? { source: top.src_addr, share: top.packet_count / packets } : null
  return { changes, verdict: verdictOf(changes, topSource) }
}
