import type { BatchMetadata, CaptureSummary } from '../schemas/batch.ts'
import type { ErrorCode, ErrorDetails } from '../schemas/errors.ts'
import type { ParsedBatch } from '../schemas/parse-job.ts'

/** Bytes of one classic pcap that are whole records. */
export interface CaptureRange {
  /** First byte of a record. */
  readonly start: number
  /** First byte after the last record; null for whatever is left, so that its end is judged by who reads it. */
  readonly end: number | null
  /** Records of the capture before it. */
  readonly packetsBefore: number
}

export interface SegmentPart {
  /** Its place among the captures of the run. */
  readonly capture: number
  readonly path: string
  /** Opened once for all threads: the file stays the one that was planned, whatever becomes of its name. */
  readonly descriptor: number
  readonly range: CaptureRange
}

/** What goes into one batch, as record headers alone show it: packets one after the other, of one or more captures. */
export interface Segment {
  readonly parts: readonly SegmentPart[]
  /** First Unix second after the window of its batch; 0 when no packet before it had a time. */
  readonly windowEnd: number
  /** Unix microseconds up to which the segments before it took declared time; 0 when none did. */
  readonly from: number
  /** Unix microseconds of the packet that opens the segment after it, 0 when that has no time; null for the last. */
  readonly next: number | null
}

/** What became of a segment; a summary for each of its parts, in order. */
export interface CountedSegment {
  readonly summaries: readonly CaptureSummary[]
  /** How many were written. */
  readonly batches: number
  /** A batch without flows and coverage, which is written only beside others. */
  readonly emptyBatches: readonly BatchMetadata[]
}

/** How the batches of a run are written: as files to send, or as the hub reads them, with the number of the upload. */
export type BatchForm = 'batch' | { readonly uploadId: number }

/** What threads have written; `parsed` is empty for files to send. */
export interface WrittenSegments {
  readonly flows: number
  readonly parsed: readonly ParsedBatch[]
}

/** What a thread says of a segment; at its end, what it has written. */
export type SegmentAnswer =
  | { readonly counted: CountedSegment }
  | { readonly written: WrittenSegments }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } }
