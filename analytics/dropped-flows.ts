import type { Table } from '../schemas/column.ts'
import { SENSOR_HOUR } from '../schemas/rollup.ts'
import { HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import type { Lake } from './lake.ts'
import { lakeFlows } from './lake-flows.ts'
import { bind, sql } from './sql.ts'

const HOUR = HOUR_SECONDS * MICROSECONDS

const PACKETS = {
  summed: SENSOR_HOUR.packet_count,
  kept: SENSOR_HOUR.packet_count,
} as const satisfies Table

/**
 * Whether hours of a sensor hold more packets in their sums than in the flows of the lake: retention removes flows before
 * their sums. What is then taken out of the numbers, or compared with them, cannot be told from what is left.
 * @param from Unix microseconds, as `to`; the hours that [from, to] touches are looked at
 */
export async function lacksFlows(
  session: Session,
  lake: Lake,
  sensor: string,
  from: number,
  to: number,
): Promise<boolean> {
  const since = Math.floor(from / HOUR) * HOUR
  const until = Math.floor(to / HOUR) * HOUR + HOUR
  const [start, end] = [bind('timestamp_us', since), bind('timestamp_us', until)]
  const files = await lake.files(session, since / MICROSECONDS, until / MICROSECONDS)
  const ofSensor = sql`sensor = ${bind('text', sensor)}`
  const [packets] = await session.plain(
    PACKETS,
    sql`SELECT
      (SELECT coalesce(sum(packet_count), 0) FROM sensor_hour
        WHERE ${ofSensor} AND bucket_start >= ${start} AND bucket_start < ${end}) AS summed,
      (SELECT coalesce(sum(packet_count), 0) FROM (${lakeFlows(files)}) AS flows
        WHERE ${ofSensor} AND interval_start >= ${start} AND interval_start < ${end}) AS kept`,
  )
  return packets!.summed > packets!.kept
}
