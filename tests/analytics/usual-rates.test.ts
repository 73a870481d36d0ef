import { beforeAll, expect, test, vi } from 'vitest'
import { Database, Session } from '../../analytics/database.ts'
import { migrate } from '../../analytics/migrations.ts'
import { bind, bindList, sql } from '../../analytics/sql.ts'
import { UsualRates } from '../../analytics/usual-rates.ts'
import { temporaryFolder } from '../support/data-folder.ts'

// Held against a plain loop over all hours: the middle that is kept in memory gives the very median.

const HOUR = 3_600_000_000
const NOW = Date.UTC(2026, 10, 22, 12) * 1000
const TODAY = Date.UTC(2026, 10, 22) * 1000
const SENSORS = ['alpha', 'beta', 'gamma', 'silent']

let database: Database
/** Sensor and hour to packets. */
let hours: Map<string, number>

beforeAll(async () => {
  const cleaning: (() => void | Promise<void>)[] = []
  const folder = temporaryFolder(clean => cleaning.push(clean))
  const options = { path: `${folder}/catalog.duckdb`, lake: folder, temporary: folder }
  database = await Database.open({ ...options, threads: 2, memoryLimit: '500MB' })
  await migrate(database, 0)
  hours = new Map()
  return async () => {
    await database.close()
    for (const clean of cleaning.reverse()) await clean()
  }
})

/** @param from hours from the start of today */
async function add(rates: UsualRates, sensor: string, from: number, packets: readonly number[]): Promise<void> {
  const places = packets.map((_, index) => TODAY + (from + index) * HOUR)
  await database.transaction(session => {
    const sums = places.map((bucket_start, index) => ({ sensor, bucket_start, packet_count: packets[index]! }))
    session.afterCommit(() => rates.add(sums))
    return session.run(sql`INSERT INTO sensor_hour BY NAME SELECT ${bind('text', sensor)} AS sensor,
      unnest(${bindList('timestamp_us', places)}) AS bucket_start, 4 AS ip_version, unnest(${bindList('uint64', packets)}) AS packet_count,
      0 AS byte_count`)
  })
  for (const [index, place] of places.entries()) {
    const key = `${sensor} ${place}`
    hours.set(key, (hours.get(key) ?? 0) + packets[index]!)
  }
}

function plainMedians(): Map<string, number> {
  return new Map(
    SENSORS.flatMap(sensor => {
      const packets = [...hours].filter(([key]) => key.startsWith(`${sensor} `)).map(([, count]) => count)
      packets.sort((a, b) => a - b)
      const half = packets.length / 2
      if (packets.length === 0) return []
      return [[sensor, (packets[Math.ceil(half) - 1]! + packets[Math.floor(half)]!) / 2]]
    }),
  )
}

/** Numbers in no order, the same each time. */
function scattered(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 + ((Math.imul(index + seed, 2_654_435_761) >>> 0) % 1000))
}

test('the median of all hours, whatever is added when', async () => {
  const rates = new UsualRates()
  const read = () => database.question(session => rates.view(NOW).read(session, SENSORS))
  await add(rates, 'alpha', -5000, scattered(5000, 1))
  await add(rates, 'beta', -40, scattered(37, 2))
  await add(rates, 'gamma', 0, scattered(11, 3))
  expect(await read()).toEqual(plainMedians())
  for (let hour = 0; hour < 12; hour++) {
    await add(rates, 'alpha', hour, [hour % 2 === 0 ? 1 : 2000])
    await add(rates, 'beta', hour, [2000 + hour])
    // The same hour in several parts.
    await add(rates, 'gamma', 3, [hour])
    expect(await read()).toEqual(plainMedians())
  }
  const statements = vi.spyOn(Session.prototype, 'plain')
  await read()
  expect(statements).not.toHaveBeenCalled()
  statements.mockRestore()
  // A clock that is far ahead: more later hours than the middle reaches.
  await add(rates, 'beta', 100, scattered(400, 4))
  expect(await read()).toEqual(plainMedians())
  // Late data, in some parts of one hour.
  for (const seed of [5, 6]) {
    await add(rates, 'alpha', -3000, scattered(2500, seed))
    expect(await read()).toEqual(plainMedians())
  }
  // The next day has another middle.
  const tomorrow = NOW + 24 * HOUR
  const later = () => database.question(session => rates.view(tomorrow).read(session, SENSORS))
  expect(await later()).toEqual(plainMedians())
})

test('a snapshot from before a change is not kept for those after it', async () => {
  const rates = new UsualRates()
  await add(rates, 'alpha', -9000, scattered(4000, 7))
  const before = plainMedians()
  const early = database.question(async session => {
    const view = rates.view(NOW)
    const more = scattered(4000, 8).map(n => n * 9)
    await add(rates, 'alpha', -9000, more)
    return await view.read(session, SENSORS)
  })
  expect(await early).toEqual(before)
  expect(plainMedians().get('alpha')).not.toBe(before.get('alpha'))
  expect(await database.question(session => rates.view(NOW).read(session, SENSORS))).toEqual(plainMedians())
})
