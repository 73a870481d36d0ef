import { readSync } from 'node:fs'
import { MICROSECONDS } from '../schemas/time.ts'
import { BatchDays } from './batch-days.ts'
import { CAPTURED_LENGTH_MAX } from './capture-parser.ts'
import { ClockWatch } from './clock-watch.ts'
import { isLinkTypeSupported } from './link-type.ts'
import {
  emptyRecordError,
  FILE_HEADER_BYTES,
  type PcapHeader,
  readPcapHeader,
  VERSION_MINOR_SWAPPED,
} from './pcap-parser.ts'
import { isTimeValid } from './pcapng-time.ts'
import type { Segment, SegmentPart } from './segment.ts'

/**
 * Finds where the batches of a run of plain pcap files will begin, from the record headers alone, by the rule of
 * Collector: so that several threads can count a batch each and write what one would.
 */

const CHUNK_BYTES = 4 * 1024 * 1024
const NANOSECONDS = 1_000_000_000

interface PlanOptions {
  readonly batchSeconds: number
  readonly packetsMax: number
  /** Latest Unix second that a packet can have. */
  readonly secondsMax: number
}

/** A plain pcap file that is open. */
export interface PlannedCapture {
  readonly path: string
  readonly descriptor: number
  readonly header: PcapHeader
}

/** The header of a file whose records can be told apart without decoding anything; null for any other. */
export function plannableHeader(descriptor: number): PcapHeader | null {
  const bytes = new Uint8Array(FILE_HEADER_BYTES)
  if (readSync(descriptor, bytes, 0, bytes.length, 0) < bytes.length) return null
  const header = readPcapHeader(bytes, 0)
  return header !== null &&
    header.error === null &&
    header.versionMinor > VERSION_MINOR_SWAPPED &&
    isLinkTypeSupported(header.linkType)
    ? header
    : null
}

/**
 * The segments of the captures, in order; each file is read once, a little ahead of what is asked for.
 * @param clocks filled with what the times of each capture say
 */
export function* planSegments(
  captures: readonly PlannedCapture[],
  options: PlanOptions,
  clocks: ClockWatch[] = [],
): Generator<Segment> {
  const cutter = new SegmentCutter(options)
  for (const [capture, planned] of captures.entries()) {
    clocks.push(cutter.begin(capture, planned))
    yield* cutAtRecords(planned.descriptor, planned.header, cutter)
    cutter.end()
  }
  yield* cutter.last()
}

function* cutAtRecords(file: number, header: PcapHeader, cutter: SegmentCutter): Generator<Segment> {
  const { isLittleEndian, nanosecondsPerTick, recordHeaderBytes } = header
  const bytes = new Uint8Array(CHUNK_BYTES)
  const view = new DataView(bytes.buffer)
  /** Place in the file of the first byte in the buffer. */
  let base = FILE_HEADER_BYTES
  for (;;) {
    const end = readSync(file, bytes, 0, bytes.length, base)
    let at = 0
    while (end - at >= recordHeaderBytes) {
      const captured = view.getUint32(at + 8, isLittleEndian)
      // Here reading ends, for a reason that whoever gets the last part will find and tell.
      if (captured > CAPTURED_LENGTH_MAX) return
      if (captured === 0 && view.getUint32(at + 12) === 0 && emptyRecordError(bytes, at, 0, 0) !== null) return
      const nanoseconds = view.getUint32(at + 4, isLittleEndian) * nanosecondsPerTick
      const carry = nanoseconds < NANOSECONDS ? 0 : Math.floor(nanoseconds / NANOSECONDS)
      const seconds = view.getUint32(at, isLittleEndian) + carry
      const next = at + recordHeaderBytes + captured
      if (next > end) break
      const segment = cutter.take(base + at, seconds, nanoseconds - carry * NANOSECONDS)
      if (segment !== null) yield segment
      at = next
    }
    if (at === 0) return
    base += at
  }
}

class SegmentCutter {
  readonly #options: PlanOptions
  #parts: SegmentPart[] = []
  #windowEnd = 0
  #from = 0
  /** Packets of the segment at hand. */
  #packets = 0
  #days = new BatchDays()
  #capture = 0
  #path = ''
  #descriptor = -1
  /** Where the part at hand begins, and the records before it. */
  #start = FILE_HEADER_BYTES
  #before = 0
  /** Records of the capture at hand. */
  #records = 0
  #clock = new ClockWatch()

  constructor(options: PlanOptions) {
    this.#options = options
  }

  begin(capture: number, { path, descriptor }: PlannedCapture): ClockWatch {
    this.#capture = capture
    this.#path = path
    this.#descriptor = descriptor
    this.#start = FILE_HEADER_BYTES
    this.#before = 0
    this.#records = 0
    this.#clock = new ClockWatch()
    return this.#clock
  }

  /** The record at this place of the capture comes next. @returns the segment that ends before it; null when none does */
  take(place: number, seconds: number, nanoseconds: number): Segment | null {
    const { secondsMax } = this.#options
    const hasTime = isTimeValid(seconds) && seconds <= secondsMax
    const microseconds = hasTime ? seconds * MICROSECONDS + Math.trunc(nanoseconds / 1000) : 0
    this.#records++
    if (hasTime) this.#clock.see(this.#records, microseconds)
    else if (seconds > secondsMax) this.#clock.seeAhead(this.#records, seconds)
    const isLater = hasTime && seconds >= this.#windowEnd
    let segment: Segment | null = null
    if (isLater || this.#packets >= this.#options.packetsMax || (hasTime && !this.#days.take(seconds))) {
      if (this.#packets > 0) {
        this.#closePart(place)
        segment = this.#close(microseconds)
        this.#from = Math.max(this.#from, microseconds)
      }
      this.#days.clear()
      if (hasTime) this.#days.take(seconds)
      if (isLater) {
        const { batchSeconds } = this.#options
        this.#windowEnd = (Math.floor(seconds / batchSeconds) + 1) * batchSeconds
      }
    }
    this.#packets++
    return segment
  }

  /** The capture ends; what is behind its last whole record goes with it. */
  end(): void {
    this.#closePart(null)
  }

  *last(): Generator<Segment> {
    if (this.#parts.length > 0) yield this.#close(null)
  }

  #closePart(end: number | null): void {
    // A capture whose first record opens a segment has no part in the one before.
    if (end === this.#start) return
    const range = { start: this.#start, end, packetsBefore: this.#before }
    this.#parts.push({ capture: this.#capture, path: this.#path, descriptor: this.#descriptor, range })
    this.#start = end ?? 0
    // The record at hand is the first of the next part.
    this.#before = this.#records - 1
  }

  #close(next: number | null): Segment {
    const segment = { parts: this.#parts, windowEnd: this.#windowEnd, from: this.#from, next }
    this.#parts = []
    this.#packets = 0
    return segment
  }
}
