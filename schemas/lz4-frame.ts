/**
 * LZ4 frames (LZ4 frame format 1.6, LZ4 block format) as the buffers of a batch's record batches have them: Arrow's body
 * compression, in which each buffer is compressed or stays as it is. Most columns of flows are the same value in long
 * runs, or values that nothing makes smaller, so the encoder looks for runs of equal 64-bit words and for nothing else:
 * that costs next to nothing, and any LZ4 reader reads it.
 */

const MAGIC = [0x04, 0x22, 0x4d, 0x18] as const
/** Version 1, independent blocks, no checksums, no content size; blocks of up to 4 MiB; checksum of these two bytes. */
const DESCRIPTOR = [0x60, 0x70, 0x73] as const
const HEADER_BYTES = MAGIC.length + DESCRIPTOR.length
const BLOCK_BYTES_MAX = 4 * 1024 * 1024
const BLOCK_IS_RAW = 0x8000_0000
/** Block size before the block, end mark behind it. */
const END_MARK_BYTES = 4
const FRAME_BYTES = HEADER_BYTES + 4 + END_MARK_BYTES

const MATCH_MIN = 4
const OFFSET_BYTES = 2
/** A length that does not fit into its half of the token goes on in bytes of up to 255. */
const TOKEN_MAX = 15
/** The last five bytes are literals, and no match begins in the last twelve (LZ4 block format, end of block). */
const TAIL_WORDS = 2
const WORD_BYTES = 8

/** Compressed this much or not at all: a reader should not have to take apart what is hardly smaller. */
const WORTH_IT = 0.75
/** Up to this size bytes always become a frame: libraries try a codec on a few. */
const SMALL_BYTES = 64
/** Token and length of the one sequence that so few bytes need at most. */
const TOKEN_BYTES_MAX = 2
/** Larger buffers have to show in their beginning that most words repeat the one before. */
const SAMPLE_WORDS = 512
const SAMPLE_REPEATS_MIN = (SAMPLE_WORDS * 3) / 4
/** Where frames are made before they are cut to size; it grows with what is encoded. */
let workspace = new Uint8Array(0)

/**
 * A frame of the bytes, up to BLOCK_BYTES_MAX; what is made depends on the bytes alone.
 * @returns null when that would not be worth it
 */
export function encodeLz4Runs(bytes: Uint8Array): Uint8Array | null {
  const wordCount = Math.floor(bytes.length / WORD_BYTES)
  if (bytes.length > BLOCK_BYTES_MAX || bytes.byteOffset % 4 !== 0) return null
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, wordCount * 2)
  if (!showsRuns(words, wordCount)) return null
  const limit =
    bytes.length <= SMALL_BYTES ? bytes.length + FRAME_BYTES + TOKEN_BYTES_MAX : Math.floor(bytes.length * WORTH_IT)
  const encoder = new RunEncoder(bytes, limit)
  const end = wordCount - TAIL_WORDS
  for (let at = 1; at < end; at++) {
    if (words[at * 2] !== words[at * 2 - 2] || words[at * 2 + 1] !== words[at * 2 - 1]) continue
    const first = at
    while (++at < end && words[at * 2] === words[at * 2 - 2] && words[at * 2 + 1] === words[at * 2 - 1]) {}
    if (!encoder.repeat(first * WORD_BYTES, at * WORD_BYTES)) return null
  }
  return encoder.finish()
}

function showsRuns(words: Int32Array, wordCount: number): boolean {
  if (wordCount < SAMPLE_WORDS) return true
  let repeats = 0
  for (let at = 1; at < SAMPLE_WORDS; at++) {
    if (words[at * 2] === words[at * 2 - 2] && words[at * 2 + 1] === words[at * 2 - 1]) repeats++
  }
  return repeats >= SAMPLE_REPEATS_MIN
}

/** Writes sequences: literals, then a match that repeats the word before it. */
class RunEncoder {
  readonly #bytes: Uint8Array
  readonly #target: Uint8Array
  readonly #limit: number
  #at = HEADER_BYTES + 4
  /** First byte that no sequence holds. */
  #literalStart = 0

  /** @param limit bytes that the frame may have */
  constructor(bytes: Uint8Array, limit: number) {
    this.#bytes = bytes
    this.#limit = limit
    if (workspace.length < limit + FRAME_BYTES) workspace = new Uint8Array(limit + FRAME_BYTES)
    this.#target = workspace
  }

