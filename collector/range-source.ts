import { readSync } from 'node:fs'
import type { ByteSource } from './byte-source.ts'
import type { CaptureError } from './capture-result.ts'
import { unreadable } from './open-byte-source.ts'
import type { CaptureRange } from './segment.ts'

/** The file header of a plain pcap file, and behind it some of its records. */
export class RangeSource implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  readonly #headerBytes: number
  readonly #end: number
  readonly #descriptor: number
  #position = 0
  readonly #start: number

  /**
   * @param descriptor stays open
   * @param headerBytes of the file; read alone, so that whoever reads it can tell where the records begin
   */
  constructor(descriptor: number, headerBytes: number, { start, end }: CaptureRange) {
    this.#descriptor = descriptor
    this.#headerBytes = headerBytes
    this.#start = start
    this.#end = end ?? Number.POSITIVE_INFINITY
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    if (this.error) return 0
    try {
      if (this.#position < this.#headerBytes) return this.#take(target, offset, length, this.#headerBytes)
      if (this.#position < this.#start) this.#position = this.#start
      const count = this.#take(target, offset, length, this.#end)
      this.bytesRead += count
      return count
    } catch (cause) {
      this.error = unreadable(cause)
      return 0
    }
  }

  #take(target: Uint8Array, offset: number, length: number, end: number): number {
    const count = readSync(this.#descriptor, target, offset, Math.min(length, end - this.#position), this.#position)
    this.#position += count
    return count
  }

  async close(): Promise<void> {
    // Others read from it too.
  }
}
