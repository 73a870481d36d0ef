import { createHash } from 'node:crypto'
import type { ByteSource } from './byte-source.ts'
import type { CaptureError } from './capture-result.ts'
import { Packet } from './packet.ts'
import { readCapture, readCaptureSource } from './read-capture.ts'

/** A capture without a packet in this much content is told by all of it. */
const HEAD_BYTES_MAX = 1024 * 1024
/** Where the search for the end of the first packet begins: before it in every format. */
const HEAD_BYTES_MIN = 32
/** Nearly always holds the first packet. */
const CHUNK_BYTES = 16 * 1024

/** What the first bytes of a file say. */
interface CaptureHead {
  /** As in CaptureResult. */
  readonly format: string | null
  /**
   * SHA-256 of the decompressed content up to the end of the first packet, in hexadecimal: the same for the file under
   * another name, compressed, copied, or grown; null while there is no packet yet. Two captures of one sensor do not
   * begin with the same packet at the same microsecond.
   */
  readonly identity: string | null
  /** Unix seconds of the first packet, with fraction. */
  readonly firstSeconds: number
  readonly error: CaptureError | null
}

/** Looks at the beginning of a file, of which less than all may be there yet. */
export async function identifyCapture(path: string): Promise<CaptureHead> {
  const chunks: Buffer[] = []
  let bytes = 0
  let firstSeconds = Number.NaN
  const abort = new AbortController()
  const { format, error } = await readCapture(
    path,
    new Packet(),
    packet => {
      if (Number.isNaN(firstSeconds)) firstSeconds = packet.seconds + packet.nanoseconds / 1e9
    },
    {
      signal: abort.signal,
      chunkBytes: CHUNK_BYTES,
      onBytes: chunk => {
        chunks.push(Buffer.from(chunk))
        bytes += chunk.length
      },
      onChunk: () => {
        if (!Number.isNaN(firstSeconds) || bytes >= HEAD_BYTES_MAX) abort.abort()
      },
    },
  )
  const content = Buffer.concat(chunks).subarray(0, HEAD_BYTES_MAX)
  const hasPacket = !Number.isNaN(firstSeconds)
  if (format === null || (!hasPacket && content.length < HEAD_BYTES_MAX)) {
    return { format, identity: null, firstSeconds: 0, error }
  }
  const end = await endOfFirstPacket(content)
  const identity = createHash('sha256').update(content.subarray(0, end)).digest('hex')
  return { format, identity, firstSeconds: hasPacket ? firstSeconds : 0, error: null }
}

/** Found by trial, which is the same for all formats: the fewest bytes of content in which there is a packet. */
async function endOfFirstPacket(content: Uint8Array): Promise<number> {
  let without = 0
  let withPacket = HEAD_BYTES_MIN
  while (!(await hasPacket(content.subarray(0, withPacket)))) {
    if (withPacket >= content.length) return content.length
    without = withPacket
    withPacket *= 2
  }
  withPacket = Math.min(withPacket, content.length)
  while (withPacket - without > 1) {
    const middle = (without + withPacket) >>> 1
    if (await hasPacket(content.subarray(0, middle))) withPacket = middle
    else without = middle
  }
  return withPacket
}

async function hasPacket(content: Uint8Array): Promise<boolean> {
  const { packetsRead } = await readCaptureSource(memorySource(content), new Packet(), () => {}, {
    chunkBytes: CHUNK_BYTES,
  })
  return packetsRead > 0
}

function memorySource(content: Uint8Array): ByteSource {
  let at = 0
  return {
    get bytesRead() {
      return at
    },
    error: null,
    async read(target, offset, length) {
      const count = Math.min(length, content.length - at)
      target.set(content.subarray(at, at + count), offset)
      at += count
      return count
    },
    async close() {},
  }
}
