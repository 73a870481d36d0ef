import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Database, Session } from '../../analytics/database.ts'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { CATALOG, migrate } from '../../analytics/migrations.ts'
import { bind, bindList, identifier, join as joinSql, literal, renderSql, sql } from '../../analytics/sql.ts'
import { STORED_TABLES } from '../../schemas/dictionary.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY, temporaryStorage } from '../support/storage.ts'

afterEach(() => vi.restoreAllMocks())

const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' }

async function temporaryDatabase(folder = temporaryFolder()): Promise<Database> {
  const lake = join(folder, 'lake')
  mkdirSync(lake, { recursive: true })
  const path = join(folder, 'catalog.duckdb')
  const database = await Database.open({ path, lake, temporary: folder, threads: 2, memoryLimit: '500MB' })
  onTestFinished(() => database.close())
  return database
}

describe('one process owns a data folder', () => {
  test('while another process has it open, DATA_IN_USE; afterwards it opens', async () => {
    const data = temporaryFolder()
    await (await openStorage({ data, geography: TEST_GEOGRAPHY })).close()
    const script = `const { DuckDBInstance } = require('@duckdb/node-api')
      DuckDBInstance.create(process.argv[1]).then(instance => {
        global.held = instance
        console.log('open')
        setInterval(() => {}, 1000)
      })`
    const child = spawn(process.execPath, ['-e', script, join(data, 'catalog.duckdb')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const error = await openStorage({ data, geography: TEST_GEOGRAPHY }).catch(thrown => thrown)
    expect(error).toMatchObject({ code: 'DATA_IN_USE' })
    expect(error.message).toContain(`PID ${child.pid}`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await (await openStorage({ data, geography: TEST_GEOGRAPHY })).close()
  })

  test('a second storage in the same process is refused, too, and does no harm to the first', async () => {
    const data = temporaryFolder()
    const storage = await temporaryStorage({ data })
    await expect(openStorage({ data, geography: TEST_GEOGRAPHY })).rejects.toMatchObject({ code: 'DATA_IN_USE' })
    await storage.addSensor(ALPHA)
    expect(await storage.listSensors()).toHaveLength(1)
  })

  test('a file that is no catalog is an error that names it', async () => {
    const data = temporaryFolder()
    writeFileSync(join(data, 'catalog.duckdb'), 'not a database, but as long as one header would be'.repeat(500))
    await expect(openStorage({ data, geography: TEST_GEOGRAPHY })).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
  })
})

describe('the sandbox', () => {
  test.each([
    ["SELECT * FROM read_csv('/etc/passwd')"],
    ["COPY (SELECT 1) TO '/tmp/hirundo-escape.csv'"],
    ["ATTACH '/tmp/hirundo-escape.duckdb'"],
    ['INSTALL httpfs'],
    ['SET enable_external_access = true'],
    ["SET memory_limit = '100GB'"],
  ])('%s is refused by the engine', async text => {
    const session = await (await temporaryDatabase()).session()
    await expect(session.connection.run(text)).rejects.toThrow(/Permission|Cannot|disabled|locked/i)
    session.close()
  })
})

describe('failures', () => {
  test('after a commit that failed, nothing is promised any more', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const run = Session.prototype.run
    vi.spyOn(Session.prototype, 'run').mockImplementation(async function (this: Session, query) {
      if (query.pieces[0] === 'COMMIT') throw new Error('IO Error: could not fsync the log')
      return run.call(this, query)
    })
    const upload = { sensor: 'alpha', sha256: 'a'.repeat(64), kind: 'capture' as const, byte_count: 1 }
    const dead = { code: 'STORAGE_FAILED', details: { fatal: true } }
    await expect(storage.recordReceived(upload)).rejects.toMatchObject(dead)
    vi.restoreAllMocks()
    await expect(storage.recordReceived(upload)).rejects.toMatchObject(dead)
    await expect(storage.listSensors()).rejects.toMatchObject(dead)
    await expect(storage.query('traffic', {}, { sensors: 'all' })).rejects.toMatchObject(dead)
  })

  test('a transaction that throws changes nothing, and the next one works', async () => {
    const database = await temporaryDatabase()
    await database.transaction(session => session.run(sql`CREATE TABLE t (i INTEGER)`))
    const failed = database.transaction(async session => {
      await session.run(sql`INSERT INTO t VALUES (1)`)
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    await database.transaction(session => session.run(sql`INSERT INTO t VALUES (2)`))
    const table = { i: { type: 'uint32', role: 'key', sharing: 'public', doc: 'x' } } as const
    expect(await database.read(session => session.plain(table, sql`SELECT * FROM t`))).toEqual([{ i: 2 }])
  })

  test('a defect in a statement is ours, and the storage lives on', async () => {
    const database = await temporaryDatabase()
    const wrong = database.read(session => session.run(sql`SELECT nothing FROM nowhere`))
    await expect(wrong).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(await database.read(session => session.run(sql`SELECT 1`))).toBe(0)
  })

  test('many readers at once wait for their turn; closing waits for them', async () => {
    const database = await temporaryDatabase()
    const reads = Array.from({ length: 40 }, () => database.read(session => session.run(sql`SELECT 1`)))
    const closed = database.close()
    expect(await Promise.all(reads)).toHaveLength(40)
    await closed
    await expect(database.read(session => session.run(sql`SELECT 1`))).rejects.toMatchObject({ code: 'NOT_READY' })
  })
})

describe('migrations', () => {
  test('the dictionary describes each table of the catalog, and only the flows besides', () => {
    const described = Object.entries(STORED_TABLES).filter(([name]) => name !== 'flow' && name !== 'lake_flow')
    expect(Object.fromEntries(described.map(([name, { table }]) => [name, table]))).toEqual(
      Object.fromEntries(Object.entries(CATALOG).map(([name, { table }]) => [name, table])),
    )
  })

  test('run once, and a catalog of a newer version is left alone', async () => {
    const folder = temporaryFolder()
    const database = await temporaryDatabase(folder)
    const numbers = { number: { type: 'uint32', role: 'key', sharing: 'public', doc: 'x' } } as const
    const read = () => database.read(session => session.plain(numbers, sql`SELECT number FROM migration`))
    await migrate(database, 1)
    const once = await read()
    await migrate(database, 2)
    expect(await read()).toEqual(once)
    expect(once).toEqual(once.map((_row, index) => ({ number: index + 1 })))
    await database.transaction(session => session.run(sql`INSERT INTO migration VALUES (999, 'later', 'epoch')`))
    await expect(migrate(database, 3)).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
  })

  test('a step that fails midway leaves the catalog as it was', async () => {
    const database = await temporaryDatabase()
    const run = Session.prototype.run
    vi.spyOn(Session.prototype, 'run').mockImplementation(async function (this: Session, query) {
      if (query.pieces.join('').includes('CREATE TABLE IF NOT EXISTS source_hour')) throw new Error('killed')
      return run.call(this, query)
    })
    await expect(migrate(database, 1)).rejects.toThrow('killed')
    vi.restoreAllMocks()
    const table = { table_name: { type: 'text', role: 'key', sharing: 'public', doc: 'x' } } as const
    const tables = () => database.read(session => session.plain(table, sql`SELECT table_name FROM duckdb_tables()`))
    expect(await tables()).toEqual([])
    await migrate(database, 1)
    expect((await tables()).map(row => row.table_name)).toContain('source_hour')
  })
})

describe('building SQL', () => {
  test('values stay values, in their order, through parts of parts', () => {
    const inner = sql`a = ${bind('uint16', 1)} AND b = ${bind('text', "x'; DROP TABLE t")}`
    const whole = sql`SELECT ${bindList('text', ['p'])} WHERE ${inner} AND ${joinSql([sql`c = ${bind('int64', 2)}`, inner], ' AND ')}`
    expect(renderSql(whole)).toBe(
      'SELECT $1::VARCHAR[] WHERE a = $2::USMALLINT AND b = $3::VARCHAR AND c = $4::BIGINT AND a = $5::USMALLINT AND b = $6::VARCHAR',
    )
    expect(whole.values.map(({ value }) => value)).toEqual([['p'], 1, "x'; DROP TABLE t", 2, 1, "x'; DROP TABLE t"])
  })

  test('names are plain, literals are quoted', () => {
    expect(() => identifier('a; DROP TABLE b')).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    expect(renderSql(literal("it's"))).toBe("'it''s'")
  })
})
