import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { reopenDays } from '../../analytics/closed-days.ts'
import { Database } from '../../analytics/database.ts'
import { insertRows } from '../../analytics/insert-rows.ts'
import { joinedSpans } from '../../analytics/listened-spans.ts'
import { bind, sql } from '../../analytics/sql.ts'
import type { Storage } from '../../analytics/storage.ts'
import { COVERAGE_SPAN, SPAN_BASES, type SpanBasis } from '../../schemas/catalog.ts'
import { LISTENED_DAY } from '../../schemas/closed-day.ts'
import { joinSpans, type ListenedSpan } from '../../schemas/coverage.ts'
import { DAY_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { type TestFlow, testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { temporaryStorage } from '../support/storage.ts'

// Closing a day is to change no answer: spans joined by DuckDB and by a plain loop are the same, before and after.

const SECOND = MICROSECONDS
const DAY_1 = Date.UTC(2026, 10, 10) / 1000
const ALL = { sensors: 'all' } as const

const span = fc.record({
  from: fc.integer({ min: 0, max: 400 }),
  length: fc.integer({ min: 1, max: 150 }),
  basis: fc.constantFrom<SpanBasis>(...SPAN_BASES),
})

async function emptyCatalog(): Promise<Database> {
  const folder = temporaryFolder()
  const options = { path: `${folder}/catalog.duckdb`, lake: folder, temporary: folder }
  const database = await Database.open({ ...options, threads: 2, memoryLimit: '500MB' })
  onTestFinished(() => database.close())
  return database
}

test('spans joined in SQL become what the raw ones become, at any usual rate', async () => {
  const database = await emptyCatalog()
  const session = await database.session()
  await session.run(sql`CREATE TEMP TABLE raw (sensor VARCHAR, sha256 VARCHAR, listened_from TIMESTAMP,
    listened_to TIMESTAMP, basis UTINYINT, packet_count UBIGINT)`)
  let joinedCount = 0
  let rawCount = 0
  await fc.assert(
    fc.asyncProperty(fc.array(span, { maxLength: 25 }), fc.constantFrom(1e-9, 0.1, 1), async (spans, rate) => {
      const raw = spans.map(
        ({ from, length, basis }): ListenedSpan => ({
          ...{ from: from * SECOND, to: (from + length) * SECOND },
          ...{ basis, packets: length },
        }),
      )
      await session.run(sql`DELETE FROM raw`)
      await insertRows(
        session,
        'raw',
        COVERAGE_SPAN,
        raw.map(({ from, to, basis, packets }) => ({
          ...{ sensor: 'alpha', sha256: '', listened_from: from, listened_to: to },
          ...{ basis: SPAN_BASES.indexOf(basis), packet_count: packets },
        })),
      )
      const rows = await session.plain(LISTENED_DAY, joinedSpans(sql`SELECT * EXCLUDE (sha256) FROM raw`))
      const joined = rows.map(({ listened_from: from, listened_to: to, basis, packet_count: packets }) => ({
        ...{ from, to, packets },
        basis: SPAN_BASES[basis]!,
      }))
      expect(joinSpans(joined, rate)).toEqual(joinSpans(raw, rate))
      joinedCount += joined.length
      rawCount += raw.length
    }),
    { numRuns: 80 },
  )
  expect(joinedCount).toBeLessThan(rawCount)
  session.close()
})

/** Five days of two sensors in uploads of some hours, with gaps, overlaps and both kinds of spans. */
async function region(): Promise<{ storage: Storage; setNow(seconds: number): void; folder: string }> {
  let now = DAY_1
  const storage = await temporaryStorage({ now: () => now * 1000 })
  for (const [index, sensor] of ['alpha', 'beta'].entries()) {
    await storage.addSensor({ sensor, economy: 'JP', organisation: '', telescope: `192.0.2.${index * 16}/28` })
  }
  const folder = temporaryFolder()
  const uploads = []
  for (let part = 0; part < 14; part++) {
    const from = DAY_1 + part * 9 * 3600
    uploads.push(upload(folder, 'alpha', from, from + (part % 4 === 3 ? 5 : 9) * 3600, 'declared', part))
    if (part % 5 !== 2) uploads.push(upload(folder, 'beta', from + 60, from + 9 * 3600, 'inferred', part * 3))
  }
  now = DAY_1 + 8 * DAY_SECONDS
  await receiveAndCount(storage, uploads)
  return {
    storage,
    folder,
    setNow: seconds => {
      now = seconds
    },
  }
}

function upload(folder: string, sensor: string, from: number, to: number, basis: SpanBasis, packets: number) {
  const flows: TestFlow[] = [from, (from + to) / 2].map((time, index) => ({
    ...{ time, src: `198.18.${packets}.${index}`, service_port: 23, packet_count: (packets % 50) + 1 },
  }))
  const spans = [{ from: from * SECOND, to: to * SECOND, basis, packets: 2 * ((packets % 50) + 1) }]
  return testUpload(folder, { sensor, flows, spans })
}

/** What rests on spans and hours of sensors, over ranges of which some begin within a day. */
async function answers(storage: Storage): Promise<unknown> {
  const all: unknown[] = [await storage.sensorHealth(ALL), await storage.overview(ALL)]
  for (const [since, until] of [
    [0, 8],
    [2.5, 3.25],
    [5, 6],
  ] as const) {
    const range = { since: String(DAY_1 + since * DAY_SECONDS), until: String(DAY_1 + until * DAY_SECONDS) }
    all.push(await storage.query('coverage', { ...range, bucket: '3600' }, ALL))
    all.push(await storage.query('sensors', range, ALL))
    all.push(await storage.query('traffic', { ...range, bucket: '3600', by: 'sensor' }, ALL))
  }
  return all
}

async function closeAll(storage: Storage): Promise<number> {
  let closed = 0
  for (let days = await storage.closeDays(); days > 0; days = await storage.closeDays()) closed += days
  return closed
}

test('answers before and after days are closed are the same, also when what comes late opens one again', async () => {
  const { storage, folder } = await region()
  const before = await answers(storage)
  expect(await closeAll(storage)).toBe(7)
  expect(await answers(storage)).toEqual(before)
  expect(await closeAll(storage)).toBe(0)
  // What lies in a gap of the fourth day: with closed days, and without any.
  const late = () => upload(folder, 'beta', DAY_1 + 3.2 * DAY_SECONDS, DAY_1 + 3.3 * DAY_SECONDS, 'declared', 77)
  await receiveAndCount(storage, [late()])
  const changed = await answers(storage)
  expect(changed).not.toEqual(before)
  expect(await closeAll(storage)).toBe(1)
  expect(await answers(storage)).toEqual(changed)
  const other = await region()
  await receiveAndCount(other.storage, [late()])
  expect(await answers(other.storage)).toEqual(changed)
})

test('what takes spans or sums out of a closed day opens it again', async () => {
  const closed = await region()
  const open = await region()
  const changes: Readonly<Record<string, (storage: Storage) => Promise<unknown>>> = {
    dropDay: storage => storage.dropDay(DAY_1 + 3 * DAY_SECONDS),
    dropExpired: storage => storage.dropExpired({ flows: null, rollups: DAY_1 + 2 * DAY_SECONDS }),
    withdraw: async storage => {
      // Of a day that is still there.
      const receipts = await storage.listReceipts({ sensor: 'beta', limit: 50 })
      const [receipt] = receipts.sort((a, b) => (b.first_packet ?? '').localeCompare(a.first_packet ?? ''))
      await storage.withdrawUpload({ sensor: 'beta', sha256: receipt!.sha256, actor: 'test' })
    },
  }
  let before = await answers(open.storage)
  for (const [name, change] of Object.entries(changes)) {
    await closeAll(closed.storage)
    for (const { storage } of [closed, open]) await change(storage)
    const expected = await answers(open.storage)
    expect(expected, name).not.toEqual(before)
    expect(await answers(closed.storage), name).toEqual(expected)
    before = expected
  }
  expect(await closeAll(closed.storage)).toBeGreaterThan(0)
  expect(await answers(closed.storage)).toEqual(before)
})

test('a day is closed an hour after it has ended, and one that nobody sent anything of, too', async () => {
  const { storage, setNow, folder } = await region()
  setNow(DAY_1 + DAY_SECONDS + 3599)
  expect(await closeAll(storage)).toBe(0)
  setNow(DAY_1 + DAY_SECONDS + 3600)
  expect(await closeAll(storage)).toBe(1)
  setNow(DAY_1 + 30 * DAY_SECONDS)
  // The days without anything with one step.
  expect(await storage.closeDays()).toBeGreaterThan(5)
  await receiveAndCount(storage, [
    upload(folder, 'alpha', DAY_1 + 25 * DAY_SECONDS, DAY_1 + 25.5 * DAY_SECONDS, 'declared', 1),
  ])
  const before = await answers(storage)
  await closeAll(storage)
  expect(await answers(storage)).toEqual(before)
})

test('only days that are closed are opened', async () => {
  const database = await emptyCatalog()
  const session = await database.session()
  for (const statement of [
    sql`CREATE TABLE closed_day (day TIMESTAMP, closed_at TIMESTAMP)`,
    sql`CREATE TABLE listened_day (listened_from TIMESTAMP)`,
    sql`INSERT INTO closed_day SELECT day, day FROM range(TIMESTAMP '2026-11-10', TIMESTAMP '2026-11-14', INTERVAL 1 DAY) AS t(day)`,
    sql`INSERT INTO listened_day SELECT day + INTERVAL 5 HOUR FROM closed_day`,
  ]) {
    await session.run(statement)
  }
  const time = (day: number, hours: number) => (DAY_1 + (day - 10) * DAY_SECONDS + hours * 3600) * SECOND
  await reopenDays(session, time(11, 3), time(12, 23))
  const left = await session.plain(
    { listened_from: LISTENED_DAY.listened_from },
    sql`SELECT listened_from FROM listened_day JOIN closed_day ON day = date_trunc('day', listened_from) ORDER BY 1 LIMIT ${bind('int64', 9)}`,
  )
  expect(left.map(row => row.listened_from)).toEqual([time(10, 5), time(13, 5)])
  session.close()
})
