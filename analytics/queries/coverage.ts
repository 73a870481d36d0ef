import { type Answer, QUERIES, type QueryParameters, type QueryRow } from '../../schemas/api.ts'
import type { Table } from '../../schemas/column.ts'
import type { ListenedSpan } from '../../schemas/coverage.ts'
import { formatTime, MICROSECONDS } from '../../schemas/time.ts'
import { listenedByBucket } from '../coverage.ts'
import { sql } from '../sql.ts'
import { bucketOf } from './buckets.ts'
import { answerMeta, begunBefore, exposuresOf, partOfTime, readListening } from './exposure.ts'
import { rollupConditions } from './filters.ts'
import { checkParameters, type QueryContext, resolveRange, selectSensors } from './request.ts'

const { bucket_start, sensor, packet_count } = QUERIES.coverage.row
const ROW = { bucket_start, sensor, packet_count } as const satisfies Table

/** When each sensor listened. */
export async function answerCoverage(
  context: QueryContext,
  asked: QueryParameters<'coverage'>,
): Promise<Answer<'coverage'>> {
  const { session } = context
  const parameters = checkParameters(QUERIES.coverage.parameters, asked)
  const bucket = Number(parameters['bucket'])
  const range = await resolveRange(context, parameters, bucket)
  const sensors = selectSensors(context, parameters['sensor'])
  const listening = begunBefore(await readListening(context, sensors, range), range)
  const exposures = exposuresOf(context, listening, range)
  const sums = await session.plain(
    ROW,
    sql`SELECT ${bucketOf(bucket)} AS bucket_start, sensor, sum(packet_count) AS packet_count FROM sensor_hour
      WHERE ${rollupConditions(context, range, sensors, {})} GROUP BY ${bucketOf(bucket)}, sensor`,
  )
  const packets = new Map(listening.map(({ row }) => [row.sensor, new Map<number, number>()]))
  for (const row of sums) packets.get(row.sensor)?.set(row.bucket_start, row.packet_count)
  const rows: QueryRow<'coverage'>[] = []
  const from = range.since * MICROSECONDS
  const width = bucket * MICROSECONDS
  const to = range.until * MICROSECONDS
  const now = context.now * MICROSECONDS
  const listened = listening.map(({ spans }) => listenedByBucket(cutAt(spans, now), from, to, width))
  // A bucket that has not begun is no gap.
  const begun = Math.ceil((Math.min(to, now) - from) / width)
  for (let index = 0; index < begun; index++) {
    const start = from + index * width
    for (const [place, { row, recordingSince }] of listening.entries()) {
      const count = packets.get(row.sensor)!.get(start) ?? 0
      const time = listened[place]![index]!
      if (time === 0 && count === 0) continue
      const coverage = partOfTime(time, Math.max(start, recordingSince), Math.min(start + width, now))
      rows.push({
        bucket_start: formatTime(range.since + index * bucket),
        sensor: row.sensor,
        coverage,
        packet_count: count,
      })
    }
  }
  return { meta: answerMeta(range, { exposures, leftOut: [], previous: null }, rows.length), rows }
}

function cutAt(spans: readonly ListenedSpan[], end: number): ListenedSpan[] {
  return spans.filter(({ from }) => from < end).map(span => ({ ...span, to: Math.min(span.to, end) }))
}
