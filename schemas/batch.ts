import type { ListenedSpan } from './coverage.ts'
import type { DropReason } from './drop-reason.ts'
import type { ErrorCode } from './errors.ts'
import type { TelescopeMark } from './telescope-mark.ts'

/**
 * A batch: one Arrow IPC stream with the columns of FLOW. What is not a flow stands as JSON under BATCH_METADATA_KEY
 * in the metadata of the stream's schema. A batch is named by the SHA-256 of its bytes: `<sha256>.arrow`.
 */
export const BATCH_METADATA_KEY = 'hirundo.batch'

export interface BatchMetadata {
  readonly schema_version: number
  readonly sensor: string
  readonly telescope_epoch: number
  /** Absent in batches of versions that wrote none. */
  readonly telescope?: TelescopeMark
  /** Sixteen hexadecimal digits that only the same dst_index key gives; absent likewise. */
  readonly key_check?: string
  /** Disjoint, in order. */
  readonly spans: readonly ListenedSpan[]
  readonly flows: number
  readonly packets_read: number
  readonly packets_kept: number
  readonly drops: Partial<Record<DropReason, number>>
  /** Unix microseconds of the earliest and latest packet kept; null when none was. */
  readonly first_packet: number | null
  readonly last_packet: number | null
}

/** Packets of one batch of ours, dropped ones included: bounds memory and the size of a batch, whatever the packets are. */
export const PACKETS_PER_BATCH_MAX = 262_144
/** Flows of one batch at most, whoever writes it. */
export const FLOWS_PER_BATCH_MAX = 1_000_000
/** Rows in one record batch of the stream. */
export const FLOWS_PER_RECORD_BATCH = 65_536
/**
 * UTC days that the packets of one upload may be of, and days of one declared span: each day becomes a file of the lake,
 * and a broken clock could otherwise make a million of them. More than a year of a small sensor fits.
 */
export const DAYS_PER_UPLOAD_MAX = 400
/** A sensor's clock may be ahead of the hub's by this much; so may the end of a declared span. */
export const CLOCK_AHEAD_SECONDS_MAX = 86_400
/** A larger batch is refused by the hub: a million flows of about 120 bytes, with room. */
export const BATCH_BYTES_MAX = 256 * 1024 * 1024
/** A larger raw capture is refused by the hub. */
export const CAPTURE_BYTES_MAX = 4 * 1024 * 1024 * 1024

const BATCH_FILE_NAME = /^[0-9a-f]{64}\.arrow$/

export function batchFileName(sha256: string): string {
  return `${sha256}.arrow`
}

export function isBatchFileName(name: string): boolean {
  return BATCH_FILE_NAME.test(name)
}

const SENSOR_ID = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/

/** Lower-case letters, digits and inner hyphens, 1 to 32 characters: safe as a file name and in a URL. */
export function isSensorId(text: string): boolean {
  return SENSOR_ID.test(text)
}

export interface CaptureWarning {
  readonly code: ErrorCode
  readonly message: string
}

/** What reading one capture came to; `hirundo collect --json` prints it, and the parsing child answers with it. */
export interface CaptureSummary {
  readonly path: string
  /** `pcap`, `pcapng` or `snoop`, with ` (gzip)`, ` (zstd)` or ` (xz)` behind it; null when it could not be told. */
  readonly format: string | null
  readonly packets_read: number
  readonly packets_kept: number
  readonly drops: Partial<Record<DropReason, number>>
  /** ISO 8601 with microseconds; null when no packet was read. */
  readonly first_packet: string | null
  readonly last_packet: string | null
  readonly truncated: boolean
  /** What is odd and was counted all the same; absent when nothing is. */
  readonly warnings?: readonly CaptureWarning[]
  /** Offset in the decompressed capture. */
  readonly error: null | { readonly code: ErrorCode; readonly message: string; readonly offset: number | null }
}

/** The object that `hirundo collect --json` prints. */
export interface CollectSummary {
  readonly captures: readonly CaptureSummary[]
  readonly flows: number
  readonly batches: number
  readonly bytes_read: number
  readonly seconds: number
  readonly packets_per_second: number
}
