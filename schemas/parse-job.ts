import type { BatchMetadata, CaptureSummary } from './batch.ts'
import type { ErrorCode, ErrorDetails } from './errors.ts'
import type { TelescopeMark } from './telescope-mark.ts'

/**
 * The conversation between the hub and its parsing child (`collector/parse-child.ts`), one JSON message each way over
 * the IPC channel of `child_process.fork`. The child opens what came from outside; the hub reads only what the child
 * wrote. One job at a time.
 */
export type ParseJob =
  | {
      readonly id: number
      readonly kind: 'capture'
      /** Of the bytes as sent, which the hub has checked. */
      readonly sha256: string
      /** The bytes as sent. */
      readonly input: string
      /** An empty folder of the hub; the child leaves files there that `isParsedFileName` is true of. */
      readonly out: string
      readonly sensor: string
      readonly telescope: string
      readonly telescope_epoch: number
      /** Number of the upload in the lake. */
      readonly upload_id: number
      /** The sensor's dst_index key, 64 hexadecimal digits; never an argument or an environment variable. */
      readonly key: string
    }
  | {
      readonly id: number
      readonly kind: 'batch'
      readonly input: string
      readonly out: string
      readonly sensor: string
      readonly telescope_epoch: number
      readonly upload_id: number
      /** Of the addresses that the sensor is registered with. */
      readonly telescope: TelescopeMark
    }

export type ParseAnswer =
  | {
      readonly id: number
      readonly ok: true
      /** SHA-256 of the decompressed content; of a batch that is its name, however it was sent. */
      readonly content_sha256: string
      readonly batches: readonly ParsedBatch[]
      /** For a capture; its `error` says what was damaged, and what could be read is in the batches. */
      readonly capture: CaptureSummary | null
    }
  | {
      readonly id: number
      readonly ok: false
      readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails }
    }

/** What the child leaves of a batch: Parquet files, and what the batch says of itself. */
export interface ParsedBatch {
  /** The columns of LAKE_FLOW, in any order. */
  readonly path: string
  /** The columns of SOURCE_HOUR and TRAFFIC_HOUR but the sensor: sums of these flows. */
  readonly sources: string
  readonly traffic: string
  readonly metadata: BatchMetadata
}

/**
 * Names of the files of a batch.
 * @param id sixteen hexadecimal digits
 */
export function parsedFileNames(id: string): Omit<ParsedBatch, 'metadata'> {
  return { path: `${id}.parquet`, sources: `${id}-sources.parquet`, traffic: `${id}-traffic.parquet` }
}

export function isParsedFileName(name: string): boolean {
  return /^[0-9a-f]{16}(-sources|-traffic)?\.parquet$/.test(name)
}
