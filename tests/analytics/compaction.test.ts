import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { chooseFiles } from '../../analytics/compaction.ts'
import { Database } from '../../analytics/database.ts'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { Lake, type LakeFile } from '../../analytics/lake.ts'
import { GRACE_MILLISECONDS, RetiredFiles } from '../../analytics/retired-files.ts'
import type { Storage } from '../../analytics/storage.ts'
import { verifyData } from '../../dashboard/server/verify-data.ts'
import { testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { flipBit } from '../support/flip-bit.ts'
import { lakeFilesInUse } from '../support/lake-files.ts'
import { TEST_GEOGRAPHY, TEST_NOW } from '../support/storage.ts'

// Merging must change how rows lie and nothing else: content is compared as sorted rows, read by a second engine, and
// by the answers.

afterEach(() => vi.restoreAllMocks())

const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' }
const DAY = Date.UTC(2026, 10, 20) / 1000
const EVERYTHING = { sensors: 'all' } as const

/** A storage whose clock stands still, with a day of small files; each upload is a group of its own. */
async function withSmallFiles(data: string, files: number, hoursLater: number): Promise<Storage> {
  let now = TEST_NOW
  const storage = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => now })
  await storage.addSensor(ALPHA)
  const folder = temporaryFolder()
  for (let index = 0; index < files; index++) await receiveAndCount(storage, [upload(folder, index)])
  now += hoursLater * 3_600_000
  return storage
}

function upload(folder: string, index: number) {
  const flows = Array.from({ length: 5 }, (_, row) => ({
    time: DAY + index * 60 + row,
    src: row === 4 ? `2001:db8::${index}` : `198.18.${index}.${row * 7}`,
    service_port: 20 + row,
    packet_count: 1 + (index % 3),
    dst_index: row,
  }))
  return testUpload(folder, { sensor: 'alpha', flows })
}

