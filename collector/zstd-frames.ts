import { DecompressionError } from './decompressor.ts'
import { le32 } from './word.ts'

/**
 * Walks over compressed zstd bytes (RFC 8878 section 3.1) as they come, and decompresses nothing: finds where frames
 * end, which neither decoder says, and refuses what would need much memory before a decoder sees it.
 */

const FRAME_MAGIC = 0xfd2f_b528
/** Sixteen magics, 0x184D2A50 to 0x184D2A5F, begin frames for other programs (section 3.1.2). */
const SKIPPABLE_MAGIC = 0x184d_2a5
/** RFC 8878 section 3.1.1.1.2: decoders should support this much, and encoders ask for no more unless told to. */
const WINDOW_BYTES_MAX = 8 * 1024 * 1024
/**
 * A decoder makes a window for each frame, so a frame of 24 bytes can cost it megabytes. What all frames ask for is held
 * to this, and to so many times the bytes they take: streams of a few kilobytes that were put together stay far below.
 */
const WINDOWS_BYTES_MAX = 1024 ** 3
const WINDOWS_RATIO_MAX = 1000
/** Section 3.1.1.2.3. */
const BLOCK_BYTES_MAX = 128 * 1024
const HEADER_BYTES_MAX = 18
const BLOCK_HEADER_BYTES = 3
const BLOCK_TYPE_RLE = 1
const BLOCK_TYPE_RESERVED = 3
const CHECKSUM_BYTES = 4
/** Bytes of the dictionary identifier and of the content size, by their flags. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4]
const CONTENT_SIZE_BYTES = [0, 2, 4, 8]

/** True when the bytes begin a zstd frame, or a frame that zstd skips. */
export function isZstdMagic(bytes: Uint8Array, end: number): boolean {
  return end >= 4 && (le32(bytes, 0) === FRAME_MAGIC || le32(bytes, 0) >>> 4 === SKIPPABLE_MAGIC)
}

type Part = 'magic' | 'descriptor' | 'header' | 'skippable' | 'block'

export class ZstdFrames {
  /** True between frames: the only place where the bytes may end. */
  isBetween = true
  /** Whether the last bytes of the frame are its checksum; to be asked at the end of the frame. */
  hasChecksum = false
  private part: Part = 'magic'
  private readonly head = new Uint8Array(HEADER_BYTES_MAX)
  private headBytes = 0
  private headBytesNeeded = 4
  /** Bytes of a block or skippable frame that need not be looked at. */
  private bytesToPass = 0
  private isLastBlock = false
  private blockBytesMax = BLOCK_BYTES_MAX
  private windowsBytes = 0
  private passedBytes = 0

  /**
   * Goes on to the end of the frame or of the bytes, whichever comes first.
   * @returns offset behind what was passed
   * @throws DecompressionError
   */
  pass(bytes: Uint8Array, from: number): number {
    const end = this.findEnd(bytes, from)
    this.passedBytes += end - from
    return end
  }

  private findEnd(bytes: Uint8Array, from: number): number {
    let at = from
    this.isBetween = false
    while (at < bytes.length) {
      if (this.bytesToPass > 0) {
        const passed = Math.min(this.bytesToPass, bytes.length - at)
        this.bytesToPass -= passed
        at += passed
      } else {
        this.head[this.headBytes++] = bytes[at++]!
        if (this.headBytes === this.headBytesNeeded) this.readHead()
      }
      if (this.bytesToPass === 0 && this.headBytes === 0 && this.isLastBlock) {
        this.expect('magic', 4)
        this.isLastBlock = false
        this.isBetween = true
        return at
      }
    }
    return at
  }

  private expect(part: Part, byteCount: number): void {
    this.part = part
    this.headBytes = 0
    this.headBytesNeeded = byteCount
  }

  private readHead(): void {
    if (this.part === 'magic') this.readMagic()
    else if (this.part === 'descriptor') this.readDescriptor()
    else if (this.part === 'header') this.readHeader()
    else if (this.part === 'block') this.readBlockHeader()
    else this.readSkippable()
  }

