import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { ROOT } from '../support/external.ts'

// DuckDB replays the log of a killed process; whatever opens the catalog next, and only closes it again, must leave
// every index with all that the log held.

const SHA256 = 'ab'.repeat(32)
const TOKEN = 'cd'.repeat(32)
const CHILD = `
  const { openStorage } = await import(process.argv[2])
  const storage = await openStorage({ data: process.argv[1], geography: null, threads: 1 })
  await storage.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
  await storage.addToken({ sha256: '${TOKEN}', id: 'one', sensor: 'alpha', role: 'sensor' })
  await storage.recordReceived({ sensor: 'alpha', sha256: '${SHA256}', kind: 'batch', byte_count: 1 })
  process.kill(process.pid, 'SIGKILL')`

test('tokens and receipts of a killed process are found, however often the catalog was opened for nothing', async () => {
  const data = temporaryFolder()
  const storageModule = `${ROOT}dist/analytics/duckdb-storage.js`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', CHILD, data, storageModule])
  expect(child.signal, child.stderr.toString()).toBe('SIGKILL')
  for (let times = 0; times < 2; times++) await (await openStorage({ data, geography: null })).close()
  const storage = await openStorage({ data, geography: null })
  expect(await storage.findToken(TOKEN)).toMatchObject({ sensor: 'alpha' })
  expect(await storage.findReceipt('alpha', SHA256)).toMatchObject({ sha256: SHA256 })
  const upload = { sensor: 'alpha', sha256: SHA256, kind: 'batch' as const, byte_count: 1 }
  expect(await storage.recordReceived(upload)).toMatchObject({ created: false })
  await storage.close()
})
