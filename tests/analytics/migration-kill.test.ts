import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { CATALOG } from '../../analytics/migrations.ts'
import { duckdbColumns } from '../../schemas/column.ts'
import { BUILD, DEFECTS, withBrokenBuild } from '../faults/broken-build.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { hasCommand, requireExternal } from '../support/external.ts'

// A catalog of the first shape, with receipts, is migrated by a process that dies at its Nth write, sync or removal of
// a file of the catalog. Whenever that is, the next start brings the catalog to the same rows as one that nothing met.

const RECEIPTS = 20_000
/** Tables and columns that the first shape had not. */
const LATER_TABLES =
  /^(audit|receipt_key|receipt_key_recent|upload_spool|sequence_gap|sensor_key|invitation|closed_day|listened_day|changed_day)$/
const LATER_COLUMNS = /^(upload_id|overlaps_with|accepted_at|spool|sequence|clock_skew_seconds|is_sorted)$/
const FILES = ['catalog.duckdb', 'catalog.duckdb.wal'] as const
/** System calls that change a file, and how many points of each are met: the last, and some before it. */
const CALLS: Readonly<Record<string, number>> = { fsync: 3, pwrite64: 2, write: 1, unlink: 1 }
const KILLED = 137

const CHILD = `
  const { openStorage } = await import(process.argv[2])
  await (await openStorage({ data: process.argv[1], geography: null, threads: 1 })).close()`

let source: string

