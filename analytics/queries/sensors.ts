import { type Answer, QUERIES, type QueryParameters } from '../../schemas/api.ts'
import { SENSOR } from '../../schemas/catalog.ts'
import type { Table } from '../../schemas/column.ts'
import { MICROSECONDS } from '../../schemas/time.ts'
import { formatMicroseconds, type PlainRow } from '../rows.ts'
import { sql } from '../sql.ts'
import { answerMeta, begunBefore, exposuresOf, readListening } from './exposure.ts'
import { rollupConditions } from './filters.ts'
import { checkParameters, ofSensors, type QueryContext, resolveRange, selectSensors } from './request.ts'
import { readUploadStates } from './upload-states.ts'

const { packet_count, src_addr_unique_count } = QUERIES.sensors.row
const PACKETS = {
  sensor: SENSOR.sensor,
  packet_count,
  ipv4_packet_count: { ...packet_count, doc: 'IPv4 packets.' },
} as const satisfies Table
const SOURCES = { sensor: SENSOR.sensor, src_addr_unique_count } as const satisfies Table

/** Who takes part, and how each is doing. */
export async function answerSensors(
  context: QueryContext,
  asked: QueryParameters<'sensors'>,
): Promise<Answer<'sensors'>> {
  const { session } = context
  const range = await resolveRange(context, checkParameters(QUERIES.sensors.parameters, asked))
  const sensors = selectSensors(context)
  const all = await readListening(context, sensors, range)
  // Without an end that was asked for the list is whole: a sensor registered after the last data is one to look after.
  const listening = asked.until === undefined ? all : begunBefore(all, range)
  const exposures = exposuresOf(context, listening, range)
  const conditions = rollupConditions(context, range, sensors, {})
  const packets = bySensor(
    await session.plain(
      PACKETS,
      sql`SELECT sensor, sum(packet_count) AS packet_count,
        sum(CASE WHEN ip_version = 4 THEN packet_count ELSE 0 END) AS ipv4_packet_count
        FROM sensor_hour WHERE ${conditions} GROUP BY sensor`,
    ),
  )
  const sources = bySensor(
    await session.plain(
      SOURCES,
      sql`SELECT sensor, count(*) AS src_addr_unique_count FROM (
        SELECT DISTINCT sensor, src_addr_high, src_addr_low FROM source_hour WHERE ${conditions}) AS sources GROUP BY sensor`,
    ),
  )
  const statesOf = await readUploadStates(session, ofSensors(context, sensors))
  const lastUploads = await context.lastUploads.read(session, context.now * MICROSECONDS)
  return {
    meta: answerMeta(range, { exposures, leftOut: [], previous: null }, listening.length),
    rows: listening.map(({ row, recordingSince }, index) => {
      const { coverage, addrDays, hasRate } = exposures[index]!
      const sums = packets.get(row.sensor)
      const states = statesOf(row.sensor)
      const lastUpload = lastUploads.get(row.sensor)
      return {
        sensor: row.sensor,
        economy: row.economy,
        organisation: row.organisation,
        ipv4_addr_count: row.ipv4_addr_count,
        has_ipv6: row.has_ipv6,
        recording_since: formatMicroseconds(BigInt(recordingSince)),
        packet_count: sums?.packet_count ?? 0,
        src_addr_unique_count: sources.get(row.sensor)?.src_addr_unique_count ?? 0,
        packets_per_addr_day: hasRate ? (sums?.ipv4_packet_count ?? 0) / addrDays : null,
        coverage,
        last_upload_at: lastUpload === undefined ? null : formatMicroseconds(BigInt(lastUpload)),
        pending_count: states.in('received'),
        quarantined_count: states.in('quarantined'),
        held_count: states.in('held'),
        withdrawn_count: states.in('withdrawn'),
        remark_count: states.remarkCount,
      }
    }),
  }
}

function bySensor<R extends PlainRow<{ sensor: typeof SENSOR.sensor }>>(rows: readonly R[]): Map<string, R> {
  return new Map(rows.map(row => [row.sensor, row]))
}
