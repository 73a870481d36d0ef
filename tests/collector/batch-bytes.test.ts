import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, crc32, deflateRawSync, gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBatchBytes } from '../../collector/batch-bytes.ts'
import { PACKETS_PER_BATCH_MAX } from '../../schemas/batch.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// What is read of a batch in gzip is what `gunzip` gives, for one complete stream, and nothing for anything else.

const newFolder = temporaryFolders()
const input = join(newFolder(), 'batch')
const CONTENT = Buffer.from('flows of a quiet night, '.repeat(500))

/** The content, or the error. */
function read(bytes: Uint8Array): Buffer | { code: string; message: string; details: object } {
  writeFileSync(input, bytes)
  try {
    return Buffer.from(readBatchBytes(input))
  } catch (error) {
    if (!(error instanceof TelescopeError)) throw error
    const { code, message, details } = error
    return { code, message, details }
  }
}

const refused = (at: number, what: string) => ({
  code: 'COMPRESSION_INVALID',
  message: `batch: not one complete gzip stream: at byte ${at} ${what}; compress the batch anew and send it again`,
  details: { offset: at },
})

/** A member put together by hand, RFC 1952 section 2.3. */
function member(flags: number, optional: Buffer[] = [], content = CONTENT): Buffer {
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(content))
  trailer.writeUInt32LE(content.length, 4)
  const header = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3]), ...optional])
  return Buffer.concat([header, deflateRawSync(content), trailer])
}

describe('a batch file', () => {
  it('that is no gzip is taken as it is', () => {
    for (const bytes of [CONTENT, Buffer.alloc(0), Buffer.from([0x1f]), Buffer.from([0x8b, 0x1f, 8])]) {
      expect(read(bytes)).toEqual(bytes)
    }
  })

  it('in gzip of any level is decompressed, also when it holds nothing', () => {
    for (const level of [0, 1, 6, 9]) expect(read(gzipSync(CONTENT, { level }))).toEqual(CONTENT)
    expect(read(gzipSync(''))).toEqual(Buffer.alloc(0))
  })

  it.runIf(requireExternal('gzip', hasCommand('gzip')))(
    'in gzip of the gzip program, with a name in its header',
    () => {
      const path = join(newFolder(), 'named.arrow')
      writeFileSync(path, CONTENT)
      expect(spawnSync('gzip', ['-N', path]).status).toBe(0)
      const bytes = readFileSync(`${path}.gz`)
      expect(bytes[3]).toBe(8)
      expect(read(bytes)).toEqual(CONTENT)
    },
  )

  it('may have every optional part in its header', () => {
    const extra = Buffer.from([5, 0, 1, 2, 3, 4, 0])
    const [name, comment] = [Buffer.from('name\0'), Buffer.from('\0')]
    const fixed = Buffer.from([0x1f, 0x8b, 8, 0x1f, 1, 2, 3, 4, 0, 3])
    const sum = Buffer.alloc(2)
    sum.writeUInt16LE(crc32(Buffer.concat([fixed, extra, name, comment])) & 0xffff)
    const whole = member(0x1f, [extra, name, comment, sum])
    expect(gunzipSync(whole)).toEqual(CONTENT)
    expect(read(whole)).toEqual(CONTENT)
    const wrong = Buffer.from(whole)
    wrong[5]! ^= 1
    expect(read(wrong)).toMatchObject({ code: 'COMPRESSION_INVALID', details: { offset: 10 + 7 + 5 + 1 } })
    for (const part of [[], [extra.subarray(0, 4)], [extra, name.subarray(0, 4)], [extra, name, comment]]) {
      const cut = member(0x1f, part).subarray(0, 10 + Buffer.concat(part).length)
      expect(read(cut)).toEqual(refused(cut.length, 'it ends too early'))
    }
  })
})

