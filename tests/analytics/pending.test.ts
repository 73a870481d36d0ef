import { expect, it } from 'vitest'
import { temporaryStorage } from '../support/storage.ts'

// One sensor must not hold up another, however much it sends.

it('what waits to be counted is taken from each sensor in turn', async () => {
  const storage = await temporaryStorage()
  const names = ['busy-1', 'busy-2', 'quiet-1']
  for (const [index, sensor] of names.entries()) {
    await storage.addSensor({ sensor, economy: 'JP', organisation: '', telescope: `198.19.${index}.0/24` })
  }
  const record = (sensor: string, index: number) =>
    storage.recordReceived({ sensor, sha256: index.toString(16).padStart(64, '0'), kind: 'batch', byte_count: 1 })
  for (const sensor of ['busy-1', 'busy-2']) {
    await Promise.all(Array.from({ length: 600 }, (_, index) => record(sensor, index)))
  }
  await record('quiet-1', 7)
  const first = await storage.pending(64)
  expect(first.map(({ sensor }) => sensor).slice(0, 3)).toEqual(['busy-1', 'busy-2', 'quiet-1'])
  const share = (sensor: string) => first.filter(receipt => receipt.sensor === sensor).length
  expect(names.map(share)).toEqual([32, 31, 1])
  expect(new Set(first.map(({ sensor, sha256 }) => `${sensor} ${sha256}`)).size).toBe(64)
})
