import type { ErrorCode } from '../schemas/errors.ts'

/** What reading one capture came to, apart from the packets. */
export interface CaptureResult {
  /** As given, `-` for standard input. */
  readonly path: string
  /** `pcap`, `pcapng`, with ` (gzip)` behind it when compressed; null when it could not be told. */
  readonly format: string | null
  /** Link types in order of appearance. */
  readonly linkTypes: readonly number[]
  /** Packets handed to the consumer, dropped ones included. */
  readonly packetsRead: number
  /** Bytes as they lie on disk. */
  readonly bytesRead: number
  /** Bytes after decompression; the same as bytesRead without compression. */
  readonly contentBytes: number
  /** Packets that the capturing machine lost, by pcapng interface statistics; null when nothing was said. */
  readonly interfaceDrops: number | null
  /** True when the capture ends within a record, block or compressed member. */
  readonly truncated: boolean
  /** Why reading stopped before the end; the packets before it were handed over. The offset is in the content. */
  readonly error: null | { readonly code: ErrorCode; readonly message: string; readonly offset: number | null }
}

export interface ReadOptions {
  /** Sees all decompressed bytes in order, in chunks that are valid only during the call (for hashing). */
  readonly onBytes?: (chunk: Uint8Array) => void
  /** Called after each chunk, with the bytes of the file read so far, for progress. */
  readonly onProgress?: (bytesRead: number) => void
}

/*
 * readCapture(path, packet, onPacket, options): Promise<CaptureResult>      (read-capture.ts)
 *   Never throws for what is in the input: see `error`. `path` is a file or `-`.
 * listCaptures(paths): Promise<string[]>                                   (list-captures.ts)
 *   Directories expanded to the captures in them; throws CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE.
 */
