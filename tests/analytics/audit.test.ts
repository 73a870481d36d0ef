import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY, temporaryStorage } from '../support/storage.ts'

// Goal: what was written into the audit log cannot be changed without that being found, by us or by anybody.

const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A "quoted" \u00e9', telescope: '192.0.2.0/28' }

test('administration is written down with the change, and a refusal is not', async () => {
  const storage = await temporaryStorage()
  await storage.addSensor(ALPHA, 'token 0123456789')
  await storage.addToken({ sha256: 'a'.repeat(64), id: 'abc', role: 'sensor', sensor: 'alpha' })
  await storage.revokeToken('abc')
  expect(await storage.revokeToken('abc')).toBe(false)
  await expect(storage.addSensor(ALPHA)).rejects.toMatchObject({ code: 'SENSOR_EXISTS' })
  await storage.audit({ actor: 'local', action: 'test', subject: 'nothing', details: { b: 2, a: null, c: true } })
  const entries = await storage.listAudit(10)
  expect(entries.map(({ sequence, actor, action, subject }) => [sequence, actor, action, subject])).toEqual([
    [4, 'local', 'test', 'nothing'],
    [3, 'local', 'token revoke', 'token abc'],
    [2, 'local', 'token create', 'token abc'],
    [1, 'token 0123456789', 'sensor add', 'sensor alpha'],
  ])
  expect(entries[0]!.details).toEqual({ a: null, b: 2, c: true })
  expect(JSON.stringify(entries)).not.toContain('192.0.2')
  expect(await storage.verifyAudit()).toBeNull()
  expect(await storage.listAudit(1)).toHaveLength(1)
})

test('the hash of an entry can be made from what the API shows', async () => {
  const storage = await temporaryStorage()
  await storage.addSensor(ALPHA)
  await storage.audit({ actor: 'local', action: 'test', subject: 'x', details: { z: 1, a: 'b' } })
  const [second, first] = await storage.listAudit(10)
  // The definition in the dictionary, spelt out for this entry: members by name, no white space.
  const { actor, action, done_at, previous_sha256, sequence, subject } = second!
  const text = `{"action":${JSON.stringify(action)},"actor":${JSON.stringify(actor)},"details":{"a":"b","z":1},"done_at":${JSON.stringify(done_at)},"previous_sha256":"${previous_sha256}","sequence":${sequence},"subject":${JSON.stringify(subject)}}`
  expect(createHash('sha256').update(text).digest('hex')).toBe(second!.sha256)
  expect(second!.previous_sha256).toBe(first!.sha256)
  expect(first!.previous_sha256).toBe('0'.repeat(64))
})

test.each([
  ['a changed actor', "UPDATE audit SET actor = 'nobody' WHERE sequence = 2", 2],
  ['a changed detail', `UPDATE audit SET details = '{"n":9}' WHERE sequence = 3`, 3],
  ['a removed entry', 'DELETE FROM audit WHERE sequence = 2', 2],
  ['a removed beginning', 'DELETE FROM audit WHERE sequence = 1', 1],
  ['a doubled entry', 'INSERT INTO audit SELECT * FROM audit WHERE sequence = 3', 4],
  ['a changed hash', `UPDATE audit SET sha256 = repeat('a', 64) WHERE sequence = 3`, 3],
])('%s is found', async (_, change, sequence) => {
  const data = temporaryFolder()
  const open = () => openStorage({ data, geography: TEST_GEOGRAPHY })
  const storage = await open()
  for (const n of [1, 2, 3, 4]) {
    await storage.audit({ actor: 'local', action: 'test', subject: `thing ${n}`, details: { n } })
  }
  await storage.close()
  const instance = await DuckDBInstance.create(join(data, 'catalog.duckdb'))
  const connection = await instance.connect()
  await connection.run(change)
  connection.closeSync()
  instance.closeSync()
  const again = await open()
  expect(await again.verifyAudit()).toBe(sequence)
  await again.close()
})
