import { type Answer, QUERIES, type QueryParameters, type QueryRow } from '../../schemas/api.ts'
import type { Column, Table } from '../../schemas/column.ts'
import { protocolName, TRAFFIC_CLASSES } from '../../schemas/protocol.ts'
import { TRAFFIC_HOUR } from '../../schemas/rollup.ts'
import { DAY_SECONDS, formatTime, MICROSECONDS } from '../../schemas/time.ts'
import { listenedByBucket } from '../coverage.ts'
import type { SensorRow } from '../sensors.ts'
import { type Sql, sql } from '../sql.ts'
import { bucketOf } from './buckets.ts'
import { answerMeta, exposuresOf, LISTENED_MIN, readListening, type SensorListening } from './exposure.ts'
import { parseClasses, rollupConditions } from './filters.ts'
import { checkParameters, type QueryContext, resolveRange, selectSensors, type TimeRange } from './request.ts'

const text = (doc: string): Column & { type: 'text' } => ({ type: 'text', role: 'key', sharing: 'withheld', doc })
const SUMS = {
  bucket_start: TRAFFIC_HOUR.bucket_start,
  series: text('Value of the grouping.'),
  sensor: TRAFFIC_HOUR.sensor,
  packet_count: TRAFFIC_HOUR.packet_count,
  byte_count: TRAFFIC_HOUR.byte_count,
  ipv4_packet_count: { ...TRAFFIC_HOUR.packet_count, doc: 'IPv4 packets.' },
} as const satisfies Table
const SOURCES = {
  bucket_start: TRAFFIC_HOUR.bucket_start,
  series: text('Value of the grouping.'),
  src_addr_unique_count: QUERIES.traffic.row.src_addr_unique_count,
} as const satisfies Table

type Grouping = 'class' | 'protocol' | 'sensor' | 'none'

const SERIES: Record<Grouping, Sql> = {
  class: sql`class`,
  protocol: sql`protocol`,
  sensor: sql`sensor`,
  none: sql`'all'`,
}

/** What one bucket holds of one series, before it is a row. */
interface Cell {
  /** Of the bucket, Unix microseconds. */
  readonly start: number
  packets: number
  bytes: number
  sources: number
  /** IPv4 packets by place of the sensor. */
  readonly ipv4: Map<number, number>
}

/** Traffic over time. */
export async function answerTraffic(
  context: QueryContext,
  asked: QueryParameters<'traffic'>,
): Promise<Answer<'traffic'>> {
  const { session } = context
  const parameters = checkParameters(QUERIES.traffic.parameters, asked)
  const bucket = Number(parameters['bucket'])
  const by = parameters['by'] as Grouping
  const range = await resolveRange(context, parameters, bucket)
  const sensors = selectSensors(context, parameters['sensor'])
  const conditions = rollupConditions(context, range, sensors, parameters)
  const bucketStart = bucketOf(bucket)
  // Only the rollup by source knows economies; the other one is much smaller.
  const sums = await session.plain(
    SUMS,
    sql`SELECT ${bucketStart} AS bucket_start, ${SERIES[by]}::VARCHAR AS series, sensor, sum(packet_count) AS packet_count,
      sum(byte_count) AS byte_count, sum(CASE WHEN ip_version = 4 THEN packet_count ELSE 0 END) AS ipv4_packet_count
      FROM ${parameters['economy'] === undefined ? sql`traffic_hour` : sql`source_hour`} WHERE ${conditions}
      GROUP BY ${bucketStart}, ${SERIES[by]}, sensor`,
  )
  const sources = await session.plain(
    SOURCES,
    sql`SELECT bucket_start, series::VARCHAR AS series, count(*) AS src_addr_unique_count FROM (
        SELECT DISTINCT ${bucketStart} AS bucket_start, ${SERIES[by]} AS series, src_addr_high, src_addr_low
        FROM source_hour WHERE ${conditions}
      ) AS sources GROUP BY bucket_start, series`,
  )
  const listening = await readListening(context, sensors, range)
  const exposures = exposuresOf(context, listening, range)
  const cells = new Map<string, Cell>()
  const cellOf = (start: number, series: string): Cell => {
    const key = `${start} ${series}`
    const cell = cells.get(key) ?? { start, packets: 0, bytes: 0, sources: 0, ipv4: new Map() }
    cells.set(key, cell)
    return cell
  }
  const places = new Map(sensors.map((row, place) => [row.sensor, place]))
  for (const row of sums) {
    const cell = cellOf(row.bucket_start, row.series)
    cell.packets += row.packet_count
    cell.bytes += row.byte_count
    cell.ipv4.set(places.get(row.sensor)!, row.ipv4_packet_count)
  }
  for (const row of sources) cellOf(row.bucket_start, row.series).sources = row.src_addr_unique_count
  const rows = trafficRows({
    range,
    bucket,
    by,
    listening,
    cells,
    series: seriesOf(by, sensors, sums, parameters['class']),
  })
  return { meta: answerMeta(range, { exposures, leftOut: [], previous: null }, rows.length), rows }
}

