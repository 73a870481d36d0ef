import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { CaptureError } from './capture-result.ts'

/** Bytes that come in order, once. */
export interface ByteSource {
  /** Bytes taken from the file or pipe so far. */
  readonly bytesRead: number
  /** Set when reading failed; what came before it was handed out. */
  readonly error: CaptureError | null
  /**
   * Fills at most `length` bytes of the target from `offset` on.
   * @returns how many; 0 at the end and after an error
   */
  read(target: Uint8Array, offset: number, length: number): Promise<number>
  close(): Promise<void>
}

/** Opens a file, or standard input for `-`. What the system refuses is the error of the source, found on first read. */
export function openByteSource(path: string): ByteSource {
  return path === '-' ? new StreamSource(process.stdin) : new FileSource(path)
}

function unreadable(cause: unknown): CaptureError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
  if (code === 'ENOENT') return { code: 'CAPTURE_NOT_FOUND', message: 'capture: there is no such file', offset: null }
  const why = code === 'EACCES' ? 'permission denied' : code === 'EISDIR' ? 'it is a directory' : code
  return { code: 'CAPTURE_UNREADABLE', message: `capture: cannot be read: ${why}`, offset: null }
}

/** So many bytes of a file are read before others get their turn: signals, batches that become durable. */
const TURN_BYTES = 16 * 1024 * 1024

/**
 * A regular file is read synchronously: what is not in memory yet the kernel reads ahead, and a thread for each piece
 * costs more than it saves. A pipe or a device is waited for.
 */
class FileSource implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  private handle: FileHandle | null = null
  private isRegular = false
  private bytesOfTurn = 0
  private readonly path: string

  constructor(path: string) {
    this.path = path
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    if (this.error) return 0
    try {
      const handle = this.handle ?? (await this.open())
      const bytesRead = this.isRegular
        ? readSync(handle.fd, target, offset, length, null)
        : (await handle.read(target, offset, length, null)).bytesRead
      this.bytesRead += bytesRead
      this.bytesOfTurn += bytesRead
      if (this.bytesOfTurn >= TURN_BYTES) {
        this.bytesOfTurn = 0
        await setImmediate()
      }
      return bytesRead
    } catch (cause) {
      this.error = unreadable(cause)
      return 0
    }
  }

  private async open(): Promise<FileHandle> {
    this.handle = await open(this.path, 'r')
    this.isRegular = (await this.handle.stat()).isFile()
    return this.handle
  }

  async close(): Promise<void> {
    await this.handle?.close()
  }
}

class StreamSource implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  private readonly chunks: AsyncIterator<Uint8Array>
  private chunk: Uint8Array = new Uint8Array(0)

  constructor(stream: Readable) {
    this.chunks = stream[Symbol.asyncIterator]()
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    while (this.chunk.length === 0) {
      try {
        const next = await this.chunks.next()
        if (next.done) return 0
        this.chunk = next.value
      } catch (cause) {
        this.error = unreadable(cause)
        return 0
      }
    }
    const count = Math.min(length, this.chunk.length)
    target.set(this.chunk.subarray(0, count), offset)
    this.chunk = this.chunk.subarray(count)
    this.bytesRead += count
    return count
  }

  async close(): Promise<void> {
    await this.chunks.return?.()
  }
}
