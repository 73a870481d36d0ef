import type { Table } from '../schemas/column.ts'
import { SENSOR_HOUR } from '../schemas/rollup.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { KeptBySensor } from './kept-by-sensor.ts'
import { bind, bindList, type Sql, sql } from './sql.ts'

/**
 * The usual rate of each sensor: the median of packets an hour over all hours that have packets. It rests on years of
 * hours and hardly moves, so of hours that are over only those around their median are kept in memory: with the later
 * ones, which are kept as they come, they give the median of all, exactly.
 */

/** Hours kept on either side of the median: as many later ones can move it no further. */
const MIDDLE_HOURS = 128
const DAY = DAY_SECONDS * MICROSECONDS
const LATE = HOUR_SECONDS * MICROSECONDS

const MIDDLE = {
  sensor: SENSOR_HOUR.sensor,
  hour_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Hours with packets.' },
  first_place: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Hours below the first one kept.' },
  packet_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Packets of an hour.' },
} as const satisfies Table
const HOUR = {
  sensor: SENSOR_HOUR.sensor,
  bucket_start: SENSOR_HOUR.bucket_start,
  packet_count: MIDDLE.packet_count,
} as const satisfies Table
const RATE = {
  sensor: SENSOR_HOUR.sensor,
  packets_per_hour: { type: 'float64', role: 'measure', sharing: 'members', doc: 'Median of hours with packets.' },
} as const satisfies Table

/** Packets of hours around their median, in order. */
interface Middle {
  readonly hourCount: number
  readonly firstPlace: number
  readonly packets: readonly number[]
}
const NOTHING: Middle = { hourCount: 0, firstPlace: 0, packets: [] }

/** Of one sensor. */
interface Hours {
  readonly middle: Middle
  /** Packets by start of the hour, Unix microseconds. */
  readonly later: ReadonlyMap<number, number>
}

/** The usual rates as one snapshot of the catalog has them. */
export interface UsualRateView {
  /** @returns packets an hour; sensors without packets are left out */
  read(session: Session, sensors: readonly string[]): Promise<Map<string, number>>
}

export class UsualRates {
  readonly #kept = new KeptBySensor<Hours>()
  /** Hours before it are in the middles, Unix microseconds. */
  #until = 0

  /** To be called when a snapshot has just been taken. */
  view(nowMicros: number): UsualRateView {
    const until = Math.floor((nowMicros - LATE) / DAY) * DAY
    if (until !== this.#until) {
      this.#until = until
      this.#kept.clear()
    }
    const hours = this.#kept.view((session, sensors) => readHours(session, sensors, until))
    return { read: async (session, sensors) => await ratesOf(session, sensors, await hours.read(session, sensors)) }
  }

  /** Adds packets of a commit that no question sees yet. */
  add(packets: readonly { sensor: string; bucket_start: number; packet_count: number }[]): void {
    this.#kept.add(packets, ({ middle, later: before }, additions) => {
      const later = new Map(before)
      for (const { bucket_start, packet_count } of additions) {
        if (bucket_start < this.#until) return null
        // As many as are not looked at any more.
        if (later.size >= MIDDLE_HOURS) break
        later.set(bucket_start, (later.get(bucket_start) ?? 0) + packet_count)
      }
      return { middle, later }
    })
  }

  /** Runs work that may change any hours in any way. */
  changing<T>(work: () => Promise<T>): Promise<T> {
    return this.#kept.changing(work)
  }
}

async function readHours(session: Session, sensors: readonly string[], until: number): Promise<Map<string, Hours>> {
  const middles = await readMiddles(session, sensors, until)
  const later = new Map<string, Map<number, number>>(sensors.map(sensor => [sensor, new Map()]))
  const rows = await session.plain(
    HOUR,
    sql`SELECT sensor, bucket_start, packet_count FROM (
        SELECT *, row_number() OVER (PARTITION BY sensor ORDER BY bucket_start) AS place
        FROM (${hourSums(sensors, sql`bucket_start >= ${bind('timestamp_us', until)}`)}) AS hours) AS placed
      WHERE place <= ${bind('int64', MIDDLE_HOURS)}`,
  )
  for (const { sensor, bucket_start, packet_count } of rows) later.get(sensor)!.set(bucket_start, packet_count)
  return new Map(sensors.map(sensor => [sensor, { middle: middles.get(sensor)!, later: later.get(sensor)! }]))
}

async function ratesOf(
  session: Session,
  sensors: readonly string[],
  hours: ReadonlyMap<string, Hours>,
): Promise<Map<string, number>> {
  const rates = new Map<string, number>()
  const many: string[] = []
  for (const sensor of sensors) {
    const { middle, later } = hours.get(sensor)!
    if (middle.hourCount + later.size === 0) continue
    if (later.size < MIDDLE_HOURS) rates.set(sensor, medianWith(middle, [...later.values()]))
    else many.push(sensor)
  }
  if (many.length > 0) for (const [sensor, rate] of await readMedians(session, many)) rates.set(sensor, rate)
  return rates
}

async function readMiddles(session: Session, sensors: readonly string[], until: number) {
  const beside = bind('int64', MIDDLE_HOURS)
  const rows = await session.plain(
    MIDDLE,
    sql`SELECT sensor, hour_count, first_place, unnest(packets[first_place + 1 : first_place + 1 + 2 * ${beside}])::UBIGINT AS packet_count
      FROM (SELECT sensor, hour_count, greatest(0, hour_count // 2 - ${beside}) AS first_place, packets
        FROM (SELECT sensor, count(*) AS hour_count, list_sort(list(packet_count)) AS packets
          FROM (${hourSums(sensors, sql`bucket_start < ${bind('timestamp_us', until)}`)}) AS hours GROUP BY sensor) AS lists) AS places`,
  )
  const middles = new Map<string, Middle & { packets: number[] }>(
    sensors.map(sensor => [sensor, { ...NOTHING, packets: [] }]),
  )
  for (const row of rows) {
    const { packets } = middles.get(row.sensor)!
    packets.push(row.packet_count)
    middles.set(row.sensor, { hourCount: row.hour_count, firstPlace: row.first_place, packets })
  }
  return middles
}

/** The median of all hours; between two it is the mean of both. */
function medianWith({ hourCount, firstPlace, packets }: Middle, later: readonly number[]): number {
  const ordered = [...packets, ...later].sort((a, b) => a - b)
  const last = hourCount + later.length - 1
  const below = ordered[Math.floor(last / 2) - firstPlace]!
  return below + (ordered[Math.ceil(last / 2) - firstPlace]! - below) * 0.5
}

/** For sensors whose clocks ran far ahead. */
async function readMedians(session: Session, sensors: readonly string[]): Promise<Map<string, number>> {
  const rows = await session.plain(
    RATE,
    sql`SELECT sensor, median(packet_count)::DOUBLE AS packets_per_hour
      FROM (${hourSums(sensors, sql`true`)}) AS hours GROUP BY sensor`,
  )
  return new Map(rows.map(row => [row.sensor, row.packets_per_hour]))
}

function hourSums(sensors: readonly string[], condition: Sql): Sql {
  return sql`SELECT sensor, bucket_start, sum(packet_count)::UBIGINT AS packet_count FROM sensor_hour
    WHERE sensor IN (SELECT unnest(${bindList('text', sensors)})) AND ${condition} GROUP BY sensor, bucket_start`
}