const lakeFiles = (data: string) =>
  readdirSync(join(data, 'lake'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.parquet'))

/** All rows of the files in the folder, sorted, by an engine of the test's own. */
async function rowsOf(data: string, names = lakeFiles(data)): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const list = names.map(name => `'${join(data, 'lake', name)}'`).join(', ')
  const reader = await connection.runAndReadAll(`SELECT * FROM read_parquet([${list}]) ORDER BY ALL`)
  const rows = reader.getRowObjectsJson()
  connection.closeSync()
  instance.closeSync()
  return rows
}

async function answers(storage: Storage) {
  const range = { since: '2026-11-20T00:00:00Z', until: '2026-11-21T00:00:00Z' }
  return [
    (await storage.query('flows', { ...range, limit: '1000' }, EVERYTHING)).rows,
    (await storage.query('traffic', { ...range, by: 'protocol' }, EVERYTHING)).rows,
  ]
}

async function compactAll(storage: Storage): Promise<number> {
  for (let steps = 0; ; steps++) if ((await storage.compactStep()) === null) return steps
}

describe('merging small files', () => {
  test('rows, answers and sums are the same before and after; old files go when their grace is over', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 17, 0)
    const before = { rows: await rowsOf(data), answers: await answers(storage), files: lakeFiles(data) }
    expect(before.rows).toHaveLength(85)
    expect(before.files).toHaveLength(17)
    expect(await storage.compactStep()).toEqual({ day: DAY, files: 17, rows: 85 })
    expect(await storage.compactStep()).toBeNull()
    expect(await answers(storage)).toEqual(before.answers)
    const added = lakeFiles(data).filter(name => !before.files.includes(name))
    expect(added).toHaveLength(1)
    expect(await rowsOf(data, added)).toEqual(before.rows)
    // Whoever learned the old names a moment ago may still read them.
    expect(await storage.removeRetired()).toBe(0)
    expect(lakeFiles(data)).toHaveLength(18)
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + GRACE_MILLISECONDS + 1)
    expect(await storage.removeRetired()).toBe(17)
    expect(lakeFiles(data)).toEqual(added)
    expect(await answers(storage)).toEqual(before.answers)
    await storage.replaceDay(DAY)
    expect(await answers(storage)).toEqual(before.answers)
    await storage.close()
  })

  test('a quiet day is merged whatever the number of its files, and only once', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 3, 7)
    const before = await answers(storage)
    expect(await compactAll(storage)).toBe(1)
    expect(await answers(storage)).toEqual(before)
    await storage.close()
  })

  test('counting goes on beside it, and nothing is lost or doubled', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 16, 0)
    const folder = temporaryFolder()
    const counting = (async () => {
      for (let index = 16; index < 34; index++) await receiveAndCount(storage, [upload(folder, index)])
    })()
    let merged = 0
    let counted = false
    const watched = counting.then(() => {
      counted = true
    })
    while (!counted) merged += (await storage.compactStep()) === null ? 0 : 1
    await watched
    expect(merged).toBeGreaterThan(0)
    const [rows] = await answers(storage)
    expect(rows).toHaveLength(170)
    await storage.close()
  })

  test('a day that is dropped meanwhile is dropped when it was merged', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 3, 7)
    const write = Lake.prototype.write
    let dropped: Promise<void> = Promise.resolve()
    vi.spyOn(Lake.prototype, 'write').mockImplementation(async function (this: Lake, ...args) {
      const file = await write.apply(this, args)
      dropped = storage.dropDay(DAY)
      return file
    })
    expect(await storage.compactStep()).toMatchObject({ files: 3 })
    await dropped
    vi.restoreAllMocks()
    expect(await rowsIn(storage)).toBe(0)
    await storage.close()
  })

  test('a file that does not hold the rows of the others replaces nothing', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 3, 7)
    const files = lakeFiles(data)
    const write = Lake.prototype.write
    vi.spyOn(Lake.prototype, 'write').mockImplementation(async function (this: Lake, session, day, rows, ...rest) {
      // As many rows and packets as expected, and other ports.
      const changed = {
        ...rows,
        pieces: rows.pieces.map(piece =>
          piece.replace('service_port,', '(service_port + 1)::USMALLINT AS service_port,'),
        ),
      }
      return write.call(this, session, day, changed, ...rest)
    })
    await expect(storage.compactStep()).rejects.toMatchObject({ code: 'STORAGE_FAILED', details: { fatal: false } })
    vi.restoreAllMocks()
    expect(lakeFiles(data).toSorted()).toEqual(files.toSorted())
    expect(await storage.compactStep()).toMatchObject({ files: 3 })
    await storage.close()
  })

  test('a step that is called off leaves everything as it was', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 3, 7)
    const files = lakeFiles(data)
    await expect(storage.compactStep(AbortSignal.abort(new Error('stopping')))).rejects.toThrow('stopping')
    expect(lakeFiles(data)).toEqual(files)
    await storage.close()
  })

  test('a process that dies before the swap leaves the old files as data, and the sweep takes the new one', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 3, 7)
    const before = { answers: await answers(storage), files: lakeFiles(data) }
    const died = new Error('died')
    vi.spyOn(Database.prototype, 'transaction').mockRejectedValueOnce(died)
    const unlink = vi.spyOn(Lake.prototype, 'unlink').mockResolvedValue()
    await expect(storage.compactStep()).rejects.toBe(died)
    unlink.mockRestore()
    await storage.close()
    expect(lakeFiles(data)).toHaveLength(4)
    for (const name of lakeFiles(data)) {
      const path = join(data, 'lake', name)
      utimesSync(path, statSync(path).atime, new Date(TEST_NOW))
    }
    const again = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => TEST_NOW })
    expect(lakeFiles(data).toSorted()).toEqual(before.files.toSorted())
    expect(await answers(again)).toEqual(before.answers)
    await again.close()
  })
})

test('a file of a quiet day is sorted once, with the same rows', async () => {
  const data = temporaryFolder()
  const storage = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => TEST_NOW + 7 * 3_600_000 })
  await storage.addSensor(ALPHA)
  const flows = [9, 3, 7, 1].map(host => ({ time: DAY, src: `198.18.0.${host}` }))
  await receiveAndCount(storage, [testUpload(temporaryFolder(), { sensor: 'alpha', flows })])
  const before = { rows: await rowsOf(data), answers: await answers(storage), files: lakeFiles(data) }
  expect(await compactAll(storage)).toBe(0)
  await storage.close()

  const later = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => TEST_NOW + 14 * 3_600_000 })
  expect(await compactAll(later)).toBe(1)
  expect(await answers(later)).toEqual(before.answers)
  const [sorted] = lakeFiles(data).filter(name => !before.files.includes(name))
  expect(await rowsOf(data, [sorted!])).toEqual(before.rows)
  expect(await hostsInOrder(data, sorted!)).toEqual([1, 3, 7, 9])
  expect(await hostsInOrder(data, before.files[0]!)).toEqual([9, 3, 7, 1])
  await later.close()
})

