import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Database, Session } from '../../analytics/database.ts'
import { insertRows } from '../../analytics/insert-rows.ts'
import { KeptSpans } from '../../analytics/kept-spans.ts'
import { migrate } from '../../analytics/migrations.ts'
import { sql } from '../../analytics/sql.ts'
import { COVERAGE_SPAN, SPAN_BASES, type SpanBasis } from '../../schemas/catalog.ts'
import { joinSpans, type ListenedSpan } from '../../schemas/coverage.ts'
import { MICROSECONDS } from '../../schemas/time.ts'
import { temporaryFolder } from '../support/data-folder.ts'

// Spans in memory give what the rows of the catalog give, whatever is added in which order, and are never ahead of them.

const SENSORS = ['alpha', 'beta']
const RATES = [1e-9, 0.1, 1]

const span = fc
  .record({
    from: fc.integer({ min: 0, max: 400 }),
    length: fc.integer({ min: 1, max: 150 }),
    basis: fc.constantFrom<SpanBasis>(...SPAN_BASES),
  })
  .map(
    ({ from, length, basis }): ListenedSpan => ({
      ...{ from: from * MICROSECONDS, to: (from + length) * MICROSECONDS },
      ...{ basis, packets: length },
    }),
  )
const step = fc.record({
  sensor: fc.constantFrom(...SENSORS),
  spans: fc.array(span, { maxLength: 3 }),
  asks: fc.boolean(),
})

async function newCatalog(): Promise<Database> {
  const folder = temporaryFolder()
  const options = { path: `${folder}/catalog.duckdb`, lake: folder, temporary: folder }
  const database = await Database.open({ ...options, threads: 2, memoryLimit: '500MB' })
  onTestFinished(() => database.close())
  await migrate(database, 0)
  return database
}

async function add(database: Database, kept: KeptSpans, sensor: string, spans: readonly ListenedSpan[]) {
  await database.transaction(async session => {
    await insertRows(
      session,
      'coverage_span',
      COVERAGE_SPAN,
      spans.map(({ from, to, basis, packets }) => ({
        ...{ sensor, sha256: '', listened_from: from, listened_to: to },
        ...{ basis: SPAN_BASES.indexOf(basis), packet_count: packets },
      })),
    )
    session.afterCommit(() => kept.add([{ sensor, spans }]))
  })
}

const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER }

const read = (database: Database, kept: KeptSpans) =>
  database.question(session => kept.view().read(session, SENSORS, ALL))

test('what is kept is joined to what the rows are, at any usual rate', async () => {
  const database = await newCatalog()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
      await database.transaction(session => session.run(sql`DELETE FROM coverage_span`))
      const kept = new KeptSpans()
      const raw = new Map<string, ListenedSpan[]>(SENSORS.map(sensor => [sensor, []]))
      for (const { sensor, spans, asks } of [...steps, { sensor: 'alpha', spans: [], asks: true }]) {
        await add(database, kept, sensor, spans)
        raw.get(sensor)!.push(...spans)
        if (!asks) continue
        const found = await read(database, kept)
        for (const name of SENSORS) {
          for (const rate of RATES) {
            expect(joinSpans(found.get(name)!, rate)).toEqual(joinSpans(raw.get(name)!, rate))
          }
        }
      }
    }),
    { numRuns: 60 },
  )
})

test('spans that follow each other are read once, and stay one', async () => {
  const database = await newCatalog()
  const kept = new KeptSpans()
  await read(database, kept)
  for (let minute = 0; minute < 30; minute++) {
    const from = minute * 60 * MICROSECONDS
    await add(database, kept, 'alpha', [{ from, to: from + 60 * MICROSECONDS, basis: 'declared', packets: 1 }])
  }
  const statements = vi.spyOn(Session.prototype, 'plain')
  const found = await read(database, kept)
  expect(statements).not.toHaveBeenCalled()
  expect(found.get('alpha')).toEqual([{ from: 0, to: 1800 * MICROSECONDS, basis: 'declared', packets: 30 }])
  // What came late is put in order among the rows.
  await add(database, kept, 'alpha', [{ from: 0, to: 1, basis: 'inferred', packets: 2 }])
  expect((await read(database, kept)).get('alpha')!.reduce((sum, { packets }) => sum + packets, 0)).toBe(32)
  expect(statements).toHaveBeenCalled()
  statements.mockRestore()
})

