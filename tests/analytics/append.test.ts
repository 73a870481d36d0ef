import { describe, expect, onTestFinished, test } from 'vitest'
import { ColumnAppender, type ColumnValues } from '../../analytics/append.ts'
import { Database, type Session } from '../../analytics/database.ts'
import { columnDefinitions, sql } from '../../analytics/sql.ts'
import { physicalColumns, type Table } from '../../schemas/column.ts'
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