  /** Bytes [start, end) repeat the word before them. @returns false when the limit is reached */
  repeat(start: number, end: number): boolean {
    const literals = start - this.#literalStart
    const length = end - start - MATCH_MIN
    if (!this.#hasRoom(literals + lengthBytes(literals) + 1 + OFFSET_BYTES + lengthBytes(length))) return false
    this.#token(literals, Math.min(length, TOKEN_MAX))
    this.#target[this.#at++] = WORD_BYTES
    this.#target[this.#at++] = 0
    this.#length(length)
    this.#literalStart = end
    return true
  }

  finish(): Uint8Array | null {
    const literals = this.#bytes.length - this.#literalStart
    if (!this.#hasRoom(literals + lengthBytes(literals) + 1 + END_MARK_BYTES)) return null
    this.#token(literals, 0)
    const target = this.#target.slice(0, this.#at + 4)
    target.set(MAGIC)
    target.set(DESCRIPTOR, MAGIC.length)
    const view = new DataView(target.buffer)
    view.setUint32(HEADER_BYTES, this.#at - HEADER_BYTES - 4, true)
    view.setUint32(this.#at, 0, true)
    return target
  }

  #hasRoom(bytes: number): boolean {
    return this.#at + bytes <= this.#limit
  }

  #token(literals: number, match: number): void {
    this.#target[this.#at++] = (Math.min(literals, TOKEN_MAX) << 4) | match
    this.#length(literals)
    const end = this.#literalStart + literals
    // Most are a word or two, for which a loop is quicker than a view and a copy.
    if (literals > 64) this.#target.set(this.#bytes.subarray(this.#literalStart, end), this.#at)
    else for (let from = this.#literalStart, to = this.#at; from < end; ) this.#target[to++] = this.#bytes[from++]!
    this.#at += literals
  }

  #length(length: number): void {
    let left = length - TOKEN_MAX
    if (left < 0) return
    for (; left >= 255; left -= 255) this.#target[this.#at++] = 255
    this.#target[this.#at++] = left
  }
}

/** Bytes behind the token that a length needs. */
function lengthBytes(length: number): number {
  return length < TOKEN_MAX ? 0 : Math.floor((length - TOKEN_MAX) / 255) + 1
}

/**
 * The content of a frame of any LZ4 writer, without a dictionary; checksums are passed over.
 * @param lengthMax bytes that it may have
 * @returns null when the frame is damaged or holds more: nothing in it is believed
 */
export function decodeLz4Frame(frame: Uint8Array, lengthMax: number): Uint8Array | null {
  return decodeLz4FrameInto(frame, new Uint8Array(lengthMax))
}

/**
 * The same into room that the caller has; what is returned is a view of it.
 * @param target as long as the content may be
 */
export function decodeLz4FrameInto(frame: Uint8Array, target: Uint8Array): Uint8Array | null {
  try {
    return target.subarray(0, decodeFrame(new FrameReader(frame), target))
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Reads that end beyond the frame throw a RangeError. */
class FrameReader {
  at = 0
  readonly bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  byte(): number {
    return this.#view.getUint8(this.at++)
  }

  word(): number {
    const value = this.#view.getUint32(this.at, true)
    this.at += 4
    return value
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw new RangeError('lz4: it ends early')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
}

/** @returns bytes written */
function decodeFrame(reader: FrameReader, target: Uint8Array): number {
  for (const byte of MAGIC) if (reader.byte() !== byte) throw new RangeError('lz4: no frame')
  const flags = reader.byte()
  if (flags >>> 6 !== 1 || (flags & 1) !== 0) throw new RangeError('lz4: another version, or a dictionary')
  // Block size, content size where it is said, header checksum.
  reader.take(1 + ((flags & 8) !== 0 ? 8 : 0) + 1)
  const checksumBytes = (flags & 16) !== 0 ? 4 : 0
  let written = 0
  for (let size = reader.word(); size !== 0; size = reader.word()) {
    const block = reader.take(size & ~BLOCK_IS_RAW)
    if ((size & BLOCK_IS_RAW) !== 0) {
      target.set(block, written)
      written += block.length
    } else written = decodeBlock(block, target, written)
    reader.take(checksumBytes)
  }
  return written
}

/** @returns bytes written in all */
function decodeBlock(block: Uint8Array, target: Uint8Array, start: number): number {
  const reader = new FrameReader(block)
  let written = start
  while (reader.at < block.length) {
    const token = reader.byte()
    const literals = reader.take(readLength(reader, token >>> 4))
    target.set(literals, written)
    written += literals.length
    if (reader.at === block.length) break
    const offset = reader.byte() | (reader.byte() << 8)
    const length = readLength(reader, token & TOKEN_MAX) + MATCH_MIN
    if (offset === 0 || offset > written || length > target.length - written) throw new RangeError('lz4: a false match')
    repeat(target, written, offset, length)
    written += length
  }
  return written
}

function readLength(reader: FrameReader, first: number): number {
  if (first < TOKEN_MAX) return first
  let length = first
  for (;;) {
    const byte = reader.byte()
    length += byte
    if (byte < 255) return length
  }
}

/** A match may reach into what it writes: then what is there is doubled until it is long enough. */
function repeat(target: Uint8Array, at: number, offset: number, length: number): void {
  let copied = 0
  while (copied < length) {
    const count = Math.min(length - copied, offset + copied)
    target.copyWithin(at + copied, at - offset, at - offset + count)
    copied += count
  }
}
