import type { QueryRow } from '../../schemas/api.ts'
import { DAY_SECONDS, HOUR_SECONDS } from '../../schemas/time.ts'
import { fetchAnswer } from './api.ts'
import { filterParameters, type PageContext, rangeParameters } from './page-context.ts'
import type { TimeRange } from './range.ts'
import { type RisingPort, risingPorts, type SensorChange, sensorChanges, type Verdict, verdictOf } from './rising.ts'
import { viewOf } from './url-state.ts'

/** Reading what `rising.ts` judges. */

/** Ranks that are compared; rarer ports have too few packets to rise by. */
export const PORT_ROWS_MAX = 1000

export interface PortChange {
  readonly changes: readonly SensorChange[]
  readonly verdict: Verdict | null
}

export interface Rising {
  /** False when no sensor listened in the period before. */
  readonly hasBaseline: boolean
  readonly ports: readonly (RisingPort & PortChange)[]
}

function previousRange(range: TimeRange): TimeRange {
  return { since: range.since - (range.until - range.since), until: range.since }
}

export async function fetchRising(context: PageContext, signal: AbortSignal): Promise<Rising> {
  const filters = filterParameters(context.view)
  const limit = String(PORT_ROWS_MAX)
  const now = await fetchAnswer(
    'ports',
    { ...rangeParameters(context.range), ...filters, compare: 'previous', limit },
    signal,
  )
  // The same sensors on both sides: those that had enough coverage in both periods.
  if (now.meta.previous_since === null) return { hasBaseline: false, ports: [] }
  const before = await fetchAnswer(
    'ports',
    {
      ...rangeParameters(previousRange(context.range)),
      ...filters,
      sensor: now.meta.sensors.join(','),
      compare: 'none',
      limit,
    },
    signal,
  )
  const found = risingPorts(now.rows, before.rows)
  const ports = await Promise.all(
    found.map(async port => ({ ...port, ...(await fetchPortChange(context, port.row, signal)) })),
  )
  return { hasBaseline: true, ports }
}

/** How a port changed at each sensor against the period before, and who carries it. */
export async function fetchPortChange(
  context: PageContext,
  port: Pick<QueryRow<'ports'>, 'protocol' | 'service_port'>,
  signal: AbortSignal,
): Promise<PortChange> {
  const { range } = context
  const before = previousRange(range)
  const both = rangeParameters({ since: before.since, until: range.until })
  const onDays = [before.since, range.since, range.until].every(time => time % DAY_SECONDS === 0)
  const bucketSeconds = onDays ? DAY_SECONDS : HOUR_SECONDS
  const bucket = String(bucketSeconds)
  const view = viewOf({ name: 'port', protocol: port.protocol, port: port.service_port }, context.view)
  const filters = filterParameters(view)
  const sensor = view.filters.sensor.join(',')
  const [traffic, coverage, sources] = await Promise.all([
    fetchAnswer('traffic', { ...both, ...filters, bucket, by: 'sensor' }, signal),
    fetchAnswer('coverage', { ...both, ...(sensor ? { sensor } : {}), bucket }, signal),
    fetchAnswer('sources', { ...rangeParameters(range), ...filters, limit: '1' }, signal),
  ])
  const changes = sensorChanges(traffic.rows, coverage.rows, before, range, bucketSeconds)
  const packets = traffic.rows
    .filter(row => Date.parse(row.bucket_start) / 1000 >= range.since)
    .reduce((sum, row) => sum + row.packet_count, 0)
  const top = sources.rows[0]
  const topSource = top && packets > 0 ? { source: top.src_addr, share: top.packet_count / packets } : null
  return { changes, verdict: verdictOf(changes, topSource) }
}
