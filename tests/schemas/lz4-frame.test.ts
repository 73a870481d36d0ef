import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeLz4Frame, encodeLz4Runs } from '../../schemas/lz4-frame.ts'
import { hasCommand, requireExternal } from '../support/external.ts'

// The frames that batches hold, against the program of the format's author in both directions.

const hasLz4 = requireExternal('lz4', hasCommand('lz4'))

/** Columns as flows have them: runs of words, values, zeros. */
const anyColumn = fc
  .array(
    fc.record({
      word: fc.constantFrom(0n, 1n, 0xffffn, 0x0101_0101_0101_0101n, 0x1234_5678_9abc_def0n),
      count: fc.nat(600),
      noise: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map(runs => {
    const words = runs.flatMap(({ word, count, noise }) =>
      Array.from({ length: count }, (_, at) => (noise && at % 7 === 0 ? BigInt(at) * 0x9e37_79b9n : word)),
    )
    return new Uint8Array(BigUint64Array.from(words).buffer)
  })

describe('LZ4 frames', () => {
  test('what is encoded is smaller by a quarter at least, and comes back', () => {
    let encoded = 0
    fc.assert(
      fc.property(anyColumn, fc.nat(7), (column, cut) => {
        const bytes = column.subarray(0, Math.max(0, column.length - cut))
        const frame = encodeLz4Runs(bytes)
        if (frame === null) return
        encoded++
        if (bytes.length > 64) expect(frame.length).toBeLessThanOrEqual(bytes.length * 0.75)
        expect(decodeLz4Frame(frame, bytes.length)).toEqual(bytes)
        if (bytes.length > 0) expect(decodeLz4Frame(frame, bytes.length - 1)).toBeNull()
      }),
      { numRuns: 300 },
    )
    expect(encoded).toBeGreaterThan(50)
  })

  test('the end mark counts as well: what would be larger than three quarters by it stays as it is', () => {
    const words = BigUint64Array.from([0n, 1n, 1n, 1n, 1n, 1n, 1n, 0x04_5384_540fn, 1n, 1n])
    expect(encodeLz4Runs(new Uint8Array(words.buffer))).toBeNull()
  })

  test('zeros of a record batch take a few bytes for each 2000', () => {
    expect(encodeLz4Runs(new Uint8Array(65_536 * 8))!.length).toBeLessThan(2200)
  })

  test('values without runs stay as they are', () => {
    const words = BigUint64Array.from({ length: 65_536 }, (_, at) => BigInt(at) * 0x9e37_79b9n)
    expect(encodeLz4Runs(new Uint8Array(words.buffer))).toBeNull()
  })

  test.skipIf(!hasLz4)('lz4 reads what we write, and we read what it writes', () => {
    fc.assert(
      fc.property(
        anyColumn,
        fc.constantFrom('-1', '-9', '-B4', '--content-size', '--no-frame-crc', '-BX'),
        (bytes, option) => {
          const ours = encodeLz4Runs(bytes)
          if (ours !== null) {
            expect(
              new Uint8Array(execFileSync('lz4', ['-dc'], { input: ours, stdio: ['pipe', 'pipe', 'ignore'] })),
            ).toEqual(bytes)
          }
          const theirs = execFileSync('lz4', [option, '-c'], { input: bytes, stdio: ['pipe', 'pipe', 'ignore'] })
          expect(decodeLz4Frame(theirs, bytes.length)).toEqual(bytes)
        },
      ),
      { numRuns: 25 },
    )
  })

  test('a damaged frame is refused or decodes within its bounds, and nothing is thrown', () => {
    const bytes = new Uint8Array(BigUint64Array.from({ length: 900 }, (_, at) => BigInt(at >> 6)).buffer)
    const frame = encodeLz4Runs(bytes)!
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(frame.length),
        (changes, cut) => {
          const damaged = frame.slice(0, cut === 0 ? frame.length : cut)
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value
          const content = decodeLz4Frame(damaged, bytes.length)
          expect(content === null || content.length <= bytes.length).toBe(true)
        },
      ),
      { numRuns: 3000 },
    )
  })
})