async function hostsInOrder(data: string, name: string): Promise<number[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const file = join(data, 'lake', name)
  const reader = await connection.runAndReadAll(
    `SELECT (src_addr_low & 255)::INT FROM '${file}' ORDER BY file_row_number`,
  )
  const hosts = reader.getRows().map(([host]) => host as number)
  connection.closeSync()
  instance.closeSync()
  return hosts
}

describe('a file that a disk has spoiled', () => {
  test('is merged with nothing, told once, and the other files and days go on', async () => {
    const data = temporaryFolder()
    let now = TEST_NOW
    const storage = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => now })
    await storage.addSensor(ALPHA)
    const folder = temporaryFolder()
    for (let index = 0; index < 4; index++) {
      // The spoiled day has more files, so its turn is first.
      const flows = (index < 3 ? [DAY, DAY - 86_400] : [DAY]).map(day => ({
        time: day + index * 60,
        src: '198.18.0.1',
      }))
      await receiveAndCount(storage, [testUpload(folder, { sensor: 'alpha', flows })])
    }
    now += 7 * 3_600_000
    const before = lakeFiles(data)
    const spoiled = before.find(name => name.includes('2026-11-20'))!
    flipBit(join(data, 'lake', spoiled), 1)
    expect(await storage.damagedLakeFiles()).toBe(0)
    await expect(storage.compactStep()).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      details: { fatal: false, path: spoiled, damaged: 1 },
    })
    expect(lakeFiles(data)).toEqual(before)
    expect(await storage.damagedLakeFiles()).toBe(1)
    const later = [await storage.compactStep(), await storage.compactStep(), await storage.compactStep()]
    expect(later).toMatchObject([{ files: 3, rows: 3 }, { files: 3, rows: 3 }, null])
    await storage.close()
    expect(await lakeFilesInUse(data)).toHaveLength(3)
    const findings = await verifyData(data, join(data, 'catalog.duckdb'), () => {})
    expect(findings.filter(({ path }) => path.startsWith('lake/'))).toMatchObject([
      { problem: 'changed', path: `lake/${spoiled}` },
    ])
  })

  test('is not written anew without an upload that is withdrawn', async () => {
    const data = temporaryFolder()
    const storage = await withSmallFiles(data, 1, 0)
    const [spoiled] = lakeFiles(data)
    flipBit(join(data, 'lake', spoiled!), 2)
    const [receipt] = await storage.listReceipts({ limit: 1 })
    await expect(storage.withdrawUpload({ ...receipt!, actor: 'test' })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      details: { fatal: false, path: spoiled },
    })
    expect(await storage.listReceipts({ limit: 1 })).toMatchObject([{ state: 'counted' }])
    await storage.close()
    expect(await lakeFilesInUse(data)).toEqual([`lake/${spoiled}`])
  })

  test.each([
    ['holds other rows', true],
    ['is gone', false],
  ])('that is of a time without digests and %s is merged with nothing', async (_, isReplaced) => {
    const data = temporaryFolder()
    await (await withSmallFiles(data, 3, 7)).close()
    const [first, second] = lakeFiles(data).map(name => join(data, 'lake', name)) as [string, string]
    const instance = await DuckDBInstance.create(join(data, 'catalog.duckdb'))
    const connection = await instance.connect()
    if (isReplaced) await connection.run(`COPY (SELECT * FROM '${second}' LIMIT 4) TO '${first}' (FORMAT parquet)`)
    else rmSync(first)
    const size = isReplaced ? statSync(first).size : 0
    await connection.run("UPDATE lake_file SET sha256 = ''")
    await connection.run(`UPDATE lake_file SET byte_count = ${size} WHERE ends_with('${first}', path)`)
    connection.closeSync()
    instance.closeSync()
    const storage = await openStorage({
      data,
      geography: TEST_GEOGRAPHY,
      now: () => TEST_NOW + 7 * 3_600_000,
    })
    await expect(storage.compactStep()).rejects.toMatchObject({ code: 'STORAGE_FAILED', details: { damaged: 1 } })
    expect(await storage.compactStep()).toMatchObject({ files: 2, rows: 10 })
    await storage.close()
  })
})