test('a question finds in memory what its snapshot holds, while commits go on', async () => {
  const database = await newCatalog()
  const kept = new KeptSpans()
  await read(database, kept)
  let ended = false
  let asked = 0
  const ask = async () => {
    while (!ended) {
      const [inMemory, inRows] = await database.question(async session => {
        const spans = (await kept.view().read(session, ['alpha'], ALL)).get('alpha')!
        // Others commit meanwhile; the snapshot stays.
        await new Promise(resolve => setTimeout(resolve, asked % 3))
        const rows = await session.plain(COVERAGE_SPAN, sql`SELECT * FROM coverage_span`)
        return [spans, rows]
      })
      expect(inMemory.reduce((sum, { packets }) => sum + packets, 0)).toBe(inRows.length)
      asked++
    }
  }
  const asking = [ask(), ask(), ask()]
  for (let second = 0; second < 150; second++) {
    const from = second * MICROSECONDS
    await add(database, kept, 'alpha', [{ from, to: from + MICROSECONDS, basis: 'declared', packets: 1 }])
  }
  ended = true
  await Promise.all(asking)
  expect(asked).toBeGreaterThan(20)
})

test('of more spans than are kept the older ones are read from the rows, and the first is known', async () => {
  const database = await newCatalog()
  const kept = new KeptSpans()
  const minute = 60 * MICROSECONDS
  // Each by itself: declared, and parted by silences.
  const spans = Array.from({ length: 5000 }, (_, index): ListenedSpan => {
    const from = (10 + 3 * index) * minute
    return { from, to: from + minute, basis: 'declared', packets: 1 }
  })
  await add(database, kept, 'alpha', spans.slice(0, 1500))
  const range = (first: number, last: number) => ({ from: spans[first]!.from, to: spans[last]!.to })
  const touching = async (first: number, last: number) => {
    const { from, to } = range(first, last)
    const found = await database.question(session => kept.view().read(session, SENSORS, { from, to }))
    return found.get('alpha')!.filter(({ from: start, to: end }) => end > from && start < to)
  }
  for (let count = 1500; count <= 5000; count += 500) {
    if (count > 1500) await add(database, kept, 'alpha', spans.slice(count - 500, count))
    expect(await touching(0, count - 1)).toEqual(spans.slice(0, count))
    expect(await touching(count - 1200, count - 700)).toEqual(spans.slice(count - 1200, count - 699))
    const statements = vi.spyOn(Session.prototype, 'plain')
    expect(await touching(count - 400, count - 1)).toEqual(spans.slice(count - 400, count))
    expect(statements).not.toHaveBeenCalled()
    statements.mockRestore()
    const firsts = await database.question(session => kept.view().readFirst(session, SENSORS))
    expect([...firsts]).toEqual([
      ['alpha', spans[0]!.from],
      ['beta', null],
    ])
  }
})

test('work that may change anything leaves nothing kept, also of what was read meanwhile', async () => {
  const database = await newCatalog()
  const kept = new KeptSpans()
  await add(database, kept, 'alpha', [{ from: 0, to: 1000, basis: 'declared', packets: 1 }])
  expect((await read(database, kept)).get('alpha')).toHaveLength(1)
  await kept.changing(async () => {
    expect((await read(database, kept)).get('alpha')).toHaveLength(1)
    await database.transaction(session => session.run(sql`DELETE FROM coverage_span`))
  })
  expect((await read(database, kept)).get('alpha')).toEqual([])
})
