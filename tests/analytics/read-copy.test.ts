import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { GRACE_MILLISECONDS } from '../../analytics/retired-files.ts'
import type { Storage } from '../../analytics/storage.ts'
import { testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { ROOT } from '../support/external.ts'
import { TEST_GEOGRAPHY, TEST_NOW } from '../support/storage.ts'

// A second DuckDB in a process of its own opens the read copy while the storage has the catalog open, counts and merges.

afterEach(() => vi.restoreAllMocks())

const TELESCOPE = '203.0.113.0/28'
const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: TELESCOPE }
const DAY = Date.UTC(2026, 10, 20) / 1000

async function openedWith(data: string, uploads: number, clock = () => TEST_NOW): Promise<Storage> {
  const storage = await openStorage({ data, geography: TEST_GEOGRAPHY, now: clock })
  await storage.addSensor(ALPHA)
  await storage.addToken({ sha256: 'c'.repeat(64), id: 'secret-token', role: 'sensor', sensor: 'alpha' })
  for (let index = 0; index < uploads; index++) await receiveAndCount(storage, [upload(index)])
  return storage
}

function upload(index: number) {
  const flows = [{ time: DAY + index * 86_400, src: `198.18.0.${index}`, packet_count: index + 1, dst_index: 7 }]
  return testUpload(temporaryFolder(), { sensor: 'alpha', flows })
}

/** Rows of a question put by a plain DuckDB in another process, to a script that it has read. */
function ask(script: string, question: string): Record<string, unknown>[] {
  const program = `const { DuckDBInstance } = require('@duckdb/node-api')
    const [script, question] = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
    DuckDBInstance.create(':memory:').then(async instance => {
      const connection = await instance.connect()
      await connection.run(script)
      const reader = await connection.runAndReadAll(question)
      console.log(JSON.stringify(reader.getRowObjectsJson()))
    }).catch(error => { console.error(String(error)); process.exit(1) })`
  const input = JSON.stringify([script, question])
  const child = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', cwd: ROOT, input })
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout)
}

const script = (data: string) => readFileSync(join(data, 'read', 'open.sql'), 'utf8')
const SUMS = `SELECT (SELECT sum(packet_count) FROM lake_flow)::INTEGER AS flows, (SELECT sum(packet_count) FROM traffic_hour)::INTEGER AS sums,
  (SELECT count(*) FROM receipt)::INTEGER AS receipts, (SELECT count(*) FROM coverage_span)::INTEGER AS spans,
  (SELECT count(*) FROM source_economy)::INTEGER AS sources, (SELECT string_agg(sensor) FROM sensor) AS sensors`

/** Rows of receipts, spans and sums, in short. */
const CONTENT = `SELECT (SELECT string_agg(sha256 || state || coalesce(error_message, ''), ' ' ORDER BY sha256) FROM receipt) AS receipts,
  (SELECT string_agg(listened_from || ' ' || packet_count, ' ' ORDER BY listened_from, packet_count) FROM coverage_span) AS spans,
  (SELECT coalesce(sum(packet_count), 0)::INTEGER FROM sensor_hour) AS packets,
  (SELECT coalesce(sum(packet_count), 0)::INTEGER FROM source_hour) AS source_packets`