describe('gzip that is not one complete stream is refused', () => {
  const good = member(0)
  const end = good.length - 8
  it.each<[string, Buffer, number, string]>([
    ['nothing behind the magic', good.subarray(0, 2), 2, 'it ends too early'],
    ['a header alone', good.subarray(0, 10), 10, 'it ends too early'],
    ['deflate data cut short', good.subarray(0, 30), 30, 'it ends too early'],
    ['a trailer cut short', good.subarray(0, -1), good.length - 1, 'it ends too early'],
    ['another method', changed(good, 2, 7), 2, 'compression method is 7, expected 8 (deflate)'],
    ['reserved flags', changed(good, 3, 0x40), 3, 'flags 0x40 have bits that are reserved'],
    [
      'another checksum',
      changed(good, end, good[end]! ^ 1),
      end,
      `the content has CRC-32 ${crc32(CONTENT).toString(16)}, the trailer says ${((crc32(CONTENT) ^ 1) >>> 0).toString(16)}`,
    ],
    [
      'another length',
      changed(good, end + 4, good[end + 4]! ^ 1),
      end + 4,
      `the content has ${CONTENT.length} bytes, the trailer says ${CONTENT.length ^ 1}`,
    ],
    [
      'a second member',
      Buffer.concat([good, good]),
      good.length,
      `${good.length} bytes follow its end, and a batch is one stream`,
    ],
    [
      'padding',
      Buffer.concat([good, Buffer.alloc(3)]),
      good.length,
      '3 bytes follow its end, and a batch is one stream',
    ],
  ])('%s', (_why, bytes, offset, what) => {
    expect(read(bytes)).toEqual(refused(offset, what))
  })

  it('damaged deflate data', () => {
    expect(read(changed(good, 10, 0xff))).toEqual(
      refused(10, 'the deflate data that begin here are damaged (invalid block type)'),
    )
  })

  it('cut anywhere, and changed anywhere: an error with a code, or what gunzip reads', () => {
    const whole = gzipSync(Buffer.concat([CONTENT, randomBytes(300)]))
    const content = gunzipSync(whole)
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: whole.length - 1 }),
        fc.nat(whole.length - 1),
        fc.nat(255),
        (cut, at, value) => {
          expect(read(whole.subarray(0, cut))).toMatchObject({ code: 'COMPRESSION_INVALID' })
          const bytes = changed(whole, at, value)
          const result = read(bytes)
          if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) expect(bytes.equals(result as Buffer)).toBe(true)
          else if (Buffer.isBuffer(result))
            expect([result, gunzipSync(bytes)].map(it => it.equals(content))).toEqual([true, true])
          else expect(result.code).toBe('COMPRESSION_INVALID')
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('a bomb', () => {
  it('by its density is refused before it is decompressed as a whole', () => {
    const zeros = gzipSync(Buffer.alloc(4 * 2 ** 20), { level: 9 })
    expect(read(zeros)).toEqual({
      code: 'COMPRESSION_BOMB',
      message: `batch: ${zeros.length} bytes of gzip expand to more than ${zeros.length * 1000} bytes, which no batch of them has; send it decompressed if you trust it`,
      details: { byte_count: zeros.length, content_bytes_max: zeros.length * 1000 },
    })
  })

  it('by its size is refused, too', () => {
    // Mebibytes that end on a byte, one after the other: made at once, and as deflate would make them.
    const mebibyte = deflateRawSync(Buffer.alloc(2 ** 20), { level: 1, finishFlush: constants.Z_FULL_FLUSH })
    const contentBytesMax = 64 * 2 ** 20
    // What our own collector writes fits twice: a flow has less than 125 bytes.
    expect(contentBytesMax).toBeGreaterThan(2 * PACKETS_PER_BATCH_MAX * 125)
    const count = contentBytesMax / 2 ** 20 + 1
    const large = Buffer.concat([member(0).subarray(0, 10), ...Array<Buffer>(count).fill(mebibyte), deflateRawSync('')])
    expect(contentBytesMax / large.length).toBeLessThan(500)
    expect(read(large)).toMatchObject({
      code: 'COMPRESSION_BOMB',
      details: { content_bytes_max: contentBytesMax },
    })
  })

  it('is not what compresses as well as honest columns do, nor what is small', () => {
    const dense = Buffer.concat([randomBytes(1500), Buffer.alloc(3 * 2 ** 20)])
    const zipped = gzipSync(dense, { level: 9 })
    expect(dense.length / zipped.length).toBeGreaterThan(600)
    const zeros = Buffer.alloc(2 ** 20)
    expect(dense.equals(read(zipped) as Buffer)).toBe(true)
    expect(zeros.equals(read(gzipSync(zeros, { level: 9 })) as Buffer)).toBe(true)
  })
})

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = value
  return copy
}
