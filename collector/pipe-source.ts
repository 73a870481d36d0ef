import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import type { ByteSource } from './byte-source.ts'
import type { CaptureError } from './capture-result.ts'

/** What a pipe holds on Linux, so one read empties it. */
const BUFFER_BYTES = 64 * 1024
/** Filled ahead while the packets of the others are counted. */
const BUFFERS = 16

/**
 * A pipe or socket. The system fills buffers that are used again, without a stream in between, and a read that waits
 * ends when the source is closed, which a read of a file descriptor on a thread would not.
 */
export class PipeSource implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  private readonly socket: Socket
  private readonly free: Uint8Array[] = Array.from({ length: BUFFERS }, () => new Uint8Array(BUFFER_BYTES))
  /** Parts of buffers that were filled, in order; the first may be read in part. */
  private readonly filled: Uint8Array[] = []
  private isEnded = false
  private wake: () => void = () => {}

  /** @param descriptor of the pipe; closed with the source */
  constructor(descriptor: number) {
    const onread: OnReadOpts = {
      buffer: () => this.free.pop()!,
      callback: (byteCount: number, buffer: Uint8Array) => this.take(buffer.subarray(0, byteCount)),
    }
    // Node's types know `onread` for connections only; its documentation has it here, too.
    const options: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd: descriptor,
      readable: true,
      writable: false,
      onread,
    }
    this.socket = new Socket(options)
    this.socket.on('error', cause => this.fail(cause))
    this.socket.on('end', () => this.end())
    this.socket.on('close', () => this.end())
    this.socket.resume()
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    while (this.filled.length === 0) {
      if (this.isEnded) return 0
      await new Promise<void>(resolve => {
        this.wake = resolve
      })
    }
    let count = 0
    while (count < length && this.filled.length > 0) count += this.copy(target, offset + count, length - count)
    this.bytesRead += count
    if (!this.isEnded) this.socket.resume()
    return count
  }

  async close(): Promise<void> {
    this.filled.length = 0
    this.socket.destroy()
    this.end()
  }

  private copy(target: Uint8Array, offset: number, length: number): number {
    const part = this.filled[0]!
    const count = Math.min(length, part.length)
    target.set(count === part.length ? part : part.subarray(0, count), offset)
    if (count === part.length) {
      this.filled.shift()
      this.free.push(new Uint8Array(part.buffer))
    } else {
      this.filled[0] = part.subarray(count)
    }
    return count
  }

  /** @returns false, which pauses, when the next buffer to be asked for is the last */
  private take(part: Uint8Array): boolean {
    this.filled.push(part)
    this.wake()
    return this.free.length > 1
  }

  private end(): void {
    this.isEnded = true
    this.wake()
  }

  private fail({ code, message }: NodeJS.ErrnoException): void {
    this.error = { code: 'CAPTURE_UNREADABLE', message: `capture: cannot be read: ${code ?? message}`, offset: null }
    this.end()
  }
}
