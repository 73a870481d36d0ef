import { readFileSync, statSync } from 'node:fs'
import { crc32, inflateRawSync } from 'node:zlib'
import { BATCH_BYTES_MAX } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { compressionOf } from './compression.ts'

/**
 * The bytes of a batch that came from outside: plain, or as one gzip stream (RFC 1952), told apart by content.
 *
 * The stream is taken apart here and only its deflate part given to zlib, which on its own goes on with whatever
 * members follow and passes over what stands behind them: the same content must not hide a second one.
 */

/** Header and trailer of a member, RFC 1952 section 2.3. */
const HEADER_BYTES = 10
const TRAILER_BYTES = 8
const METHOD_DEFLATE = 8
const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const

/**
 * Columns compress far better than captures do: honest flows of a sensor with one address that is asked the same ports
 * every minute came to 520:1, and deflate itself ends at 1032:1. What is denser than this holds no flows.
 */
const RATIO_MAX = 1000
/** The ratio is judged only after this much content. */
const RATIO_JUDGED_FROM_BYTES = 1024 * 1024
/**
 * Content of a compressed batch, which lies in memory whole: twice the most that our own collector can put into one
 * (PACKETS_PER_BATCH_MAX flows of 120 bytes).
 */
const CONTENT_BYTES_MAX = 64 * 1024 * 1024

/**
 * Reads a batch file and decompresses it where it is compressed. Memory: the file, at most BATCH_BYTES_MAX, and its
 * content as far as it is real, at most CONTENT_BYTES_MAX.
 * @throws BODY_TOO_LARGE when the file is larger than BATCH_BYTES_MAX; COMPRESSION_INVALID when it is anything but one
 *   complete gzip stream; COMPRESSION_BOMB when its content is larger than CONTENT_BYTES_MAX or denser than RATIO_MAX
 */
export function readBatchBytes(path: string): Uint8Array {
  const { size } = statSync(path)
  if (size > BATCH_BYTES_MAX) {
    throw new TelescopeError(
      'BODY_TOO_LARGE',
      `batch: ${size} bytes, at most ${BATCH_BYTES_MAX} are read; let hirundo collect make smaller ones (--batch-seconds)`,
      { size },
    )
  }
  const bytes = readFileSync(path)
  return compressionOf(bytes, bytes.length)?.name === 'gzip' ? gunzip(bytes) : bytes
}

function gunzip(bytes: Buffer): Uint8Array {
  const start = deflateStart(bytes)
  const { content, consumed } = inflate(bytes, start)
  checkTrailer(bytes, start + consumed, content)
  return content
}

/** Offset of the deflate data, behind a header with whatever optional parts `gzip` writes into it. */
function deflateStart(bytes: Buffer): number {
  checkLength(bytes, HEADER_BYTES)
  const [method, flags] = [bytes[2]!, bytes[3]!]
  if (method !== METHOD_DEFLATE) invalid(`compression method is ${method}, expected ${METHOD_DEFLATE} (deflate)`, 2)
  if ((flags & FLAG.reserved) !== 0) invalid(`flags 0x${flags.toString(16)} have bits that are reserved`, 3)
  let at = HEADER_BYTES
  if (flags & FLAG.extra) {
    checkLength(bytes, at + 2)
    at += 2 + bytes.readUInt16LE(at)
  }
  for (const flag of [FLAG.name, FLAG.comment]) {
    if ((flags & flag) === 0) continue
    const zero = bytes.indexOf(0, at)
    if (zero === -1) cutShort(bytes)
    at = zero + 1
  }
  if (flags & FLAG.headerCrc) {
    checkLength(bytes, at + 2)
    const expected = bytes.readUInt16LE(at)
    const actual = crc32(bytes.subarray(0, at)) & 0xffff
    if (actual !== expected) invalid(`the header has CRC-16 ${hex(actual)}, and names ${hex(expected)}`, at)
    at += 2
  }
  checkLength(bytes, at)
  return at
}

function inflate(bytes: Buffer, start: number): { content: Uint8Array; consumed: number } {
  const contentBytesMax = Math.min(CONTENT_BYTES_MAX, Math.max(RATIO_JUDGED_FROM_BYTES, RATIO_MAX * bytes.length))
  try {
    // One buffer for all of it, and a byte that must stay free; the system gives memory only to what is written.
    const options = { chunkSize: contentBytesMax + 1, maxOutputLength: contentBytesMax, info: true }
    const { buffer, engine } = inflateRawSync(bytes.subarray(start), options) as unknown as {
      buffer: Uint8Array
      engine: { bytesWritten: number }
    }
    return { content: buffer, consumed: engine.bytesWritten }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      throw new TelescopeError(
        'COMPRESSION_BOMB',
        `batch: ${bytes.length} bytes of gzip expand to more than ${contentBytesMax} bytes, which no batch of them has; send it decompressed if you trust it`,
        { byte_count: bytes.length, content_bytes_max: contentBytesMax },
        cause,
      )
    }
    if (code === 'Z_BUF_ERROR') cutShort(bytes)
    if (!code?.startsWith('Z_')) throw cause
    return invalid(`the deflate data that begin here are damaged (${message})`, start)
  }
}

/** @param end offset behind the deflate data */
function checkTrailer(bytes: Buffer, end: number, content: Uint8Array): void {
  checkLength(bytes, end + TRAILER_BYTES)
  const [expected, length] = [bytes.readUInt32LE(end), bytes.readUInt32LE(end + 4)]
  const actual = crc32(content)
  if (actual !== expected) invalid(`the content has CRC-32 ${hex(actual)}, the trailer says ${hex(expected)}`, end)
  if (content.length !== length) invalid(`the content has ${content.length} bytes, the trailer says ${length}`, end + 4)
  const rest = bytes.length - end - TRAILER_BYTES
  if (rest > 0) invalid(`${rest} bytes follow its end, and a batch is one stream`, end + TRAILER_BYTES)
}

function hex(value: number): string {
  return value.toString(16).padStart(4, '0')
}

function checkLength(bytes: Buffer, needed: number): void {
  if (bytes.length < needed) cutShort(bytes)
}

function cutShort(bytes: Buffer): never {
  return invalid('it ends too early', bytes.length)
}

function invalid(what: string, offset: number): never {
  throw new TelescopeError(
    'COMPRESSION_INVALID',
    `batch: not one complete gzip stream: at byte ${offset} ${what}; compress the batch anew and send it again`,
    { offset },
  )
}
