import { type Answer, QUERIES, type QueryParameters, type QueryRow } from '../../schemas/api.ts'
import type { Table } from '../../schemas/column.ts'
import { formatTime, MICROSECONDS } from '../../schemas/time.ts'
import { listenedByBucket } from '../coverage.ts'
import { sql } from '../sql.ts'
import { bucketOf } from './buckets.ts'
import { answerMeta, exposuresOf, readSpans } from './exposure.ts'
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
  const sensors = await selectSensors(context, parameters['sensor'])
  const spans = await readSpans(session, sensors, range)
  const exposures = exposuresOf(sensors, spans, range)
  const sums = await session.plain(
    ROW,
    sql`SELECT ${bucketOf(bucket)} AS bucket_start, sensor, sum(packet_count) AS packet_count FROM sensor_hour
      WHERE ${rollupConditions(range, sensors, {})} GROUP BY ${bucketOf(bucket)}, sensor`,
  )
  const packets = new Map(sums.map(row => [`${row.bucket_start} ${row.sensor}`, row.packet_count]))
  const rows: QueryRow<'coverage'>[] = []
  const from = range.since * MICROSECONDS
  const width = bucket * MICROSECONDS
  const listened = sensors.map(row => listenedByBucket(spans.get(row.sensor)!, from, range.until * MICROSECONDS, width))
  for (let index = 0; index < (range.until - range.since) / bucket; index++) {
    for (const [place, row] of sensors.entries()) {
      const count = packets.get(`${from + index * width} ${row.sensor}`) ?? 0
      const coverage = listened[place]![index]! / width
      if (coverage === 0 && count === 0) continue
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
