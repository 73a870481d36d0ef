import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Prefix } from '../schemas/address.ts'
import { type BatchMetadata, type CaptureSummary, PACKETS_PER_BATCH_MAX } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { SCHEMA_VERSION } from '../schemas/flow.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { BATCH_TEMPORARY_FOLDER, BatchWriter, type WrittenBatch } from './batch-writer.ts'
import type { CaptureResult, ReadOptions } from './capture-result.ts'
import { PacketCounters } from './counters.ts'
import { CoverageRecorder, type DeclaredSpan } from './coverage-recorder.ts'
import { DROP_NOT_FOR_TELESCOPE, DROP_TIME_INVALID } from './drop.ts'
import { DstIndex } from './dst-index.ts'
import { FlowTable } from './flow-table.ts'
import { FrameShortcut } from './frame-shortcut.ts'
import { Packet } from './packet.ts'
import { isTimeValid } from './pcapng-time.ts'
import { readCapture } from './read-capture.ts'
import type { CountedSegment, Segment } from './segment.ts'

/**
 * From this size on a batch becomes durable while the next packets are read. So many flows are more than a chunk of a
 * capture has packets, so at most a few batches wait for the disk at once.
 */
const FINISH_LATER_BYTES = 1024 * 1024
/** Batches that wait for the disk at once, at most. */
const FINISHING_MAX = 4
/** A packet may be ahead of this machine's clock by this much; beyond it its time is taken for a broken clock. */
const CLOCK_MARGIN_SECONDS = DAY_SECONDS

export interface CollectorOptions {
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
  /** For tests: packets of a batch. */
  readonly packetsMax?: number
  /** For tests: false makes every packet go the general way. */
  readonly shortcut?: boolean
}

/**
 * Captures in, batches out. Packets of all captures form one sequence, and where a batch ends is decided by their order
 * and times alone: after PACKETS_PER_BATCH_MAX of them, dropped ones included, or before one of a later window. So the
 * same packets give the same bytes, however they were cut into files or compressed, and whoever has only looked at the
 * record headers knows where batches begin.
 */
export class Collector {
  /** Batches in order; null while one waits for the disk. */
  #written: (WrittenBatch | null)[] = []
  #options: CollectorOptions
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
  /** Latest Unix second that a packet can have. */
  #secondsMax = 0
  /** What batches without flows and coverage would say, which are written only beside others. */
  #emptyBatches: BatchMetadata[] = []
  /** Unix microseconds of the earliest and latest packet of the capture at hand. */
  #captureFirst = Number.POSITIVE_INFINITY
  #captureLast = Number.NEGATIVE_INFINITY

