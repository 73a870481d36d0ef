import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect, test } from 'vitest'
import { CATALOG } from '../../analytics/migrations.ts'
import { duckdbColumns } from '../../schemas/column.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { ROOT } from '../support/external.ts'

// A catalog of the first shape, with receipts, is migrated by a process that is killed at many points. Whenever it
// dies, the catalog is of one shape or of the other, and the next start brings it to the same rows.

const RECEIPTS = 20_000
const FIRST_TABLES = Object.keys(CATALOG).filter(name => !/^(audit|receipt_key)/.test(name))

/** The shape that was released first: no audit log, an index on digests, no keys. */
async function firstShape(path: string): Promise<void> {
  await withCatalog(path, async run => {
    for (const name of FIRST_TABLES) await run(`CREATE TABLE ${name} (${duckdbColumns(CATALOG[name]!.table)})`)
    await run('CREATE INDEX receipt_index ON receipt (sha256)')
    await run('CREATE TABLE migration (number UINTEGER NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)')
    await run("INSERT INTO migration VALUES (1, 'catalog and hourly rollups', 'epoch')")
    await run(`INSERT INTO receipt BY NAME SELECT 'alpha' AS sensor, sha256(i::VARCHAR) AS sha256, 0 AS kind, 1 AS state,
      i AS byte_count, make_timestamp(1700000000000000 + i) AS received_at FROM range(${RECEIPTS}) AS t(i)`)
  })
}

async function withCatalog<T>(
  path: string,
  work: (run: (sql: string) => Promise<unknown[]>) => Promise<T>,
): Promise<T> {
  const instance = await DuckDBInstance.create(path, { threads: '1' })
  const connection = await instance.connect()
  const result = await work(async sql => (await connection.runAndReadAll(sql)).getRowObjectsJson())
  connection.closeSync()
  instance.closeSync()
  return result
}

const CHILD = `
  const { openStorage } = await import(process.argv[2])
  process.stdout.write('begin\\n')
  const storage = await openStorage({ data: process.argv[1], geography: null, threads: 1 })
  process.stdout.write('done\\n')
  await storage.close()`

/** Opens the folder in a process of its own and kills it so many milliseconds after it began. */
async function openAndKill(data: string, milliseconds: number | null): Promise<boolean> {
  const storage = `${ROOT}dist/analytics/duckdb-storage.js`
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, data, storage], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const ended = once(child, 'exit')
  child.stdout.on('data', data => {
    output += data
    if (milliseconds === null || !output.startsWith('begin')) return
    setTimeout(() => child.kill('SIGKILL'), milliseconds)
  })
  await ended
  return output.includes('done')
}

test('a migration that is killed anywhere ends as one that is not', async () => {
  const source = temporaryFolder()
  await firstShape(join(source, 'catalog.duckdb'))
  let before = 0
  const points = [0, 5, 10, 20, 30, 45, 60, 80, 110, 150, 200, 300]
  for (const point of points) {
    const data = temporaryFolder()
    for (const name of ['catalog.duckdb', 'catalog.duckdb.wal']) {
      if (existsSync(join(source, name))) copyFileSync(join(source, name), join(data, name))
    }
    mkdirSync(join(data, 'lake'))
    if (!(await openAndKill(data, point))) before++
    // The next start.
    expect(await openAndKill(data, null)).toBe(true)
    const found = await withCatalog(join(data, 'catalog.duckdb'), run =>
      run(`SELECT (SELECT count(*) FROM receipt)::INTEGER AS receipts, (SELECT sum(hash(sha256, received_at, byte_count)::HUGEINT) FROM receipt)::VARCHAR AS digest,
        (SELECT count(*) FROM receipt_key JOIN receipt USING (received_at) WHERE ('0x' || sha256[1:16])::UBIGINT = digest_head)::INTEGER AS keys,
        (SELECT count(*) FROM receipt_key_recent)::INTEGER AS recent, (SELECT string_agg(number::VARCHAR, ' ' ORDER BY number) FROM migration) AS steps,
        (SELECT count(*) FROM duckdb_indexes() WHERE index_name = 'receipt_index')::INTEGER AS old_index`),
    )
    const expected = await withCatalog(join(source, 'catalog.duckdb'), run =>
      run('SELECT sum(hash(sha256, received_at, byte_count)::HUGEINT)::VARCHAR AS digest FROM receipt'),
    )
    const { digest } = expected[0] as { digest: string }
    expect(found, `killed after ${point} ms`).toEqual([
      { receipts: RECEIPTS, digest, keys: RECEIPTS, recent: 0, steps: '1 2 3', old_index: 0 },
    ])
  }
  // Some of the kills came before the end, or this test has tried nothing.
  expect(before).toBeGreaterThan(0)
})
