import type { CaptureError } from './capture-result.ts'

/** Bytes that come in order, once. */
export interface ByteSource {
  /** Bytes taken from the file or pipe so far. */
  readonly bytesRead: number
  /** Set when reading failed; what came before it was handed out. */
  readonly error: CaptureError | null
  /**
   * Fills at most `length` bytes of the target from `offset` on.
   * @returns how many; 0 at the end, after an error and once closed
   */
  read(target: Uint8Array, offset: number, length: number): Promise<number>
  /** Ends a read that waits, too. May be called twice. */
  close(): Promise<void>
}
