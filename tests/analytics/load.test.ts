import { describe, expect, onTestFinished, test } from 'vitest'
import { ColumnAppender, type ColumnValues } from '../../analytics/append.ts'
import { Database, type Session } from '../../analytics/database.ts'
import { BatchLoader, GROUP_FLOW_COLUMNS } from '../../analytics/load.ts'
import { bind, columnDefinitions, columnType, join, sql } from '../../analytics/sql.ts'
import { parseAddress } from '../../schemas/address.ts'
import { physicalColumns, type Table } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import { type TestFlow, writeTestBatch } from '../support/batch-builder.ts'
import { temporaryFolder } from '../support/data-folder.ts'

async function temporarySession(): Promise<Session> {
  const folder = temporaryFolder()
  const database = await Database.open({
    path: `${folder}/catalog.duckdb`,
    lake: folder,
    temporary: folder,
    threads: 2,
    memoryLimit: '500MB',
  })
  const session = await database.session()
  onTestFinished(async () => {
    session.close()
    await database.close()
  })
  return session
}

const column = (type: 'uint8' | 'uint64' | 'float64' | 'boolean' | 'text' | 'timestamp_us' | 'bits64') =>
  ({ type, role: 'note', sharing: 'members', nullable: true, doc: 'x' }) as const
const EVERYTHING = {
  u8: column('uint8'),
  u64: column('uint64'),
  bits: column('bits64'),
  f64: column('float64'),
  yes: column('boolean'),
  word: column('text'),
  moment: column('timestamp_us'),
} as const satisfies Table

describe('appending', () => {
  /** Around the size of DuckDB's vectors, where chunks begin and end. */
  test.each([0, 1, 2047, 2048, 2049, 5000])('%i rows by typed array and by value are the same rows', async count => {
    const session = await temporarySession()
    await session.run(sql`CREATE TEMP TABLE t (${columnDefinitions(EVERYTHING)})`)
    const appender = await ColumnAppender.open(session, { name: 't', temporary: true }, physicalColumns(EVERYTHING))
    const rows = Array.from({ length: count }, (_, index) => index)
    const big = rows.map(row => 2n ** 63n + BigInt(row))
    const words = rows.map(row => (row % 7 === 0 ? null : `word ${row} that is longer than twelve bytes`))
    const yes = rows.map(row => row % 3 === 0)
    const typed: ColumnValues[] = [
      Uint8Array.from(rows),
      BigUint64Array.from(rows, row => BigInt(row)),
      BigUint64Array.from(big),
      Float64Array.from(rows, row => row / 4),
      yes,
      words,
      BigInt64Array.from(rows, row => BigInt(row) * -1_000_001n),
    ]
    const plain: ColumnValues[] = [
      rows.map(row => row & 255),
      rows,
      big,
      rows.map(row => row / 4),
      yes,
      words,
      rows.map(row => row * -1_000_001),
    ]
    appender.append(typed, count)
    appender.append(plain, count)
    appender.close()
    const read = await session.plain(EVERYTHING, sql`SELECT * FROM t`)
    const expected = rows.map(row => ({
      u8: row & 255,
      u64: row,
      bits: big[row],
      f64: row / 4,
      yes: yes[row],
      word: words[row],
      moment: row === 0 ? 0 : row * -1_000_001,
    }))
    expect(read).toEqual([...expected, ...expected])
  })

  test('an array of another width is refused before its bytes are taken for something else', async () => {
    const session = await temporarySession()
    await session.run(sql`CREATE TEMP TABLE t (${columnDefinitions({ u64: EVERYTHING.u64 })})`)
    const appender = await ColumnAppender.open(
      session,
      { name: 't', temporary: true },
      physicalColumns({ u64: EVERYTHING.u64 }),
    )
    expect(() => appender.append([new Uint32Array(1)], 1)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  })
})

test('every column of FLOW comes out of the table as it went into the batch', async () => {
  const session = await temporarySession()
  await session.run(sql`CREATE TEMP TABLE group_flow (${join(GROUP_FLOW_COLUMNS.map(columnType), ', ')})`)
  const numeric = Object.entries(FLOW).filter(
    ([name, { type }]) => type !== 'ip_addr' && type !== 'timestamp_us' && name !== 'class' && name !== 'ip_version',
  )
  const flows: TestFlow[] = Array.from({ length: 7000 }, (_, row) => ({
    time: 1_700_000_040 + row * 60,
    src: row % 2 ? '203.0.113.7' : '2001:db8::7',
    class: 'other',
    ...Object.fromEntries(numeric.map(([name], index) => [name, (row * 31 + index * 7) % 200])),
  }))
  const batch = writeTestBatch(temporaryFolder(), { sensor: 'alpha', flows })
  const loader = await BatchLoader.open(session, 'group_flow')
  expect(await loader.load(batch.path, 5)).toBe(7000)
  expect(await loader.load(batch.path, 6)).toBe(7000)
  loader.close()
  for (const upload of [5, 6]) {
    const rows = await session.plain(
      FLOW,
      sql`SELECT * FROM group_flow WHERE upload = ${bind('uint32', upload)} ORDER BY interval_start`,
    )
    expect(rows).toEqual(
      flows.map(({ time, src, class: _, ...rest }, row) => ({
        interval_start: time * 1e6,
        ip_version: row % 2 ? 4 : 6,
        src_addr: parseAddress(src),
        victim_addr: 0n,
        class: 2,
        ...rest,
        dst_index: BigInt(rest.dst_index!),
        syn_profile: BigInt(rest['syn_profile'] as number),
      })),
    )
  }
})

// A folder opens and cannot be read; what is not there cannot be opened. The upload is at fault for neither.
test.each(['/nowhere/batch.arrow', '/'])('a batch file that cannot be read (%s) is no invalid batch', async path => {
  const session = await temporarySession()
  await session.run(sql`CREATE TEMP TABLE loaded (${join(GROUP_FLOW_COLUMNS.map(columnType), ', ')})`)
  const loader = await BatchLoader.open(session, 'loaded')
  await expect(loader.load(path, 0)).rejects.toMatchObject({ code: 'STORAGE_FAILED', details: { fatal: false } })
})
