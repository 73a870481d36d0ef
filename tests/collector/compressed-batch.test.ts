import { createHash, randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { compressBatch } from '../../collector/compressed-batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

const newFolder = temporaryFolders()
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const { signal } = new AbortController()

/** Several pieces, half of them random, so that there is much to compress and much that cannot be. */
const CONTENT = Buffer.concat([Buffer.alloc(900_000), randomBytes(1_200_000), Buffer.alloc(1_000_000, 'dark')])

function written(bytes: Uint8Array): string {
  const path = join(newFolder(), 'batch')
  writeFileSync(path, bytes)
  return path
}

describe('a batch that is compressed', () => {
  it.each([
    ['as it was kept', 16 * 2 ** 20],
    ['anew when it is too large to keep', 100_000],
    ['anew when nothing may be kept', 0],
  ])('opens %s, again and again, with the bytes of its digest', async (_why, keptBytesMax) => {
    const batch = await compressBatch(written(CONTENT), sha256(CONTENT), { signal, keptBytesMax })
    for (let time = 0; time < 2; time++) {
      const bytes = await buffer(batch!.open(0, batch!.byteCount))
      expect([sha256(bytes), bytes.length]).toEqual([batch!.sha256, batch!.byteCount])
      expect(gunzipSync(bytes).equals(CONTENT)).toBe(true)
    }
    expect(batch!.byteCount).toBeLessThan(1_300_000)
    const whole = await buffer(batch!.open(0, batch!.byteCount))
    for (const [offset, length] of [
      [0, 1],
      [300_000, 500_001],
      [batch!.byteCount - 1, 1],
    ] as const) {
      expect((await buffer(batch!.open(offset, length))).equals(whole.subarray(offset, offset + length))).toBe(true)
    }
  })

  it('is none when its bytes are not those of its name', async () => {
    const path = written(CONTENT)
    const changed = Buffer.from(CONTENT)
    changed[2_000_000]! ^= 1
    expect(await compressBatch(path, sha256(changed), { signal })).toBeNull()
  })

  it.each([
    ['when it is compressed', true],
    ['when it is opened', false],
  ])('tells that its file is not there %s', async (_why, isEarly) => {
    const path = written(CONTENT)
    if (isEarly) rmSync(path)
    const compressing = compressBatch(path, sha256(CONTENT), { signal, keptBytesMax: 0 })
    if (isEarly) return await expect(compressing).rejects.toMatchObject({ code: 'ENOENT' })
    const batch = await compressing
    rmSync(path)
    await expect(buffer(batch!.open(0, batch!.byteCount))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('ends when it is told to, also while it is opened', async () => {
    const path = written(CONTENT)
    const stop = new AbortController()
    const batch = await compressBatch(path, sha256(CONTENT), { signal: stop.signal, keptBytesMax: 0 })
    const opened = buffer(batch!.open(0, batch!.byteCount))
    const again = compressBatch(path, sha256(CONTENT), { signal: stop.signal })
    stop.abort()
    const ended = { name: 'AbortError' }
    await Promise.all([expect(opened).rejects.toMatchObject(ended), expect(again).rejects.toMatchObject(ended)])
  })
})