  private readMagic(): void {
    const magic = le32(this.head, 0)
    const isSkippable = magic >>> 4 === SKIPPABLE_MAGIC
    if (!isSkippable && magic !== FRAME_MAGIC) {
      throw new DecompressionError('damaged', `0x${magic.toString(16).padStart(8, '0')} where a frame should begin`)
    }
    this.hasChecksum = false
    this.part = isSkippable ? 'skippable' : 'descriptor'
    this.headBytesNeeded = isSkippable ? 8 : 5
  }

  private readSkippable(): void {
    this.bytesToPass = le32(this.head, 4)
    this.isLastBlock = true
    this.headBytes = 0
  }

  /** Section 3.1.1.1.1. */
  private readDescriptor(): void {
    const descriptor = this.head[4]!
    if ((descriptor & 8) !== 0) throw new DecompressionError('damaged', 'a reserved bit of a frame header is set')
    const isSingleSegment = (descriptor & 0x20) !== 0
    this.hasChecksum = (descriptor & 4) !== 0
    this.part = 'header'
    this.headBytesNeeded =
      5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + contentSizeBytes(descriptor)
  }

  private readHeader(): void {
    const descriptor = this.head[4]!
    const dictionaryIdBytes = DICTIONARY_ID_BYTES[descriptor & 3]!
    const isSingleSegment = (descriptor & 0x20) !== 0
    const dictionaryIdAt = isSingleSegment ? 5 : 6
    if (this.head.subarray(dictionaryIdAt, dictionaryIdAt + dictionaryIdBytes).some(byte => byte !== 0)) {
      throw new DecompressionError('unsupported', 'a dictionary is needed; decompress it with `zstd -d -D DICTIONARY`')
    }
    const window = isSingleSegment
      ? contentSize(this.head, dictionaryIdAt + dictionaryIdBytes, contentSizeBytes(descriptor))
      : windowBytes(this.head[5]!)
    if (window > WINDOW_BYTES_MAX) {
      const message = `a window of ${window} bytes is needed, allowed are ${WINDOW_BYTES_MAX}; decompress it with \`zstd -d --long=31\``
      throw new DecompressionError('unsupported', message)
    }
    this.windowsBytes += window
    if (this.windowsBytes > WINDOWS_BYTES_MAX + WINDOWS_RATIO_MAX * this.passedBytes) {
      const message = `its frames need windows of ${this.windowsBytes} bytes, far more than they hold; decompress it with \`zstd -d\``
      throw new DecompressionError('unsupported', message)
    }
    this.blockBytesMax = Math.min(window, BLOCK_BYTES_MAX)
    this.expect('block', BLOCK_HEADER_BYTES)
  }

  /** Section 3.1.1.2. */
  private readBlockHeader(): void {
    const header = this.head[0]! | (this.head[1]! << 8) | (this.head[2]! << 16)
    const type = (header >>> 1) & 3
    const byteCount = header >>> 3
    if (type === BLOCK_TYPE_RESERVED) throw new DecompressionError('damaged', 'a block of the reserved type')
    if (byteCount > this.blockBytesMax) {
      throw new DecompressionError('damaged', `a block of ${byteCount} bytes, allowed are ${this.blockBytesMax}`)
    }
    this.isLastBlock = (header & 1) !== 0
    this.bytesToPass = type === BLOCK_TYPE_RLE ? 1 : byteCount
    if (this.isLastBlock && this.hasChecksum) this.bytesToPass += CHECKSUM_BYTES
    this.expect('block', BLOCK_HEADER_BYTES)
  }
}

function contentSizeBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0
  return descriptor >>> 6 === 0 && isSingleSegment ? 1 : CONTENT_SIZE_BYTES[descriptor >>> 6]!
}

/** Section 3.1.1.1.4; sizes of two bytes begin at 256. */
function contentSize(head: Uint8Array, at: number, byteCount: number): number {
  let size = byteCount === 2 ? 256 : 0
  for (let index = 0; index < byteCount; index++) size += head[at + index]! * 256 ** index
  return size
}

/** Section 3.1.1.1.2. */
function windowBytes(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3))
  return base + (base / 8) * (descriptor & 7)
}