async function withCatalog<T>(
  path: string,
  work: (run: (sql: string) => Promise<Record<string, unknown>[]>) => Promise<T>,
): Promise<T> {
  const instance = await DuckDBInstance.create(path, { threads: '1' })
  const connection = await instance.connect()
  try {
    return await work(async sql => (await connection.runAndReadAll(sql)).getRowObjectsJson())
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** The shape that was released first: no audit log, an index on digests, no keys. */
beforeAll(async () => {
  source = temporaryFolder(afterAll)
  await withCatalog(join(source, FILES[0]), async run => {
    for (const [name, { table }] of Object.entries(CATALOG)) {
      if (LATER_TABLES.test(name)) continue
      const columns = Object.entries(table).filter(([column]) => !LATER_COLUMNS.test(column))
      await run(`CREATE TABLE ${name} (${duckdbColumns(Object.fromEntries(columns))})`)
    }
    await run('CREATE INDEX receipt_index ON receipt (sha256)')
    await run('CREATE TABLE migration (number UINTEGER NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)')
    await run("INSERT INTO migration VALUES (1, 'catalog and hourly rollups', 'epoch')")
    await run(`INSERT INTO receipt BY NAME SELECT 'alpha' AS sensor, sha256(i::VARCHAR) AS sha256, 0 AS kind, 1 AS state,
      i AS byte_count,
      CASE WHEN i % 2 = 0 THEN sha256(concat('content ', i)) END AS content_sha256, make_timestamp(1700000000000000 + i) AS received_at FROM range(${RECEIPTS}) AS t(i)`)
  })
})

/**
 * Migrates a copy of the source in a process under strace, which writes down what it does to the files of the catalog.
 * @param kill the call, and the how many-th of it in its thread, at which the process dies; null for none
 */
function migrateCopy(build: string, kill: readonly [call: string, nth: number] | null) {
  const data = temporaryFolder()
  copyFileSync(join(source, FILES[0]), join(data, FILES[0]))
  const log = join(data, 'strace.log')
  const paths = FILES.flatMap(name => ['-P', join(data, name)])
  const inject = kill ? ['-e', `inject=${kill[0]}:signal=KILL:when=${kill[1]}`] : []
  const child = spawnSync(
    'strace',
    [
      ...['-f', '-qq', '-o', log, ...paths, '-e', `trace=${Object.keys(CALLS).join(',')}`, ...inject],
      ...[process.execPath, '--input-type=module', '-e', CHILD, data, `${build}/analytics/duckdb-storage.js`],
    ],
    // One thread of libuv: N counts in each thread.
    { encoding: 'utf8', env: { ...process.env, UV_THREADPOOL_SIZE: '1' } },
  )
  const isKilled = child.signal === 'SIGKILL' || child.status === KILLED
  if (!isKilled && child.status !== 0) throw new Error(child.stderr)
  return { data, isKilled, calls: readFileSync(log, 'utf8') }
}

/** Of each kind of call, the how many-th of a thread to meet. */
function pointsOf(log: string): [string, number][] {
  return Object.entries(CALLS).flatMap(([call, count]) => {
    const threads = new Map<string, number>()
    for (const [, thread] of log.matchAll(new RegExp(`^(\\d+) +${call}\\(`, 'gm'))) {
      threads.set(thread!, (threads.get(thread!) ?? 0) + 1)
    }
    const times = Math.max(0, ...threads.values())
    const points = Array.from({ length: count }, (_, index) => Math.ceil((times * (index + 1)) / count))
    return times === 0 ? [] : [...new Set(points)].map((nth): [string, number] => [call, nth])
  })
}

/** What must be the same, whatever happened on the way. */
function shapeOf(data: string) {
  return withCatalog(join(data, FILES[0]), async run => ({
    receipts: await run('SELECT count(*) AS rows, sum(hash(receipt)::HUGEINT)::VARCHAR AS digest FROM receipt'),
    keys: await run(`SELECT count(*) AS rows FROM receipt_key JOIN receipt USING (received_at)
      WHERE digest_head IN (('0x' || sha256[1:16])::UBIGINT, ('0x' || content_sha256[1:16])::UBIGINT)`),
    recent: await run('SELECT count(*) AS rows FROM receipt_key_recent'),
    steps: await run('SELECT number, name FROM migration ORDER BY number'),
    tables: await run('SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY ALL'),
    indexes: await run('SELECT index_name FROM duckdb_indexes() ORDER BY ALL'),
  }))
}

async function restart(data: string): Promise<void> {
  await (await openStorage({ data, geography: null, threads: 1 })).close()
}

describe.skipIf(!requireExternal('strace', hasCommand('strace')))('a migration', () => {
  test('that dies anywhere ends as one that does not', { timeout: 120_000 }, async () => {
    const whole = migrateCopy(BUILD, null)
    const expected = await shapeOf(whole.data)
    expect(expected.receipts).toMatchObject([{ rows: String(RECEIPTS) }])
    // One of each upload, and of content that is not the upload itself.
    expect(expected.keys).toEqual([{ rows: String(RECEIPTS * 1.5) }])
    expect(expected.indexes).not.toContainEqual({ index_name: 'receipt_index' })
    let killed = 0
    const points = pointsOf(whole.calls)
    for (const point of points) {
      const { data, isKilled } = migrateCopy(BUILD, point)
      if (isKilled) killed++
      await restart(data)
      expect(await shapeOf(data), `killed at ${point.join(' ')}`).toEqual(expected)
    }
    // Most of the points were met, or this test has tried nothing.
    expect(killed).toBeGreaterThan(points.length / 2)
  })

  test('whose steps are no one transaction is found', { timeout: 120_000 }, async () => {
    await withBrokenBuild(DEFECTS.migrationInSteps, async build => {
      const whole = migrateCopy(build, null)
      const expected = await shapeOf(whole.data)
      // The last commits are of the last step.
      const syncs = whole.calls.match(/^\d+ +fsync\(/gm)!.length
      const ends: unknown[] = []
      for (let nth = syncs; nth > 0 && ends.length === 0; nth--) {
        const { data } = migrateCopy(build, ['fsync', nth])
        const shape = await restart(data).then(
          () => shapeOf(data),
          error => error,
        )
        if (!isDeepStrictEqual(shape, expected)) ends.push(shape)
      }
      expect(ends).toHaveLength(1)
    })
  })
})
