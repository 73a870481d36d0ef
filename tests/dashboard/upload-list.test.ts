import { expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { runCommand } from '../support/hub-process.ts'
import { TEST_GEOGRAPHY } from '../support/storage.ts'

// `hirundo upload list` on a folder that no hub runs on: what a person reads to know what became of an upload.

async function dataWithDuplicate(): Promise<{ data: string; first: string; again: string }> {
  const data = temporaryFolder()
  const storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
  await storage.addSensor({ sensor: 'alpha', economy: 'JP', organisation: '', telescope: '192.0.2.0/28' })
  const time = Date.UTC(2026, 10, 20) / 1000
  const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows: [{ time, src: '198.18.0.1' }] })
  const again = 'c'.repeat(64)
  await receiveAndCount(storage, [upload])
  await receiveAndCount(storage, [{ ...upload, sha256: again }])
  await storage.close()
  return { data, first: upload.sha256, again }
}

test('a duplicate says whose content it has, and the list that there is more', async () => {
  const { data, first, again } = await dataWithDuplicate()
  const all = await runCommand('upload', 'list', '--data', data)
  expect(all.status).toBe(0)
  const [header, ...lines] = all.stdout.trimEnd().split('\n')
  expect(header).toMatch(/packets read +kept +remark/)
  expect(lines).toHaveLength(2)
  expect(lines.find(line => line.includes(` ${again} `))).toContain(`adds nothing: the same content as upload ${first}`)
  const newest = await runCommand('upload', 'list', '--data', data, '--limit', '1')
  expect(newest.stdout.split('\n')[1]).toContain(again)
  expect(newest.stdout).toContain('--limit N shows more')
})

test.each(['0', '1001', 'many'])('--limit %s is refused', async limit => {
  const { status, stderr } = await runCommand('upload', 'list', '--data', temporaryFolder(), '--limit', limit)
  expect(status).toBe(2)
  expect(stderr).toContain('expected 1 to 1000')
})
