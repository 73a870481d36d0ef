import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database, type Session } from '../../analytics/database.ts'
import { rollupRows } from '../../analytics/rollup.ts'
import { identifier, literal, sql } from '../../analytics/sql.ts'
import { sumColumns } from '../../collector/hour-sums.ts'
import type { Table } from '../../schemas/column.ts'
import { SOURCE_HOUR, TRAFFIC_HOUR } from '../../schemas/rollup.ts'
import { TOOLS, toolColumn } from '../../schemas/tool.ts'
import { type TestFlow, testUpload } from '../support/batch-builder.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Two ways to the hourly sums: a table of keys in the parsing child, and the engine's GROUP BY over the flows.

const newFolder = temporaryFolders()
const HOUR = Date.UTC(2026, 10, 20) / 1000

let database: Database
let session: Session
beforeAll(async () => {
  const folder = newFolder()
  const options = { path: `${folder}/catalog.duckdb`, lake: '/', temporary: folder }
  database = await Database.open({ ...options, threads: 1, memoryLimit: '500MB' })
  session = await database.session()
})
afterAll(async () => {
  session.close()
  await database.close()
})

const anyFlow: fc.Arbitrary<TestFlow> = fc.record(
  {
    time: fc.integer({ min: HOUR - 7200, max: HOUR + 7200 }),
    src: fc.oneof(
      fc.nat(5).map(host => `198.18.0.${host}`),
      fc.nat(5).map(host => `2001:db8:${host}::1`),
      fc.constantFrom('255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '::'),
    ),
    protocol: fc.constantFrom(1, 6, 17, 255),
    service_port: fc.constantFrom(0, 23, 65_535),
    class: fc.constantFrom('scan', 'backscatter', 'other'),
    packet_count: fc.integer({ min: 1, max: 255 }),
    byte_count: fc.nat(2 ** 32 - 1),
    ...Object.fromEntries(TOOLS.map(({ name }) => [toolColumn(name), fc.nat(255)])),
  },
  { requiredKeys: ['time', 'src'] },
)

async function rowsOf(table: Table, rows: ReturnType<typeof sql>): Promise<unknown[]> {
  const { sensor: _, ...columns } = table
  const names = sumColumns(table).map(({ name }) => identifier(name))
  const list = names.reduce((all, name) => sql`${all}, ${name}`)
  return await session.plain(columns, sql`SELECT ${list} FROM (${rows}) AS sums ORDER BY ALL`)
}

describe.each([
  ['sources', SOURCE_HOUR],
  ['traffic', TRAFFIC_HOUR],
] as const)('%s', (file, table) => {
  it('are the same from the child and from the engine', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyFlow, { minLength: 1, maxLength: 200 }), async flows => {
        const [batch] = testUpload(newFolder(), { sensor: 'alpha', flows }).batches
        const parquet = (path: string) => sql`SELECT 'alpha' AS sensor, * FROM read_parquet([${literal(path)}])`
        const actual = await rowsOf(table, parquet(batch![file]))
        expect(actual).toEqual(await rowsOf(table, rollupRows(table, parquet(batch!.path))))
      }),
      { numRuns: 60 },
    )
  })

  it('grow beyond the room that they begin with', async () => {
    const flows = Array.from({ length: 5000 }, (_, row) => ({
      time: HOUR + (row % 3) * 3600,
      src: `198.18.${row >> 8}.${row & 255}`,
      service_port: row,
    }))
    const [batch] = testUpload(newFolder(), { sensor: 'alpha', flows }).batches
    const parquet = (path: string) => sql`SELECT 'alpha' AS sensor, * FROM read_parquet([${literal(path)}])`
    const actual = await rowsOf(table, parquet(batch![file]))
    expect(actual).toHaveLength(5000)
    expect(actual).toEqual(await rowsOf(table, rollupRows(table, parquet(batch!.path))))
  })
})
