import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { addAbortSignal, pipeline, Readable } from 'node:stream'
import { createGzip, type Gzip } from 'node:zlib'

/**
 * A batch as it is sent: one gzip stream. In the spool only runs are compressed, because whoever collects has to keep
 * up with its packets, and whoever sends has to spare the line.
 */
interface CompressedBatch {
  /** SHA-256 of the compressed bytes; another release of zlib may compress the same batch to other bytes. */
  readonly sha256: string
  readonly byteCount: number
  /** The compressed bytes from `offset` on; may be called again. */
  open(offset: number, length: number): Readable
  /** What should be sent at once: opening costs as much as all that lies before the offset. */
  readonly chunkBytes: number
}

/**
 * By measurement on a simulated day (`npm run bench bytes`): level 1 leaves 13 bytes a packet and level 6 leaves 11, in
 * 1 and 2 s a million packets; level 9 takes half a minute to gain another half byte.
 */
const LEVEL = 6
const PIECE_BYTES = 256 * 1024
/** A million flows are about 12 MB compressed. What is larger than this is compressed again while it is sent. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024
const CHUNK_BYTES = 4 * 1024 * 1024
/** In so many chunks goes what is compressed again for each. */
const UNKEPT_CHUNKS = 4

/**
 * Compresses a file. Its digest has to be known before the first byte is sent, so this reads all of it. Nothing is
 * written, so that a spool on a full disk can still be emptied; memory is KEPT_BYTES_MAX and a few pieces.
 * @returns null when the file does not have the SHA-256 that is expected of it
 * @throws what the file system says as it comes, ENOENT among it; AbortError after the signal
 */
export async function compressBatch(
  path: string,
  expectedSha256: string,
  { signal, keptBytesMax = KEPT_BYTES_MAX }: { signal: AbortSignal; keptBytesMax?: number },
): Promise<CompressedBatch | null> {
  const plain = createHash('sha256')
  const compressed = createHash('sha256')
  let byteCount = 0
  let kept: Buffer[] = []
  const gzip = gzipFile(path, signal, piece => plain.update(piece))
  for await (const piece of gzip as AsyncIterable<Buffer>) {
    compressed.update(piece)
    byteCount += piece.length
    if (byteCount <= keptBytesMax) kept.push(piece)
    else kept = []
  }
  if (plain.digest('hex') !== expectedSha256) return null
  const isKept = byteCount <= keptBytesMax
  const open = (offset: number, length: number): Readable =>
    Readable.from(part(isKept ? kept : gzipFile(path, signal), offset, length))
  const chunkBytes = isKept ? CHUNK_BYTES : Math.max(CHUNK_BYTES, Math.ceil(byteCount / UNKEPT_CHUNKS))
  return { sha256: compressed.digest('hex'), byteCount, open, chunkBytes }
}

async function* part(
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  offset: number,
  length: number,
): AsyncIterable<Buffer> {
  let position = 0
  for await (const piece of pieces) {
    const from = Math.max(0, offset - position)
    const to = Math.min(piece.length, offset + length - position)
    position += piece.length
    if (to > from) yield piece.subarray(from, to)
    if (position >= offset + length) return
  }
}

/** @param onRead is shown each piece of the file */
function gzipFile(path: string, signal: AbortSignal, onRead: (piece: Buffer) => void = () => {}): Gzip {
  const file = addAbortSignal(signal, createReadStream(path, { highWaterMark: PIECE_BYTES }))
  const show = async function* (pieces: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    for await (const piece of pieces) {
      onRead(piece)
      yield piece
    }
  }
  // Whoever reads what is returned also gets the errors of the file.
  return pipeline(file, show, createGzip({ level: LEVEL, chunkSize: PIECE_BYTES }), () => {})
}
