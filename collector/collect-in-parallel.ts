import { closeSync, fstatSync, openSync, statSync } from 'node:fs'
import { type CaptureSummary, type CaptureWarning, PACKETS_PER_BATCH_MAX } from '../schemas/batch.ts'
import type { DropReason } from '../schemas/drop-reason.ts'
import type { ParsedBatch } from '../schemas/parse-job.ts'
import { DAY_SECONDS } from '../schemas/time.ts'
import { collectorFor } from './batch-form.ts'
import { offTelescope } from './capture-summary.ts'
import type { ClockWatch } from './clock-watch.ts'
import { type CollectorOptions, latestSecond } from './collector.ts'
import { type PlannedCapture, plannableHeader, planSegments } from './plan-segments.ts'
import type { BatchForm, CountedSegment, Segment } from './segment.ts'
import { SegmentPool } from './segment-pool.ts'

/** Below this much of captures a second thread takes longer to start than it saves. */
const WORTH_BYTES = 64 * 1024 * 1024

/** What a run came to; a summary for each capture, in order. */
export interface ParallelResult {
  readonly summaries: readonly CaptureSummary[]
  readonly flows: number
  readonly batches: number
  readonly bytesRead: number
  /** Empty unless that form was asked for. */
  readonly parsed: readonly ParsedBatch[]
}

/**
 * The captures, open, when several threads can and should count them: plain pcap files of some size, which record
 * headers alone cut into batches. All others are read by one thread, which also tells what cannot be opened.
 */
export function plannable(paths: readonly string[], threads: number): readonly PlannedCapture[] | null {
  if (threads < 2) return null
  const captures: PlannedCapture[] = []
  let bytes = 0
  try {
    for (const path of paths) {
      if (!statSync(path).isFile()) break
      const descriptor = openSync(path, 'r')
      const header = plannableHeader(descriptor)
      if (header === null) {
        closeSync(descriptor)
        break
      }
      captures.push({ path, descriptor, header })
      bytes += fstatSync(descriptor).size
    }
  } catch {
    // What the system refuses here it refuses again, to whoever tells it as the error of the capture.
  }
  if (captures.length === paths.length && bytes >= WORTH_BYTES) return captures
  for (const { descriptor } of captures) closeSync(descriptor)
  return null
}

/**
 * Counts the captures with several threads. The batches are those that one thread would write, byte for byte; in the
 * hub's form they are in no order.
 * @param onProgress told the bytes and packets so far
 * @throws OUTPUT_UNWRITABLE, DISK_FULL
 */
export async function collectInParallel(
  options: CollectorOptions,
  captures: readonly PlannedCapture[],
  threads: number,
  onProgress: (bytes: number, packets: number) => void,
  form: BatchForm = 'batch',
): Promise<ParallelResult> {
  const secondsMax = latestSecond()
  const clocks: ClockWatch[] = []
  const batchSeconds = options.batchSeconds ?? DAY_SECONDS
  const packetsMax = options.packetsMax ?? PACKETS_PER_BATCH_MAX
  const segments = planSegments(captures, { batchSeconds, packetsMax, secondsMax }, clocks)
  const planned: Segment[] = []
  const remembered = (function* () {
    for (const segment of segments) {
      planned.push(segment)
      yield segment
    }
  })()
  const results: CountedSegment[] = []
  let packets = 0
  let bytes = 0
  const pool = new SegmentPool({ ...options, secondsMax }, form, threads)
  const written = await pool.run(remembered, (place, counted) => {
    results[place] = counted
    for (const summary of counted.summaries) packets += summary.packets_read
    for (const { range } of planned[place]!.parts) bytes += range.end === null ? 0 : range.end - range.start
    onProgress(bytes, packets)
  })
  const batches = results.reduce((sum, counted) => sum + counted.batches, 0)
  const empty = batches > 0 ? results.flatMap(counted => counted.emptyBatches) : []
  const rest = collectorFor(options, form)
  if (empty.length > 0) rest.collector.writeEmptyBatches(empty)
  return {
    summaries: clocks.map(({ warnings }, capture) => joinSummaries(planned, results, capture, warnings)),
    flows: written.flows,
    parsed: [...written.parsed, ...rest.parsed()],
    batches: batches + empty.length,
    bytesRead: captures.reduce((sum, { descriptor }) => sum + fstatSync(descriptor).size, 0),
  }
}

/** The summary of a capture from those of its parts, in order. */
function joinSummaries(
  segments: readonly Segment[],
  results: readonly CountedSegment[],
  capture: number,
  warnings: readonly CaptureWarning[],
): CaptureSummary {
  const parts = segments.flatMap(({ parts }, place) =>
    results[place]!.summaries.filter((_, at) => parts[at]!.capture === capture),
  )
  const drops: Partial<Record<DropReason, number>> = {}
  for (const part of parts) {
    for (const [reason, count] of Object.entries(part.drops)) {
      drops[reason as DropReason] = (drops[reason as DropReason] ?? 0) + count
    }
  }
  const read = parts.reduce((sum, part) => sum + part.packets_read, 0)
  const kept = parts.reduce((sum, part) => sum + part.packets_kept, 0)
  const firsts = parts.flatMap(part => part.first_packet ?? []).sort()
  const lasts = parts.flatMap(part => part.last_packet ?? []).sort()
  const last = parts.at(-1)!
  const error = parts.map(part => part.error).find(found => found !== null && found.code !== 'CAPTURE_OFF_TELESCOPE')
  return {
    path: last.path,
    format: last.format,
    packets_read: read,
    packets_kept: kept,
    drops,
    first_packet: firsts[0] ?? null,
    last_packet: lasts.at(-1) ?? null,
    truncated: parts.some(part => part.truncated),
    ...(warnings.length > 0 ? { warnings } : {}),
    error: error ?? offTelescope(read, kept, drops.not_for_telescope ?? 0),
  }
}
