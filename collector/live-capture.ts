import type { CaptureSummary } from '../schemas/batch.ts'
import { type CaptureFile, fileKey } from './capture-files.ts'
import type { CaptureError, ReadOptions } from './capture-result.ts'
import { captureSummary } from './capture-summary.ts'
import type { Collector } from './collector.ts'
import { PacketCounters } from './counters.ts'
import { GrowingFile } from './growing-file.ts'
import type { LiveState } from './live-state.ts'
import type { CaptureProgress } from './live-state-text.ts'
import type { CaptureReading } from './read-capture.ts'

/** One capture that is read as it grows, from whatever file holds it, each packet once. */
export class LiveCapture {
  /** Key of the file that is open; null when none is. */
  openKey: string | null = null
  /** When bytes came last, by the clock of performance.now(). */
  cameAt = performance.now()
  /** True when the capture is damaged: no more of it can be read. */
  isBroken = false
  readonly #collector: Collector
  readonly #state: LiveState
  #progress: CaptureProgress
  #file: GrowingFile | null = null
  #reading: CaptureReading | null = null
  /** Bytes of the file before the piece that was read last. */
  #bytesBefore = 0
  /** Packets counted before the present piece; null between pieces. */
  #packetsBefore: number | null = null
  /** Of what was counted since the last summary. */
  #counted = new PacketCounters()
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY

  constructor(collector: Collector, state: LiveState, progress: CaptureProgress) {
    this.#collector = collector
    this.#state = state
    this.#progress = progress
  }

  get progress(): CaptureProgress {
    return this.#progress
  }

  /** False while the file ends within a record or block. */
  get isAtRecordEnd(): boolean {
    return this.#reading?.isAtRecordEnd ?? true
  }

  /** @returns false when the file is no longer there under its name */
  open(file: CaptureFile, options: ReadOptions): boolean {
    this.#file = GrowingFile.open(file)
    if (this.#file === null) return false
    this.openKey = fileKey(file)
    this.cameAt = performance.now()
    this.#reading = this.#collector.openReading(this.#file, this.#progress.packets, options)
    return true
  }

  /** What is wrong when the open file no longer begins with what was read of it. */
  rewritten(): CaptureError | null {
    return this.#file?.rewritten() ?? null
  }

  /**
   * Counts what there is beyond what was counted before.
   * @returns true when bytes came
   * @throws OUTPUT_UNWRITABLE, DISK_FULL, DATA_IN_USE
   */
  async readOn(): Promise<boolean> {
    const reading = this.#reading!
    this.#bytesBefore = this.#file!.bytesRead
    this.#packetsBefore = this.#progress.packets
    const part = await this.#collector.readOn(reading)
    this.settle()
    this.#packetsBefore = null
    this.#counted.add(part.counted)
    this.#first = Math.min(this.#first, part.first)
    this.#last = Math.max(this.#last, part.last)
    if (this.bytesOfPiece > 0) this.cameAt = performance.now()
    return this.bytesOfPiece > 0
  }

  /** Bytes of the piece at hand, or of the last one while the file is open. */
  get bytesOfPiece(): number {
    return (this.#file?.bytesRead ?? this.#bytesBefore) - this.#bytesBefore
  }

  /** True when what is open cannot be read any further. */
  get isStuck(): boolean {
    return this.#reading?.isBroken ?? false
  }

  /** Writes down how many packets are counted; in the middle of a piece, those before the one at hand. */
  settle(): void {
    if (this.#packetsBefore === null) return
    this.#save({ ...this.#progress, packets: this.#packetsBefore + this.#collector.packetsOfCapture })
  }

  /** Writes down that all packets of the file, as it was when it was looked at, are counted. */
  markRead(file: CaptureFile): void {
    this.#save({ ...this.#progress, ...file })
  }

  /** Writes down that the file it was last in holds something else now. */
  forgetFile(): void {
    this.#save({ ...this.#progress, bytes: 0, modified: '0' })
  }

  /**
   * Closes the file.
   * @param isEnded whether it is known that no more will come: then an incomplete end is an error
   * @returns what was read of it; null when there is nothing to tell
   */
  async close(isEnded: boolean): Promise<CaptureSummary | null> {
    const reading = this.#reading!
    const isStuck = this.isStuck
    if (isEnded || isStuck) await reading.finish()
    const { format, truncated, error } = reading.result()
    await reading.source.close()
    this.#file = null
    this.#reading = null
    this.openKey = null
    const summary = captureSummary({ path: this.#progress.path, format, truncated, error }, this.#takePart())
    return summary.packets_read > 0 || error !== null ? summary : null
  }

  #takePart() {
    const part = { counted: this.#counted, first: this.#first, last: this.#last }
    this.#counted = new PacketCounters()
    this.#first = Number.POSITIVE_INFINITY
    this.#last = Number.NEGATIVE_INFINITY
    return part
  }

  #save(progress: CaptureProgress): void {
    this.#progress = progress
    this.#state.captures.set(progress.identity, progress)
  }
}
