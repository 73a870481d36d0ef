import type { ByteSource } from './byte-source.ts'
import type { CaptureError } from './capture-result.ts'
import type { Compression } from './compression.ts'
import { DecompressionError, type Decompressor } from './decompressor.ts'
import { ExpansionGuard } from './expansion-guard.ts'

/**
 * zlib hands out nothing of the call in which it meets damage. So pieces grow with what was read before: at most a
 * sixteenth of a damaged file is lost, and a large one is read in large pieces.
 */
const PIECE_BYTES_MIN = 256
const PIECE_BYTES_MAX = 256 * 1024
const PIECE_GROWTH = 16
/** Content that waits to be read; the next piece is decompressed only while there is less. */
const AHEAD_BYTES = 1024 * 1024

/**
 * The content of a compressed source. While the caller works on what it read, the next piece is decompressed and the
 * one after it is read from the file.
 */
export class DecompressingSource implements ByteSource {
  error: CaptureError | null = null
  private readonly compression: Compression
  private readonly inner: ByteSource
  private readonly guard: ExpansionGuard
  private head: Uint8Array
  /** One is being decompressed while the other is filled. */
  private readonly pieces = [new Uint8Array(PIECE_BYTES_MAX), new Uint8Array(PIECE_BYTES_MAX)]
  private pieceNumber = 0
  private compressedBytes = 0
  private readonly content: Uint8Array[] = []
  private waitingBytes = 0
  /** Becomes `error` when the content before it was read, so that it does not matter how far ahead we are. */
  private failure: CaptureError | null = null
  private isEnded = false
  private work: Promise<void> | null = null
  private decompressor: Decompressor | null = null
  private onArrival: () => void = () => {}
  private onRoom: () => void = () => {}

  /**
   * @param head compressed bytes that were taken from the inner source already
   * @param contentBytesMax more decompressed bytes than this are a bomb
   */
  constructor(compression: Compression, inner: ByteSource, head: Uint8Array, contentBytesMax: number) {
    this.compression = compression
    this.inner = inner
    this.head = head
    this.guard = new ExpansionGuard(compression.name, contentBytesMax)
  }

  get bytesRead(): number {
    return this.inner.bytesRead
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    this.work ??= this.decompress()
    while (this.content.length === 0) {
      if (this.isEnded) {
        await this.work
        this.error = this.failure
        return 0
      }
      await new Promise<void>(resolve => {
        this.onArrival = resolve
      })
    }
    let count = 0
    while (count < length && this.content.length > 0) count += this.take(target, offset + count, length - count)
    if (this.waitingBytes < AHEAD_BYTES) this.onRoom()
    return count
  }

  async close(): Promise<void> {
    this.stop()
    this.onArrival()
    await this.inner.close()
    await this.work
  }

  private take(target: Uint8Array, offset: number, length: number): number {
    const chunk = this.content[0]!
    const count = Math.min(length, chunk.length)
    target.set(count === chunk.length ? chunk : chunk.subarray(0, count), offset)
    if (count === chunk.length) this.content.shift()
    else this.content[0] = chunk.subarray(count)
    this.waitingBytes -= count
    return count
  }

  private stop(): void {
    this.isEnded = true
    this.onRoom()
    void this.decompressor?.close()
  }

  private async decompress(): Promise<void> {
    try {
      this.decompressor = await this.compression.open(chunk => this.arrived(chunk))
      await this.decompressWith(this.decompressor)
    } catch (cause) {
      if (!(cause instanceof DecompressionError)) throw cause
      this.failure ??= this.describe(cause)
    } finally {
      this.isEnded = true
      this.onArrival()
      await this.decompressor?.close()
    }
  }

  private async decompressWith(decompressor: Decompressor): Promise<void> {
    let next = this.nextPiece()
    for (;;) {
      const piece = await next
      if (this.isEnded) return
      if (piece.length === 0) break
      this.guard.compressedBytes += piece.length
      const written = decompressor.write(piece)
      next = this.nextPiece()
      await written
      if (this.waitingBytes >= AHEAD_BYTES && !this.isEnded) {
        await new Promise<void>(resolve => {
          this.onRoom = resolve
        })
      }
    }
    if (this.inner.error) this.failure = this.inner.error
    else await decompressor.end()
  }

  /** Always as large as it should be: how much comes out before damage must not depend on how the bytes arrive. */
  private async nextPiece(): Promise<Uint8Array> {
    const size = Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, Math.ceil(this.compressedBytes / PIECE_GROWTH)))
    const buffer = this.pieces[this.pieceNumber++ & 1]!
    let filled = Math.min(size, this.head.length)
    buffer.set(this.head.subarray(0, filled))
    this.head = this.head.subarray(filled)
    while (filled < size) {
      const count = await this.inner.read(buffer, filled, size - filled)
      if (count === 0) break
      filled += count
    }
    this.compressedBytes += filled
    return buffer.subarray(0, filled)
  }

  private arrived(chunk: Uint8Array): void {
    if (this.isEnded || chunk.length === 0) return
    this.failure = this.guard.countContent(chunk.length)
    if (this.failure) {
      this.stop()
    } else {
      this.content.push(chunk)
      this.waitingBytes += chunk.length
    }
    // Not at once: the caller works on it for a while, and before that the next piece is to be on its way.
    setImmediate(() => this.onArrival())
  }

  private describe({ kind, message }: DecompressionError): CaptureError {
    const { name } = this.compression
    const offset = this.guard.contentBytes
    if (kind === 'unsupported') return { code: 'COMPRESSION_UNSUPPORTED', message: `${name}: ${message}`, offset }
    const what = kind === 'cut' ? 'the compressed data is cut short' : `the compressed data is damaged (${message})`
    const text = `${name}: ${what} after byte ${offset} of the content; what came before was read`
    return { code: 'COMPRESSION_INVALID', message: text, offset }
  }
}
