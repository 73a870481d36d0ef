import type { Answer, QueryRow } from '../../schemas/api.ts'
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
  if (now.meta.previous_since === null) return { hasBaseline: false, ports: [] }
  // The same sensors on both sides: those that had enough coverage in both periods.
  const sensor = now.meta.sensors.join(',')
  const previous = rangeParameters(previousRange(context.range))
  const [before, coverages] = await Promise.all([
    fetchAnswer('ports', { ...previous, ...filters, sensor, compare: 'none', limit }, signal),
    fetchBothCoverages(context, signal),
  ])
  const found = risingPorts(now.rows, before.rows)
  const ports = await Promise.all(
    found.map(async port => ({ ...port, ...(await fetchPortChange(context, port.row, coverages, signal)) })),
  )
  return { hasBaseline: true, ports }
}

/** Both periods, in buckets that fit them. */
interface Coverages {
  readonly both: TimeRange
  readonly bucketSeconds: number
  readonly answer: Answer<'coverage'>
}

export async function fetchBothCoverages(context: PageContext, signal: AbortSignal): Promise<Coverages> {
  const { range, view } = context
  const both = { since: previousRange(range).since, until: range.until }
  const onDays = [both.since, range.since, both.until].every(time => time % DAY_SECONDS === 0)
  const bucketSeconds = onDays ? DAY_SECONDS : HOUR_SECONDS
  const sensor = view.filters.sensor.join(',')
  const parameters = { ...rangeParameters(both), ...(sensor ? { sensor } : {}), bucket: String(bucketSeconds) }
  return { both, bucketSeconds, answer: await fetchAnswer('coverage', parameters, signal) }
}

/** How a port changed at each sensor against the period before, and who carries it. */
export async function fetchPortChange(
  context: PageContext,
  port: Pick<QueryRow<'ports'>, 'protocol' | 'service_port'>,
  { both, bucketSeconds, answer: coverage }: Coverages,
  signal: AbortSignal,
): Promise<PortChange> {
  const { range } = context
  const view = viewOf({ name: 'port', protocol: port.protocol, port: port.service_port }, context.view)
  const filters = filterParameters(view)
  const [traffic, sources] = await Promise.all([
    fetchAnswer(
      'traffic',
      { ...rangeParameters(both), ...filters, bucket: String(bucketSeconds), by: 'sensor' },
      signal,
    ),
    fetchAnswer('sources', { ...rangeParameters(range), ...filters, limit: '1' }, signal),
  ])
  const changes = sensorChanges(traffic.rows, coverage.rows, previousRange(range), range, bucketSeconds)
  const packets = traffic.rows
    .filter(row => Date.parse(row.bucket_start) / 1000 >= range.since)
    .reduce((sum, row) => sum + row.packet_count, 0)
  const top = sources.rows[0]
  const topSource = top && packets > 0 ? { source: top.src_addr, share: top.packet_count / packets } : null
  return { changes, verdict: verdictOf(changes, topSource) }
}
