import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Database } from '../../analytics/database.ts'
import { migrate } from '../../analytics/migrations.ts'
import { mergeReceiptKeys } from '../../analytics/receipt-key.ts'
import { findReceiptRow, ReceiptWriter, readReceipt } from '../../analytics/receipts.ts'
import { sql } from '../../analytics/sql.ts'
import { temporaryFolder } from '../support/data-folder.ts'

const sha = (text: string) => createHash('sha256').update(text).digest('hex')

async function catalog() {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'lake'))
  const database = await Database.open({
    path: join(folder, 'catalog.duckdb'),
    lake: join(folder, 'lake'),
    temporary: folder,
    threads: 1,
    memoryLimit: '500MB',
  })
  onTestFinished(() => database.close())
  let now = 1_700_000_000_000_000
  const writer = new ReceiptWriter(database, () => now++)
  const record = (sensor: string, sha256: string) =>
    writer.record({ sensor, sha256, kind: 'batch' as const, byte_count: 1 })
  const find = (sensor: string, sha256: string) => database.read(session => readReceipt(session, sensor, sha256))
  return { database, record, find }
}

test('receipts are found before and after their keys are sorted, and none is made twice', async () => {
  const { database, record, find } = await catalog()
  await migrate(database, 1)
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 20; index++) await record('alpha', sha(`${round} ${index}`))
    expect(await mergeReceiptKeys(database, 20)).toBe(20)
    expect(await mergeReceiptKeys(database, 1)).toBe(0)
  }
  await record('alpha', sha('newest'))
  for (const text of ['0 0', '1 7', '2 19', 'newest']) {
    expect(await find('alpha', sha(text))).toMatchObject({ sensor: 'alpha', sha256: sha(text) })
    expect((await record('alpha', sha(text))).created).toBe(false)
  }
  expect(await find('alpha', sha('never'))).toBeNull()
  expect(await find('beta', sha('0 0'))).toBeNull()
})

test('the same bytes of two sensors are two receipts, and another digest with the same head is neither', async () => {
  const { database, record, find } = await catalog()
  await migrate(database, 1)
  const digest = sha('same')
  const twin = digest.slice(0, 16) + sha('other').slice(16)
  await record('alpha', digest)
  await record('gamma', sha('between'))
  expect((await record('beta', digest)).created).toBe(true)
  expect((await record('alpha', twin)).created).toBe(true)
  await mergeReceiptKeys(database, 1)
  for (const [sensor, sha256] of [
    ['alpha', digest],
    ['beta', digest],
    ['alpha', twin],
  ] as const) {
    expect(await find(sensor, sha256)).toMatchObject({ sensor, sha256 })
    const row = await database.read(session => findReceiptRow(session, sensor, sha256))
    expect(row?.sensor).toBe(sensor)
  }
  expect(await find('beta', twin)).toBeNull()
})

test('a catalog of the former shape keeps its receipts findable', async () => {
  const { database, record, find } = await catalog()
  await migrate(database, 1)
  const digests = Array.from({ length: 50 }, (_, index) => sha(String(index)))
  for (const digest of digests) await record('alpha', digest)
  // What step 3 changed is taken back: the shape of the first release.
  await database.transaction(async session => {
    await session.run(sql`DROP TABLE receipt_key`)
    await session.run(sql`DROP TABLE receipt_key_recent`)
    await session.run(sql`CREATE INDEX receipt_index ON receipt (sha256)`)
    await session.run(sql`DELETE FROM migration WHERE number >= 3`)
  })
  await migrate(database, 2)
  for (const digest of digests) expect(await find('alpha', digest)).toMatchObject({ sha256: digest })
  expect((await record('alpha', digests[7]!)).created).toBe(false)
})
