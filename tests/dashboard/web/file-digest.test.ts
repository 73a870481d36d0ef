import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { digestFile } from '../../../dashboard/web/file-digest.ts'

describe('digestFile', () => {
  it.each([
    { byteCount: 0, why: 'nothing' },
    { byteCount: 1, why: 'one byte' },
    { byteCount: 63, why: 'just below a block' },
    { byteCount: 64, why: 'one block' },
    { byteCount: 4 * 1024 * 1024, why: 'exactly one piece' },
    { byteCount: 9 * 1024 * 1024 + 17, why: 'several pieces and a rest' },
  ])('is the SHA-256 that node:crypto has of $byteCount bytes: $why', async ({ byteCount }) => {
    const bytes = randomBytes(byteCount)
    expect(await digestFile(new Blob([bytes]))).toBe(createHash('sha256').update(bytes).digest('hex'))
  })
})
