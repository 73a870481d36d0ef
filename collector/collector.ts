import type { Prefix } from '../schemas/address.ts'
import {
  type BatchMetadata,
  type CaptureSummary,
  CLOCK_AHEAD_SECONDS_MAX,
  PACKETS_PER_BATCH_MAX,
} from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { SCHEMA_VERSION } from '../schemas/flow.ts'
import { markTelescope, type TelescopeMark } from '../schemas/telescope-mark.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { BatchDays } from './batch-days.ts'
import type { BatchSink, WrittenFlows } from './batch-sink.ts'
import { type BatchJournal, BatchWriter, type WrittenBatch } from './batch-writer.ts'
import type { ByteSource } from './byte-source.ts'
import type { CaptureResult, ReadOptions } from './capture-result.ts'
import { type CapturePart, captureSummary, offTelescope } from './capture-summary.ts'
import { ClockWatch } from './clock-watch.ts'
import { PacketCounters } from './counters.ts'
import { CoverageRecorder, type DeclaredSpan } from './coverage-recorder.ts'
import { DROP_NOT_FOR_TELESCOPE, DROP_TIME_INVALID } from './drop.ts'
import { DstIndex } from './dst-index.ts'
import { FlowTable } from './flow-table.ts'
import { FrameShortcut } from './frame-shortcut.ts'
import { keyCheck } from './key-file.ts'
import { Packet } from './packet.ts'
import { isTimeValid } from './pcapng-time.ts'
import { CaptureReading, readCapture } from './read-capture.ts'
import type { CountedSegment, Segment } from './segment.ts'
import { removeAbandoned } from './unfinished-batches.ts'

/**
 * From this size on a batch becomes durable while the next packets are read. So many flows are more than a chunk of a
 * capture has packets, so at most a few batches wait for the disk at once.
 */
const FINISH_LATER_BYTES = 1024 * 1024
/** Batches that wait for the disk at once, at most. */
const FINISHING_MAX = 4

export interface CollectorOptions<T extends WrittenFlows = WrittenBatch> {
  readonly sensor: string
  /** As parseTelescope returns it. */
  readonly telescope: readonly Prefix[]
  readonly telescopeEpoch: number
  /** The 256-bit key of dst_index. */
  readonly key: Uint8Array
  /** Existing folder that receives `<sha256>.arrow` files. */
  readonly out: string
  /** Capture time of a batch: one ends when a packet is of a later multiple of this. Default: a day. */
  readonly batchSeconds?: number
  /** When the sensor listened, as its operator says. */
  readonly declared?: DeclaredSpan | null
  /** DECAPSULATE_ and VERIFY_ bits of decode-options.ts. Default: 0. */
  readonly decodeOptions?: number
  /** Latest Unix second that a packet can have; by default this machine's clock and a day, looked at again and again. */
  readonly secondsMax?: number
  /** For runs without end: batches are written down in it, one after the other, and are not kept in `batches`. */
  readonly journal?: BatchJournal
  /** What writes a batch, for whoever wants its flows in another form. Default: a BatchWriter in `out`. */
  readonly openBatch?: (metadata: BatchMetadata) => BatchSink<T>
  /** For tests: packets of a batch. */
  readonly packetsMax?: number
  /** For tests: false makes every packet go the general way. */
  readonly shortcut?: boolean
}

/**
 * Captures in, batches out. Packets of all captures form one sequence, and where a batch ends is decided by their order
 * and times alone: after PACKETS_PER_BATCH_MAX of them, dropped ones included, before one of a later window, or before
 * late ones are of more days than a hub takes. So the same packets give the same bytes, however they were cut into files or compressed, and whoever has only looked at the
 * record headers knows where batches begin.
 */
