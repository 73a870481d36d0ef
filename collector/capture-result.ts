import type { ErrorCode } from '../schemas/errors.ts'
import type { RecordShortcut } from './packet.ts'
import type { CaptureRange } from './segment.ts'

/** Why reading stopped, or what made packets unreadable. The offset is in the decompressed content. */
export interface CaptureError {
  readonly code: ErrorCode
  readonly message: string
  readonly offset: number | null
}

/** What reading one capture came to, apart from the packets. */
export interface CaptureResult {
  /** As given, `-` for standard input. */
  readonly path: string
  /** `pcap`, `pcapng` or `snoop`, with ` (gzip)`, ` (zstd)` or ` (xz)` behind it; null when it could not be told. */
  readonly format: string | null
  /** Link types in order of appearance, the first sixteen. */
  readonly linkTypes: readonly number[]
  /** Packets handed to the consumer, dropped ones included. */
  readonly packetsRead: number
  /** Bytes as they lie on disk. */
  readonly bytesRead: number
  /** Bytes after decompression; the same as bytesRead without compression. */
  readonly contentBytes: number
  /** Packets that the capturing machine lost, as pcapng and snoop say it; null when nothing was said. */
  readonly interfaceDrops: number | null
  /** True when the capture ends within a record, block or compressed member. */
  readonly truncated: boolean
  /** What was wrong; the packets before it were handed over. */
  readonly error: CaptureError | null
}

export interface ReadOptions {
  /** Reads these records of a plain pcap file only, which is open. */
  readonly range?: CaptureRange & { readonly descriptor: number }
  /** Sees all decompressed bytes in order, in chunks that are valid only during the call (for hashing). */
  readonly onBytes?: (chunk: Uint8Array) => void
  /** Offered the records before they are decoded. */
  readonly shortcut?: RecordShortcut
  /** Awaited after each chunk of packets, with the bytes of the file read so far: progress, output that must drain. */
  readonly onChunk?: (bytesRead: number) => void | Promise<void>
  /** Reading ends after the chunk in which this is aborted, as if the capture ended there. */
  readonly signal?: AbortSignal
  /** More decompressed bytes than this are taken for a bomb. */
  readonly contentBytesMax?: number
  /** Size of the buffer at first, at least 64, instead of CHUNK_BYTES: for whoever wants the beginning only, and for tests. */
  readonly chunkBytes?: number
}