/** The series of an answer, in order: all classes that are asked for, all sensors, and the protocols that occur. */
function seriesOf(
  by: Grouping,
  sensors: readonly SensorRow[],
  sums: readonly { readonly series: string }[],
  classes: string | undefined,
): string[] {
  if (by === 'none') return ['all']
  if (by === 'sensor') return sensors.map(row => row.sensor)
  if (by === 'class') return parseClasses(classes).map(String)
  return [...new Set(sums.map(row => row.series))].sort((a, b) => Number(a) - Number(b))
}

function seriesName(by: Grouping, series: string): string {
  if (by === 'class') return TRAFFIC_CLASSES[Number(series)]!
  return by === 'protocol' ? protocolName(Number(series)) : series
}

interface TrafficParts {
  readonly range: TimeRange
  readonly bucket: number
  readonly by: Grouping
  readonly listening: readonly SensorListening[]
  readonly cells: ReadonlyMap<string, Cell>
  readonly series: readonly string[]
}

function trafficRows({ range, bucket, by, listening, cells, series }: TrafficParts): QueryRow<'traffic'>[] {
  const from = range.since * MICROSECONDS
  const width = bucket * MICROSECONDS
  const listened = listening.map(({ spans }) => listenedByBucket(spans, from, range.until * MICROSECONDS, width))
  const counted = new Set([...cells.values()].map(({ start }) => start))
  const rows: QueryRow<'traffic'>[] = []
  for (let index = 0; index < (range.until - range.since) / bucket; index++) {
    const isListened = listened.some(times => times[index]! > 0)
    if (!isListened && !counted.has(from + index * width)) continue
    /** Rate of one IPv4 packet by place of the sensor; sensors that did not listen have none. */
    const perPacket: { readonly place: number; readonly rate: number }[] = []
    for (const [place, { row }] of listening.entries()) {
      const time = listened[place]![index]!
      if (time < LISTENED_MIN || row.ipv4_addr_count === 0) continue
      perPacket.push({ place, rate: (DAY_SECONDS * MICROSECONDS) / (row.ipv4_addr_count * time) })
    }
    for (const [order, name] of series.entries()) {
      const cell = cells.get(`${from + index * width} ${name}`)
      const wasListened = by === 'sensor' ? listened[order]![index]! > 0 : isListened
      if (!cell && !wasListened) continue
      const of = by === 'sensor' ? perPacket.filter(({ place }) => place === order) : perPacket
      const rates = of.map(({ place, rate }) => (cell?.ipv4.get(place) ?? 0) * rate)
      rows.push({
        bucket_start: formatTime(range.since + index * bucket),
        series: seriesName(by, name),
        packet_count: cell?.packets ?? 0,
        byte_count: cell?.bytes ?? 0,
        src_addr_unique_count: cell?.sources ?? 0,
        packets_per_addr_day: rates.length > 0 ? rates.reduce((sum, rate) => sum + rate, 0) / rates.length : null,
      })
    }
  }
  return rows
}