export class Collector<T extends WrittenFlows = WrittenBatch> {
  /** Batches in order; null while one waits for the disk. */
  #written: (T | null)[] = []
  #options: CollectorOptions<T>
  readonly #mark: TelescopeMark
  readonly #keyCheck: string
  #openBatch: (metadata: BatchMetadata) => BatchSink<T>
  #dstIndex: DstIndex
  #table: FlowTable
  #coverage: CoverageRecorder
  #shortcut: FrameShortcut
  #packet = new Packet()
  #counters = new PacketCounters()
  /** The counters when the last batch ended. */
  #flushed = this.#counters.snapshot()
  /** The counters when the capture at hand began. */
  #captureStart = this.#flushed
  /** Settles when all large batches are durable; reading waits for it when a second one is on its way. */
  #finishing: Promise<void> = Promise.resolve()
  #finishingCount = 0
  #batchSeconds: number
  /** First Unix second after the window of the batch at hand; 0 before its first packet. */
  #windowEnd = 0
  #packetsMax: number
  /** Packets since the batch began, dropped ones included. */
  #batchPackets = 0
  #days = new BatchDays()
  /** Latest Unix second that a packet can have. */
  #secondsMax = 0
  /** What batches without flows and coverage would say, which are written only beside others. */
  #emptyBatches: BatchMetadata[] = []
  /** Unix microseconds of the earliest and latest packet of the capture at hand. */
  #captureFirst = Number.POSITIVE_INFINITY
  #captureLast = Number.NEGATIVE_INFINITY
  #clock = new ClockWatch()

  /** @throws TELESCOPE_TOO_LARGE */
  constructor(options: CollectorOptions<T>) {
    this.#options = options
    this.#mark = markTelescope(options.telescope)
    this.#keyCheck = keyCheck(options.key)
    // Only whoever says how batches are written has another T.
    const asBatch = (metadata: BatchMetadata) => new BatchWriter(options.out, metadata, options.journal ?? null)
    this.#openBatch = options.openBatch ?? (asBatch as unknown as (metadata: BatchMetadata) => BatchSink<T>)
    this.#dstIndex = new DstIndex(options.telescope, options.key)
    this.#table = new FlowTable()
    this.#packetsMax = options.packetsMax ?? PACKETS_PER_BATCH_MAX
    this.#coverage = new CoverageRecorder(options.declared ?? null)
    this.#shortcut = new FrameShortcut(this.#table, this.#dstIndex)
    this.#packet.decodeOptions = options.decodeOptions ?? 0
    this.#batchSeconds = options.batchSeconds ?? DAY_SECONDS
    removeAbandoned(options.out)
  }

  /** Batches that are durable, in order; all of them after `finish`. */
  get batches(): readonly T[] {
    return this.#written.filter(batch => batch !== null)
  }

  get flows(): number {
    return this.batches.reduce((sum, batch) => sum + batch.metadata.flows, 0)
  }

  /** Packets read of the capture at hand, for progress. */
  get packetsOfCapture(): number {
    return this.#counters.read - this.#captureStart.read
  }

  /**
   * Reads one capture, a file or `-`. What could be read is kept, whatever the summary's error says.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  async read(path: string, options: ReadOptions = {}): Promise<{ summary: CaptureSummary; result: CaptureResult }> {
    this.#begin()
    const count = (packet: Packet): void => this.#count(packet)
    const result = await readCapture(path, this.#packet, count, this.#readOptions(options))
    const part = this.#end()
    const { read, kept, drops } = part.counted
    if (read !== result.packetsRead) {
      throw new TelescopeError('INTERNAL', `capture: ${result.packetsRead} packets read, ${read} counted`)
    }
    const error = result.error ?? offTelescope(read, kept, drops[DROP_NOT_FOR_TELESCOPE]!)
    return { summary: captureSummary({ ...result, path, error }, part, this.#clock.warnings), result }
  }

  /**
   * A capture that may grow, for `readOn`; whoever opens it closes the source.
   * @param skip its first packets, which were counted before
   */
  openReading(source: ByteSource, skip: number, options: ReadOptions = {}): CaptureReading {
    let left = skip
    // The shortcut is closed until the first packet that is counted.
    const count = (packet: Packet): void => {
      if (left > 0) left--
      else this.#count(packet)
    }
    return new CaptureReading(source, this.#packet, count, this.#readOptions(options))
  }

  /**
   * Counts what a capture holds beyond what was read of it, up to its present end; between two calls other captures may
   * be read.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL, and what the journal throws
   */
  async readOn(reading: CaptureReading): Promise<CapturePart> {
    this.#begin()
    await reading.advance()
    return this.#end()
  }

  /** Packets of the batch at hand, dropped ones included. */
  get packetsOfBatch(): number {
    return this.#batchPackets
  }

  /** First Unix second that the batch at hand leaves to later ones. */
  get windowEnd(): number {
    return this.#windowEnd
  }

  /**
   * Ends the batch at hand before its time; no reading may be under way.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL, and what the journal throws
   */
  endBatch(): void {
    this.#flush(null)
    this.#batchPackets = 0
    this.#days.clear()
  }

  #begin(): void {
    this.#captureStart = this.#counters.snapshot()
    this.#captureFirst = Number.POSITIVE_INFINITY
    this.#captureLast = Number.NEGATIVE_INFINITY
    this.#clock = new ClockWatch()
    this.#readClock()
  }

