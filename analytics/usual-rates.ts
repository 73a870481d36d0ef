import type { Table } from '../schemas/column.ts'
import { SENSOR_HOUR } from '../schemas/rollup.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { bind, bindList, type Sql, sql } from './sql.ts'

/**
 * The usual rate of each sensor: the median of packets an hour over all hours that have packets. It rests on years of
 * hours and hardly moves, so of hours that are over only those around their median are kept in memory: with the few
 * later ones they give the median of all, exactly.
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
const HOUR = { sensor: SENSOR_HOUR.sensor, packet_count: MIDDLE.packet_count } as const satisfies Table
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

/** The usual rates as one snapshot of the catalog has them; made before it is. */
export interface UsualRateView {
  /** Reads what is missing in memory, so that the next `read` need not. */
  fill(session: Session, sensors: readonly string[]): Promise<void>
  /** @returns packets an hour; sensors without packets are left out */
  read(session: Session, sensors: readonly string[]): Promise<Map<string, number>>
}

export class UsualRates {
  readonly #middles = new Map<string, Middle>()
  /** Hours before it are in the middles, Unix microseconds. */
  #until = 0
  #changes = 0

  /**
   * Runs work that may change hours of some sensors at or after a time.
   * @param sensors null for all
   * @param since Unix microseconds
   */
  async changing<T>(sensors: readonly string[] | null, since: number, work: () => Promise<T>): Promise<T> {
    // Before and after: a snapshot that began while the change was under way may have either.
    if (since < this.#until) this.#forget(sensors)
    try {
      return await work()
    } finally {
      if (since < this.#until) this.#forget(sensors)
    }
  }

  view(nowMicros: number): UsualRateView {
    const until = Math.floor((nowMicros - LATE) / DAY) * DAY
    if (until !== this.#until) {
      this.#until = until
      this.#forget(null)
    }
    const changes = this.#changes
    /** Those of the snapshot, which are kept unless something changed since the view was made. */
    const middles = async (session: Session, sensors: readonly string[]): Promise<ReadonlyMap<string, Middle>> => {
      const isCurrent = changes === this.#changes
      const missing = sensors.filter(sensor => !isCurrent || !this.#middles.has(sensor))
      // Taken now: what is read later may be forgotten by then.
      const found = new Map(sensors.map(sensor => [sensor, this.#middles.get(sensor) ?? NOTHING]))
      const fresh = missing.length > 0 ? await readMiddles(session, missing, until) : []
      for (const [sensor, middle] of fresh) {
        found.set(sensor, middle)
        if (changes === this.#changes) this.#middles.set(sensor, middle)
      }
      return found
    }
    return {
      fill: async (session, sensors) => {
        await middles(session, sensors)
      },
      read: async (session, sensors) => withLaterHours(session, sensors, until, await middles(session, sensors)),
    }
  }

  #forget(sensors: readonly string[] | null): void {
    this.#changes++
    if (sensors === null) this.#middles.clear()
    else for (const sensor of sensors) this.#middles.delete(sensor)
  }
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

async function withLaterHours(
  session: Session,
  sensors: readonly string[],
  until: number,
  middles: ReadonlyMap<string, Middle>,
): Promise<Map<string, number>> {
  const later = new Map<string, number[]>(sensors.map(sensor => [sensor, []]))
  const rows = await session.plain(HOUR, hourSums(sensors, sql`bucket_start >= ${bind('timestamp_us', until)}`))
  for (const row of rows) later.get(row.sensor)!.push(row.packet_count)
  const rates = new Map<string, number>()
  const many: string[] = []
  for (const [sensor, hours] of later) {
    const middle = middles.get(sensor) ?? NOTHING
    if (middle.hourCount + hours.length === 0) continue
    if (hours.length < MIDDLE_HOURS) rates.set(sensor, medianWith(middle, hours))
    else many.push(sensor)
  }
  if (many.length > 0) for (const [sensor, rate] of await readMedians(session, many)) rates.set(sensor, rate)
  return rates
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
  return sql`SELECT sensor, sum(packet_count)::UBIGINT AS packet_count FROM sensor_hour
    WHERE sensor IN (SELECT unnest(${bindList('text', sensors)})) AND ${condition} GROUP BY sensor, bucket_start`
}