async function rowsIn(storage: Storage): Promise<number> {
  const range = { since: '2026-11-20T00:00:00Z', until: '2026-11-21T00:00:00Z' }
  return (await storage.query('flows', range, EVERYTHING)).rows.length
}

describe('which files are merged', () => {
  const file = (index: number, row_count: number, age = 0, is_sorted = true): LakeFile => ({
    path: `flows/day=2026-11-20/${String(index).padStart(4, '0')}.parquet`,
    day: DAY * 1e6,
    row_count,
    sha256: '',
    packet_count: row_count,
    byte_count: row_count * 10,
    created_at: TEST_NOW * 1000 - age * 3_600_000_000,
    is_sorted,
  })
  const unsorted = (count: number, rows: number, age?: number) =>
    many(count, rows, age).map(file => ({ ...file, is_sorted: false }))
  const many = (count: number, rows: number, age?: number) =>
    Array.from({ length: count }, (_, index) => file(index, rows, age))

  test.each([
    ['fifteen are too few on a day that still gets files', many(15, 10), 0],
    ['sixteen are enough', many(16, 10), 16],
    ['two are enough on a quiet day', many(2, 10, 7), 2],
    ['one is never merged', many(1, 10, 7), 0],
    ['one that is not sorted is, on a quiet day', [file(0, 10, 7), file(1, 4_000_000, 7, false)], 1],
    ['so is a large one while the day still gets files', [file(0, 10, 0), file(1, 4_000_000, 7, false)], 1],
    ['a small one waits then', [file(0, 10, 0), file(1, 65_535, 7, false)], 0],
    ['and a large one that is young', [file(0, 10, 7), file(1, 4_000_000, 0, false)], 0],
    ['merging comes before it', [...many(2, 10, 7), file(9, 4_000_000, 7, false)], 2],
    ['many unsorted ones wait while the day still gets files', unsorted(20, 65_536), 0],
    ['a little smaller ones do not', unsorted(20, 65_535), 20],
    ['and all are merged on a quiet day', unsorted(20, 65_536, 7), 20],
    ['a large one waits until the small ones are as large together', [...many(16, 10), file(99, 161)], 16],
    ['then it is one of them', [...many(16, 10), file(99, 160)], 17],
    ['no more rows than one step can sort', many(20, 1_000_000, 7), 6],
    ['no more files than one step can open', many(1000, 10), 256],
  ])('%s', (_, files, expected) => {
    expect(chooseFiles(files, TEST_NOW * 1000)?.length ?? 0).toBe(expected)
  })

  test('each row is written again about as often as the files double', () => {
    // A day of groups of 1000 flows, merged whenever it is worth it, as the hub does after counting.
    let files: LakeFile[] = []
    let rewritten = 0
    let most = 0
    for (let group = 0; group < 5000; group++) {
      files.push(file(group, 1000))
      const chosen = chooseFiles(
        files.filter(({ row_count }) => row_count <= 3_000_000),
        TEST_NOW * 1000,
      )
      if (chosen) {
        const rows = chosen.reduce((sum, { row_count }) => sum + row_count, 0)
        rewritten += rows
        files = [...files.filter(each => !chosen.includes(each)), file(10_000 + group, rows)]
      }
      most = Math.max(most, files.length)
    }
    expect(most).toBeLessThan(64)
    expect(rewritten / 5_000_000).toBeLessThan(Math.log2(5000))
  })
})

describe('files that somebody may still read', () => {
  test('what a read copy names stays until the next one has replaced it for a while', () => {
    const retired = new RetiredFiles()
    retired.hold(['a', 'b'], 0)
    retired.retire(['a', 'c'], 0)
    expect(retired.takeOver(GRACE_MILLISECONDS)).toEqual(['c'])
    retired.hold(['b', 'd'], GRACE_MILLISECONDS)
    expect(retired.takeOver(GRACE_MILLISECONDS + 1)).toEqual([])
    expect(retired.takeOver(2 * GRACE_MILLISECONDS)).toEqual(['a'])
    expect(retired.isHeld('b', 2 * GRACE_MILLISECONDS)).toBe(true)
  })
})