describe('the read copy', () => {
  test('is read by another process while the storage counts and merges, each copy as it was made', async () => {
    const data = temporaryFolder()
    let now = TEST_NOW
    const storage = await openedWith(data, 3, () => now)
    onTestFinished(() => storage.close())
    expect(await storage.renewReadCopy()).toEqual({ changed: true, parts_written: 15, lake_files: 3 })
    const first = script(data)
    const before = { flows: 6, sums: 6, receipts: 3, spans: 3, sources: 3, sensors: 'alpha' }
    expect(ask(first, SUMS)).toEqual([before])
    // More of one of the days: only its parts are written again.
    await receiveAndCount(storage, [
      testUpload(temporaryFolder(), { sensor: 'alpha', flows: [{ time: DAY + 60, src: '198.18.0.0' }] }),
    ])
    // So much later that the day is quiet and merged at once.
    now += 7 * 3_600_000
    expect(await storage.compactStep()).toMatchObject({ files: 2 })
    await storage.dropDay(DAY + 86_400)
    expect(ask(first, SUMS)).toEqual([before])
    const second = await storage.renewReadCopy()
    expect(second).toMatchObject({ changed: true, lake_files: 2 })
    expect(second.parts_written).toBeLessThan(15)
    expect(ask(script(data), SUMS)).toEqual([{ ...before, flows: 5, sums: 5, receipts: 4, spans: 3 }])
    // Whoever has the first one open reads on, until its grace is over.
    await storage.removeRetired()
    expect(ask(first, SUMS)).toEqual([before])
    const later = Date.now() + 2 * GRACE_MILLISECONDS
    vi.spyOn(Date, 'now').mockReturnValue(later)
    await storage.removeRetired()
    expect(await storage.renewReadCopy()).toMatchObject({ changed: false, parts_written: 0 })
    expect(() => ask(first, SUMS)).toThrow(/No files found|IO Error/)
    expect(ask(script(data), SUMS)).toMatchObject([{ flows: 5, receipts: 4 }])
  })

  test('of days that are settled nothing is written again, unless something changed in them', async () => {
    const data = temporaryFolder()
    let now = TEST_NOW
    const storage = await openedWith(data, 3, () => now)
    onTestFinished(() => storage.close())
    // Received and never counted, so its day is not settled.
    const waiting = { sensor: 'alpha', sha256: 'a'.repeat(64), kind: 'capture' as const, byte_count: 1 }
    await storage.recordReceived(waiting)
    now += 5 * 86_400_000
    while ((await storage.closeDays()) > 0);
    const engine = await DuckDBInstance.create(':memory:')
    onTestFinished(() => engine.closeSync())
    const contentOf = async (program: string) => {
      const connection = await engine.connect()
      await connection.run(program)
      const reader = await connection.runAndReadAll(CONTENT)
      connection.closeSync()
      return reader.getRowObjectsJson()
    }
    const renewed = async () => {
      const { parts_written } = await storage.renewReadCopy()
      const folder = temporaryFolder()
      await storage.snapshot(folder)
      const name = `catalog_${randomUUID().replaceAll('-', '')}`
      const catalog = `ATTACH '${join(folder, 'catalog.duckdb')}' AS ${name} (READ_ONLY); USE ${name};`
      expect(await contentOf(script(data))).toEqual(await contentOf(catalog))
      return parts_written
    }
    expect(await renewed()).toBe(15)
    expect(await renewed()).toBe(0)
    await storage.quarantine('alpha', waiting.sha256, { code: 'CAPTURE_EMPTY', message: 'capture: empty' })
    expect(await renewed()).toBe(1)
    expect(await renewed()).toBe(0)
    // The day of the receipt is settled now.
    await storage.reopenUpload('retry', { sensor: 'alpha', sha256: waiting.sha256, actor: 'test' })
    expect(await renewed()).toBe(1)
    await storage.quarantine('alpha', waiting.sha256, { code: 'CAPTURE_EMPTY', message: 'capture: still empty' })
    expect(await renewed()).toBe(1)
    expect(await renewed()).toBe(0)
    const [newest] = await storage.listReceipts({ state: 'counted', limit: 1 })
    await storage.withdrawUpload({ sensor: 'alpha', sha256: newest!.sha256, actor: 'test' })
    // Its own span and sums leave no part behind.
    expect(await renewed()).toBe(1)
    expect(await renewed()).toBe(0)
    // Late flows of the first day, received today.
    await receiveAndCount(storage, [
      testUpload(temporaryFolder(), { sensor: 'alpha', flows: [{ time: DAY + 7200, src: '198.18.9.9' }] }),
    ])
    // Receipts of today, spans and three rollups of that day, and a new source.
    expect(await renewed()).toBe(6)
    while ((await storage.closeDays()) > 0);
    await renewed()
    expect(await renewed()).toBe(0)
    await storage.dropDay(DAY)
    expect(await renewed()).toBe(0)
    // By a clock that was set back by days.
    const later = now
    now = TEST_NOW
    await storage.recordReceived({ ...waiting, sha256: 'b'.repeat(64) })
    now = later
    expect(await renewed()).toBe(1)
  })

  test('holds no telescope, token, audit log nor place of a destination', async () => {
    const data = temporaryFolder()
    const storage = await openedWith(data, 1)
    onTestFinished(() => storage.close())
    await storage.renewReadCopy()
    const columns = ask(script(data), 'SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal')
    const names = columns.map(row => `${row['table_name']}.${row['column_name']}`)
    expect(names).toContain('sensor.economy')
    expect(names).toContain('lake_flow.src_addr_low')
    expect(names.filter(name => /telescope$|dst_index|token|audit/.test(name))).toEqual([])
    const files = readdirSync(join(data, 'read'), { recursive: true, withFileTypes: true }).filter(entry =>
      entry.isFile(),
    )
    expect(files.length).toBeGreaterThan(5)
    for (const file of files) {
      const bytes = readFileSync(join(file.parentPath, file.name), 'latin1')
      for (const secret of [TELESCOPE, '203.0.113', 'secret-token', 'c'.repeat(64)]) expect(bytes).not.toContain(secret)
    }
  })

  test('outlives a restart: what it names is not swept, and a damaged listing is written anew', async () => {
    const data = temporaryFolder()
    const storage = await openedWith(data, 2)
    await storage.renewReadCopy()
    const first = script(data)
    await storage.dropDay(DAY)
    await storage.close()
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000)
    const again = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => TEST_NOW })
    expect(ask(first, SUMS)).toMatchObject([{ flows: 3 }])
    writeFileSync(join(data, 'read', 'listing.json'), '{"parts": [')
    expect(await again.renewReadCopy()).toMatchObject({ changed: true, lake_files: 1 })
    expect(ask(script(data), SUMS)).toMatchObject([{ flows: 2, receipts: 2 }])
    await again.close()
  })
})