  /** @throws TELESCOPE_TOO_LARGE */
  constructor(options: CollectorOptions) {
    this.#options = options
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
  get batches(): readonly WrittenBatch[] {
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
    this.#captureStart = this.#counters.snapshot()
    this.#captureFirst = Number.POSITIVE_INFINITY
    this.#captureLast = Number.NEGATIVE_INFINITY
    this.#readClock()
    const result = await readCapture(path, this.#packet, packet => this.#count(packet), {
      ...options,
      // The shortcut knows the first IP header only.
      ...(this.#options.shortcut === false || this.#packet.decodeOptions !== 0 ? {} : { shortcut: this.#shortcut }),
      onChunk: async bytes => {
        this.#takeShortcut()
        this.#readClock()
        if (this.#finishingCount > FINISHING_MAX) await this.#finishing
        await options.onChunk?.(bytes)
      },
    })
    this.#takeShortcut()
    this.#shortcut.close()
    this.#counters.assertBalanced()
    const counted = this.#counters.since(this.#captureStart)
    if (counted.read !== result.packetsRead) {
      throw new TelescopeError('INTERNAL', `capture: ${result.packetsRead} packets read, ${counted.read} counted`)
    }
    const summary: CaptureSummary = {
      path,
      format: result.format,
      packets_read: counted.read,
      packets_kept: counted.kept,
      drops: counted.dropsByName(),
      first_packet: formatMicroseconds(this.#captureFirst),
      last_packet: formatMicroseconds(this.#captureLast),
      truncated: result.truncated,
      error: result.error ?? offTelescope(counted.read, counted.kept, counted.drops[DROP_NOT_FOR_TELESCOPE]!),
    }
    return { summary, result }
  }

  /**
   * Counts one segment of a run whose other segments others count, and writes its batch. The batch is durable when
   * `settle` has resolved.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  async count(segment: Segment): Promise<CountedSegment> {
    this.#batchPackets = 0
    this.#windowEnd = segment.windowEnd
    this.#coverage.resume(segment.from)
    const before = this.#written.length
    const summaries: CaptureSummary[] = []
    for (const { path, range } of segment.parts) summaries.push((await this.read(path, { range })).summary)
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
    for (const metadata of batches) this.#written.push(new BatchWriter(this.#options.out, metadata).finish())
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
    if (hasTime) {
      if (microseconds < this.#captureFirst) this.#captureFirst = microseconds
      if (microseconds > this.#captureLast) this.#captureLast = microseconds
    }
    const isLater = hasTime && seconds >= this.#windowEnd
    if (isLater || this.#batchPackets >= this.#packetsMax) {
      if (this.#batchPackets > 0) this.#flush(hasTime ? microseconds : 0)
      this.#batchPackets = 0
      // Late packets of an earlier window stay in the batch at hand: the window never goes back.
      if (isLater) this.#windowEnd = (Math.floor(seconds / this.#batchSeconds) + 1) * this.#batchSeconds
    }
    this.#batchPackets++
    const drop = this.#dropReason(packet, hasTime)
    if (drop >= 0) {
      this.#counters.read++
      this.#counters.drops[drop]!++
      this.#shortcut.reduce(1)
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
      spans: this.#coverage.take(next),
      flows: this.#table.rowCount,
      packets_read: counted.read,
      packets_kept: counted.kept,
      drops: counted.dropsByName(),
      first_packet: first,
      last_packet: last,
    }
    this.#flushed = this.#counters.snapshot()
    if (metadata.flows > 0 || metadata.spans.length > 0) this.#write(metadata)
    else if (metadata.packets_read > 0) this.#emptyBatches.push(metadata)
  }

  #write(metadata: BatchMetadata): void {
    const writer = new BatchWriter(this.#options.out, metadata)
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

/** A capture full of packets for others is a wrong `--telescope` or a wrong file: nobody should have to guess. */
export function offTelescope(read: number, kept: number, foreign: number): CaptureSummary['error'] {
  if (kept > 0 || foreign === 0) return null
  const message = `capture: none of its ${read} packets is for an address of this telescope; check the telescope's prefixes and the file`
  return { code: 'CAPTURE_OFF_TELESCOPE', message, offset: null }
}

/** Latest Unix second that a packet can have by this machine's clock. */
export function latestSecond(): number {
  return Math.floor(Date.now() / 1000) + CLOCK_MARGIN_SECONDS
}

/** ISO 8601 with microseconds; null for the infinities that mean "no packet". */
function formatMicroseconds(microseconds: number): string | null {
  if (!Number.isFinite(microseconds)) return null
  const milliseconds = Math.floor(microseconds / 1000)
  const rest = String(microseconds - milliseconds * 1000).padStart(3, '0')
  return new Date(milliseconds).toISOString().replace('Z', `${rest}Z`)
}

/** Removes incomplete files that a killed process left behind; those of living processes stay. */
function removeAbandoned(out: string): void {
  const folder = join(out, BATCH_TEMPORARY_FOLDER)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return
  }
  for (const name of names) {
    const pid = Number(/^(\d+)-[0-9a-f]{12}$/.exec(name)?.[1] ?? Number.NaN)
    if (Number.isInteger(pid) && pid !== process.pid && !isAlive(pid)) rmSync(join(folder, name), { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
