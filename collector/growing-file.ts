import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { ByteSource } from './byte-source.ts'
import { type CaptureFile, fileKey } from './capture-files.ts'
import type { CaptureError } from './capture-result.ts'

/** So many bytes are read before others get their turn: signals above all. */
const TURN_BYTES = 16 * 1024 * 1024
/** Beginning of the file that must stay as it was: the file header and the first packets. */
const HEAD_BYTES = 4096

/** A file that may be written while it is read: after its end `read` answers again when there is more. */
export class GrowingFile implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  #descriptor: number
  #isClosed = false
  #bytesOfTurn = 0
  #head: Buffer

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
    this.#head = this.#readHead()
  }

  /** @returns null when another file has the name by now, or when it cannot be opened (any more) */
  static open(file: CaptureFile): GrowingFile | null {
    let descriptor: number
    try {
      descriptor = openSync(file.path, 'r')
    } catch {
      // Whoever looks at the file next finds out why.
      return null
    }
    const { dev, ino } = fstatSync(descriptor, { bigint: true })
    if (fileKey({ device: String(dev), inode: String(ino) }) === fileKey(file)) return new GrowingFile(descriptor)
    closeSync(descriptor)
    return null
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    if (this.error || this.#isClosed) return 0
    try {
      const count = readSync(this.#descriptor, target, offset, length, this.bytesRead)
      this.bytesRead += count
      this.#bytesOfTurn += count
      if (this.#bytesOfTurn >= TURN_BYTES) {
        this.#bytesOfTurn = 0
        await setImmediate()
      }
      return count
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      this.error = { code: 'CAPTURE_UNREADABLE', message: `capture: cannot be read: ${code}`, offset: this.bytesRead }
      return 0
    }
  }

  /** What is wrong when the file no longer begins with what was read of it. */
  rewritten(): CaptureError | null {
    const bytes = fstatSync(this.#descriptor).size
    if (bytes < this.bytesRead) return shrunken(bytes, this.bytesRead)
    const head = this.#readHead()
    const known = this.#head.length
    if (!head.subarray(0, known).equals(this.#head)) {
      const message = `capture: its first ${known} bytes have changed since they were read; what was read before is kept`
      return { code: 'CAPTURE_REWRITTEN', message, offset: 0 }
    }
    this.#head = head
    return null
  }

  async close(): Promise<void> {
    if (!this.#isClosed) closeSync(this.#descriptor)
    this.#isClosed = true
  }

  #readHead(): Buffer {
    const head = Buffer.alloc(HEAD_BYTES)
    return head.subarray(0, readSync(this.#descriptor, head, 0, HEAD_BYTES, 0))
  }
}

/** A capture has become shorter than what was read of it. */
export function shrunken(bytes: number, bytesRead: number): CaptureError {
  const message = `capture: it has ${bytes} bytes, but ${bytesRead} were read before: it was cut or rewritten; what was read is kept`
  return { code: 'CAPTURE_REWRITTEN', message, offset: bytes }
}
