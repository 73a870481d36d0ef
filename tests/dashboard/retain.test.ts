import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { Storage } from '../../analytics/storage.ts'
import { type DataFolder, openDataFolder } from '../../dashboard/server/data-folder.ts'
import { Retainer } from '../../dashboard/server/retain.ts'
import { KEEP_EVERYTHING, parseRetention } from '../../schemas/retention.ts'
import { testUpload } from '../support/batch-builder.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY } from '../support/storage.ts'

const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' }
const DAY = 86_400
const FIRST = Date.UTC(2026, 9, 1) / 1000
const EVERYTHING = { sensors: 'all' } as const

let now: number
let folder: DataFolder
let storage: Storage
let retainer: Retainer

beforeEach(async () => {
  now = FIRST * 1000
  folder = openDataFolder(temporaryFolder())
  storage = await openStorage({ data: folder.root, geography: TEST_GEOGRAPHY, now: () => now })
  await storage.addSensor(ALPHA)
  retainer = new Retainer(storage, folder, () => now)
})
afterEach(() => storage.close())

const run = (keep: string[], dryRun = false) => retainer.run(parseRetention(keep), { dryRun, actor: 'test' })
const audits = async () => (await storage.listAudit(10)).filter(({ action }) => action === 'retain')
const lakeFiles = () =>
  readdirSync(join(folder.root, 'lake'), { recursive: true, encoding: 'utf8' }).filter(name => /parquet$/.test(name))

/** Bytes as they lie after an upload of today, where the hub keeps them. */
function place(kind: 'captures' | 'batches', sha256: string, bytes = 100): string {
  const path = join(folder.root, kind, 'alpha', sha256)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, Buffer.alloc(bytes))
  utimesSync(path, now / 1000, now / 1000)
  return path
}

/** An upload with flows of the present day. */
async function receive(index: number) {
  const flows = [{ time: now / 1000 + index, src: `198.18.0.${index}` }]
  const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
  await storage.recordReceived({ sensor: 'alpha', sha256: upload.sha256, kind: 'batch', byte_count: 100 })
  return upload
}

describe('received bytes', () => {
  test('go so many days after they were counted, those of uploads that wait or are set aside never', async () => {
    const counted = await receive(1)
    const waiting = await receive(2)
    const poison = await receive(3)
    await storage.countGroup([counted])
    await storage.quarantine('alpha', poison.sha256, { code: 'BATCH_INVALID', message: 'batch: no' })
    const old = place('batches', counted.sha256)
    const kept = [place('batches', waiting.sha256), place('batches', poison.sha256), place('batches', 'f'.repeat(64))]
    now += 6 * DAY * 1000
    const late = await receive(4)
    await storage.countGroup([late])
    kept.push(place('batches', late.sha256))
    expect(await run(['batches=7'])).toMatchObject({ batches: 0 })
    now += 2 * DAY * 1000
    expect(await run(['captures=7'])).toMatchObject({ batches: 0, captures: 0 })
    expect(await run(['batches=7'], true)).toMatchObject({ batches: 1, batch_bytes: 100 })
    expect(existsSync(old)).toBe(true)
    expect(await audits()).toEqual([])
    expect(await run(['batches=7'])).toMatchObject({ batches: 1, batch_bytes: 100 })
    expect(existsSync(old)).toBe(false)
    expect(kept.map(path => existsSync(path))).toEqual(kept.map(() => true))
    expect(await storage.findReceipt('alpha', counted.sha256)).toMatchObject({ state: 'counted' })
    expect(await audits()).toMatchObject([
      { actor: 'test', details: { batches: 1, batch_bytes: 100, batches_days: 7 } },
    ])
    expect(await run(['batches=7'])).toMatchObject({ batches: 0 })
    expect(await audits()).toHaveLength(1)
  })

  test('an upload that was counted late is kept from then on, however old its file is', async () => {
    const upload = await receive(1)
    const path = place('captures', upload.sha256)
    now += 20 * DAY * 1000
    await storage.countGroup([upload])
    expect(await run(['captures=7'])).toMatchObject({ captures: 0 })
    expect(existsSync(path)).toBe(true)
  })
})

describe('flows and sums', () => {
  beforeEach(async () => {
    for (let day = 0; day < 4; day++) {
      await storage.countGroup([await receive(day)])
      now += DAY * 1000
    }
  })
  const range = { since: '2026-10-01T00:00:00Z', until: '2026-10-05T00:00:00Z' }
  const traffic = async () =>
    (await storage.query('traffic', { ...range, by: 'none', bucket: '86400' }, EVERYTHING)).rows.map(
      row => row.packet_count,
    )

  test('flows go by day of capture, and their sums, coverage and receipts stay', async () => {
    const before = await traffic()
    const coverage = await storage.query('coverage', { ...range, bucket: '86400' }, EVERYTHING)
    expect(lakeFiles()).toHaveLength(4)
    expect(await run(['flows=2'])).toMatchObject({ lake_files: 2, flows: 2, rollup_hours: 0 })
    expect(lakeFiles()).toHaveLength(2)
    expect((await storage.query('flows', range, EVERYTHING)).rows).toHaveLength(2)
    expect(await traffic()).toEqual(before)
    expect(await storage.query('coverage', { ...range, bucket: '86400' }, EVERYTHING)).toEqual(coverage)
    expect(await storage.overview(EVERYTHING)).toMatchObject({ received: 4, counted: 4 })
    expect(await audits()).toMatchObject([{ details: { lake_files: 2, flows: 2 } }])
  })

  test('sums go later, with the coverage of the same days; receipts never', async () => {
    expect(await run(['flows=1', 'rollups=2'])).toMatchObject({ lake_files: 3, rollup_hours: 2 })
    const rows = (await storage.query('coverage', { ...range, bucket: '86400' }, EVERYTHING)).rows
    expect(rows.map(row => row.bucket_start)).toEqual(['2026-10-03T00:00:00Z', '2026-10-04T00:00:00Z'])
    expect(await storage.overview(EVERYTHING)).toMatchObject({ received: 4, counted: 4 })
  })

  test('without a limit nothing goes', async () => {
    now += 1000 * DAY * 1000
    const removed = await retainer.run(KEEP_EVERYTHING, { dryRun: false, actor: 'test' })
    expect(Object.values(removed)).toEqual(Object.values(removed).map(() => 0))
    expect(lakeFiles()).toHaveLength(4)
  })
})

test.each(['captures', 'captures=0', 'receipts=3', 'flows=1.5', 'flows=99999', 'rollups=10', 'captures=1=2'])(
  '--keep %s is refused',
  item => {
    expect(() => parseRetention([item])).toThrow(expect.objectContaining({ code: 'USAGE' }))
  },
)

test('sums cannot go before their flows', () => {
  expect(() => parseRetention(['flows=30', 'rollups=10'])).toThrow(expect.objectContaining({ code: 'USAGE' }))
  expect(parseRetention(['flows=30', 'rollups=30'])).toMatchObject({ flows_days: 30, rollups_days: 30 })
})