  #readOptions(options: ReadOptions): ReadOptions {
    return {
      ...options,
      // The shortcut knows the first IP header only.
      ...(this.#options.shortcut === false || this.#packet.decodeOptions !== 0 ? {} : { shortcut: this.#shortcut }),
      onChunk: async bytes => {
        this.#takeShortcut()
        this.#readClock()
        if (this.#finishingCount > FINISHING_MAX) await this.#finishing
        await options.onChunk?.(bytes)
      },
    }
  }

  /** What was counted since `#begin`. */
  #end(): CapturePart {
    this.#takeShortcut()
    this.#shortcut.close()
    this.#counters.assertBalanced()
    const counted = this.#counters.since(this.#captureStart)
    return { counted, first: this.#captureFirst, last: this.#captureLast }
  }

  /**
   * Counts one segment of a run whose other segments others count, and writes its batch. The batch is durable when
   * `settle` has resolved.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  async count(segment: Segment): Promise<CountedSegment> {
    this.#batchPackets = 0
    this.#days.clear()
    this.#windowEnd = segment.windowEnd
    this.#coverage.resume(segment.from)
    const before = this.#written.length
    const summaries: CaptureSummary[] = []
    for (const { path, descriptor, range } of segment.parts) {
      summaries.push((await this.read(path, { range: { ...range, descriptor } })).summary)
    }
    if (this.#batchPackets > 0 || segment.next === null) this.#flush(segment.next)
    const emptyBatches = this.#emptyBatches
    this.#emptyBatches = []
    return { summaries, batches: this.#written.length - before, emptyBatches }
  }

  /** Resolves when all batches that were written are durable. */
  async settle(): Promise<void> {
    await this.#finishing
  }

  /**
   * Writes what is left as the last batch; a run that kept no packet and has no declared time leaves none. All batches
   * are durable when it resolves.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  async finish(): Promise<void> {
    await this.#finishing
    this.#flush(null)
    await this.#finishing
    if (this.#written.length > 0) this.writeEmptyBatches(this.#emptyBatches)
    this.#emptyBatches = []
  }

  /** Writes batches that hold no flows. */
  writeEmptyBatches(batches: readonly BatchMetadata[]): void {
    for (const metadata of batches) this.#written.push(this.#openBatch(metadata).finish())
  }

  /** Counts what the shortcut has taken since the last packet that went the general way, or since the last call. */
  #takeShortcut(): void {
    const { packets } = this.#shortcut
    if (packets === 0) return
    const { microseconds } = this.#shortcut
    this.#shortcut.packets = 0
    this.#counters.read += packets
    this.#counters.kept += packets
    this.#batchPackets += packets
    this.#coverage.addFollowing(microseconds, packets)
    if (microseconds > this.#captureLast) this.#captureLast = microseconds
    this.#clock.previous = microseconds
  }

  /** Lets the shortcut take the packets that follow this one, as long as nothing but the flows changes. */
  #openShortcut(packet: Packet, microseconds: number): void {
    if (this.#coverage.isFull) return
    const changes = Math.floor(this.#coverage.changesAfter(microseconds) / MICROSECONDS)
    const end = Math.min(changes, this.#windowEnd, this.#secondsMax + 1)
    this.#shortcut.open(packet.seconds, packet.nanoseconds, end, this.#packetsMax - this.#batchPackets)
  }

  #readClock(): void {
    this.#secondsMax = this.#options.secondsMax ?? latestSecond()
  }

  #count(packet: Packet): void {
    this.#takeShortcut()
    const { seconds } = packet
    const hasTime = isTimeValid(seconds) && seconds <= this.#secondsMax
    const microseconds = seconds * MICROSECONDS + Math.trunc(packet.nanoseconds / 1000)
    if (!hasTime && seconds > this.#secondsMax) this.#clock.seeAhead(packet.index, seconds)
    if (hasTime) {
      this.#clock.see(packet.index, microseconds)
      if (microseconds < this.#captureFirst) this.#captureFirst = microseconds
      if (microseconds > this.#captureLast) this.#captureLast = microseconds
    }
    const isLater = hasTime && seconds >= this.#windowEnd
    if (isLater || this.#batchPackets >= this.#packetsMax || (hasTime && !this.#days.take(seconds))) {
      if (this.#batchPackets > 0) this.#flush(hasTime ? microseconds : 0)
      this.#batchPackets = 0
      this.#days.clear()
      if (hasTime) this.#days.take(seconds)
      // Late packets of an earlier window stay in the batch at hand: the window never goes back.
      if (isLater) this.#windowEnd = (Math.floor(seconds / this.#batchSeconds) + 1) * this.#batchSeconds
    }
    this.#batchPackets++
    const drop = this.#dropReason(packet, hasTime)
    if (drop >= 0) {
      this.#counters.read++
      this.#counters.drops[drop]!++
      this.#shortcut.pass(hasTime ? seconds : null, packet.nanoseconds)
      return
    }
    if (this.#coverage.isFull) this.#flush(microseconds)
    this.#counters.read++
    this.#counters.kept++
    this.#coverage.add(microseconds)
    this.#table.add(packet, this.#dstIndex.high, this.#dstIndex.low)
    this.#shortcut.close()
    this.#openShortcut(packet, microseconds)
  }

  /** @returns -1 when the packet joins a flow; its destination index is then found */
  #dropReason(packet: Packet, hasTime: boolean): number {
    if (packet.drop >= 0) return packet.drop
    const drop = this.#dstIndex.dropReason(packet)
    return drop >= 0 || hasTime ? drop : DROP_TIME_INVALID
  }

  /** @param next Unix microseconds of the packet that opens the next batch, 0 when it has no time; null at the end of the run */
  #flush(next: number | null): void {
    this.#counters.assertBalanced()
    this.#shortcut.close()
    const counted = this.#counters.since(this.#flushed)
    const { first, last } = this.#coverage
    const metadata: BatchMetadata = {
      schema_version: SCHEMA_VERSION,
      sensor: this.#options.sensor,
      telescope_epoch: this.#options.telescopeEpoch,
      telescope: this.#mark,
      key_check: this.#keyCheck,
      spans: this.#coverage.take(next),
      flows: this.#table.rowCount,
      packets_read: counted.read,
      packets_kept: counted.kept,
      drops: counted.dropsByName(),
      first_packet: first,
      last_packet: last,
    }
    this.#flushed = this.#counters.snapshot()
    const isKept = metadata.flows > 0 || metadata.spans.length > 0
    // A run without end may lose its captures before there is a flow: what it dropped is written down at once.
    if (isKept || (this.#options.journal && metadata.packets_read > 0)) this.#write(metadata)
    else if (metadata.packets_read > 0) this.#emptyBatches.push(metadata)
  }

  #write(metadata: BatchMetadata): void {
    const writer = this.#openBatch(metadata)
    for (const { columns, rowCount } of this.#table.recordBatches()) writer.writeRows(columns, rowCount)
    const packets = this.#table.countPackets()
    if (packets !== metadata.packets_kept) {
      writer.discard()
      throw new TelescopeError(
        'INTERNAL',
        `batch: ${metadata.packets_kept} packets kept, but its flows hold ${packets}`,
      )
    }
    this.#table.clear()
    if (this.#options.journal) {
      writer.finish()
      return
    }
    if (writer.byteCount < FINISH_LATER_BYTES) {
      this.#written.push(writer.finish())
      return
    }
    const place = this.#written.push(null) - 1
    const earlier = this.#finishing
    this.#finishingCount++
    this.#finishing = writer.finishLater().then(async batch => {
      this.#written[place] = batch
      this.#finishingCount--
      await earlier
    })
    // Whoever awaits it gets the error; until then it is not lost, only late.
    this.#finishing.catch(() => {})
  }
}

/** Latest Unix second that a packet can have by this machine's clock; a later one is of a broken clock. */
export function latestSecond(): number {
  return Math.floor(Date.now() / 1000) + CLOCK_AHEAD_SECONDS_MAX
}
