import { createGunzip, type Gunzip } from 'node:zlib'
import type { ByteSource } from './byte-source.ts'
import type { CaptureError } from './capture-result.ts'

/** A capture compresses 3 to 30 times; beyond this the content is taken for a bomb (deflate can reach 1032). */
const RATIO_MAX = 100
/** The ratio is judged only after this much content: a small capture of equal packets may compress very well. */
const RATIO_JUDGED_FROM_BYTES = 1024 * 1024
const OUTPUT_BYTES = 256 * 1024
/**
 * zlib hands out nothing of the piece in which it meets damage. So pieces grow with what was read before: at most a
 * sixteenth of a damaged file is lost, and a large one is read in large pieces.
 */
const PIECE_BYTES_MIN = 256
const PIECE_BYTES_MAX = 64 * 1024
const PIECE_GROWTH = 16

/** True when the bytes begin a gzip member with deflate in it (RFC 1952 section 2.3). */
export function isGzipMagic(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset] === 0x1f && bytes[offset + 1] === 0x8b
}

/** Decompresses gzip of any number of members as it is read. */
export class GunzipSource implements ByteSource {
  error: CaptureError | null = null
  private readonly inner: ByteSource
  private readonly gunzip: Gunzip
  private readonly piece = new Uint8Array(PIECE_BYTES_MAX)
  private head: Uint8Array
  private readonly output: Uint8Array[] = []
  private readonly contentBytesMax: number
  private contentBytes = 0
  private compressedBytes = 0
  private isEnded = false
  /** Ends the wait for the piece that is being decompressed. */
  private wake: () => void = () => {}

  /**
   * @param head compressed bytes that were taken from the inner source already
   * @param contentBytesMax more decompressed bytes than this are a bomb
   */
  constructor(inner: ByteSource, head: Uint8Array, contentBytesMax: number) {
    this.inner = inner
    this.head = head
    this.contentBytesMax = contentBytesMax
    this.gunzip = createGunzip({ chunkSize: OUTPUT_BYTES })
    this.gunzip.on('data', (chunk: Uint8Array) => this.take(chunk))
    this.gunzip.on('error', cause => this.fail(cause))
    this.gunzip.on('end', () => this.wake())
    this.gunzip.on('close', () => this.wake())
  }

  get bytesRead(): number {
    return this.inner.bytesRead
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    while (this.output.length === 0) {
      if (this.error || this.isEnded) return 0
      await this.decompressPiece()
    }
    const chunk = this.output[0]!
    const count = Math.min(length, chunk.length)
    target.set(chunk.subarray(0, count), offset)
    if (count === chunk.length) this.output.shift()
    else this.output[0] = chunk.subarray(count)
    return count
  }

  async close(): Promise<void> {
    this.gunzip.destroy()
    await this.inner.close()
  }

  private async decompressPiece(): Promise<void> {
    const piece = await this.nextPiece()
    this.compressedBytes += piece.length
    await new Promise<void>(resolve => {
      this.wake = resolve
      // Ended by itself, without a last piece: only then is all output of a cut file handed out before the error.
      if (piece.length > 0) this.gunzip.write(piece, () => resolve())
      else this.gunzip.end()
    })
    if (piece.length === 0) this.isEnded = true
    if (this.inner.error) this.error ??= this.inner.error
  }

  /** Always as large as it should be: how much comes out before damage must not depend on how the bytes arrive. */
  private async nextPiece(): Promise<Uint8Array> {
    const grown = Math.ceil(this.compressedBytes / PIECE_GROWTH)
    const size = Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, grown))
    let filled = Math.min(size, this.head.length)
    this.piece.set(this.head.subarray(0, filled))
    this.head = this.head.subarray(filled)
    while (filled < size) {
      const count = await this.inner.read(this.piece, filled, size - filled)
      if (count === 0) break
      filled += count
    }
    return this.piece.subarray(0, filled)
  }

  private take(chunk: Uint8Array): void {
    if (this.error) return
    this.contentBytes += chunk.length
    const isTooDense =
      this.contentBytes > RATIO_JUDGED_FROM_BYTES && this.contentBytes > RATIO_MAX * this.compressedBytes
    if (isTooDense || this.contentBytes > this.contentBytesMax) {
      const limit = isTooDense ? `${RATIO_MAX} times the compressed bytes` : `${this.contentBytesMax} bytes`
      const message = `gzip: ${this.compressedBytes} bytes expand to ${this.contentBytes} or more, allowed are ${limit}; decompress it yourself if you trust it`
      this.error = { code: 'COMPRESSION_BOMB', message, offset: this.contentBytes }
      this.gunzip.destroy()
      this.wake()
      return
    }
    this.output.push(chunk)
  }

  private fail(cause: NodeJS.ErrnoException): void {
    const isCut = cause.code === 'Z_BUF_ERROR'
    const what = isCut ? 'the compressed data is cut short' : `the compressed data is damaged (${cause.message})`
    const message = `gzip: ${what} after byte ${this.contentBytes} of the content; what came before was read`
    this.error ??= { code: 'COMPRESSION_INVALID', message, offset: this.contentBytes }
    this.wake()
  }
}
