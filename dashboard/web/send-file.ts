import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { UploadClient } from './upload-client.ts'

/** Sending one file over a line that may break at any moment. */

/** A file up to this is hashed before it is sent: that takes a moment, and spares sending what the hub has. */
const DIGEST_FIRST_BYTES = 16 * 1024 * 1024
/** Pieces grow while they go fast and shrink when something on the way takes no more. */
const PIECE_BYTES_FIRST = 1024 * 1024
const PIECE_BYTES_MIN = 64 * 1024
const PIECE_BYTES_MAX = 32 * 1024 * 1024
/** A piece that took less is too small: the waiting between pieces costs. */
const PIECE_MILLISECONDS = 2000
/** So often in a row an offset may be wrong; more is no accident. */
const CONFLICTS_MAX = 5
const WAIT_MILLISECONDS_FIRST = 1000
const WAIT_MILLISECONDS_MAX = 30_000

export interface SendFile {
  readonly client: UploadClient
  readonly file: Blob
  readonly sensor: string
  readonly contentType: string
  /** The upload at the hub that an earlier attempt made. */
  readonly url: string | null
  /** SHA-256 of the file; it may come while the file is being sent. */
  readonly digest: Promise<string>
  readonly signal: AbortSignal
  /** The upload at the hub has another place, or none. To be kept, so that another attempt goes on there. */
  onPlace(url: string | null): void
  /** @param sent bytes on their way or there. @param durable bytes that are on the hub's disk */
  onProgress(sent: number, durable: number): void
  /** Something failed that another attempt may mend; null when it goes on. */
  onTrouble(error: TelescopeError | null): void
  /** Resolves after this time or earlier, when another attempt is worth while; rejects when `signal` aborts. */
  wait(milliseconds: number): Promise<void>
  /** A clock in milliseconds. */
  now(): number
}

/**
 * Sends until the hub has given its receipt, through any number of broken connections.
 * @throws TelescopeError what no further attempt will mend: a refusal, a file that cannot be read any more;
 *   the reason of `signal` when it aborts
 */
export async function sendFile(parts: SendFile): Promise<Receipt> {
  const { client, file, sensor, contentType, digest, signal } = parts
  let sha256: string | null = null
  // Awaited below; until then a failure must not count as unhandled.
  digest.then(
    value => {
      sha256 = value
    },
    () => {},
  )
  let url = parts.url
  let offset: number | null = null
  let pieceBytes = PIECE_BYTES_FIRST
  let failures = 0
  let isAsked = false

  const place = (value: string | null): void => {
    url = value
    offset = null
    parts.onPlace(value)
  }
  const limit = (appendBytesMax: number | null): void => {
    if (appendBytesMax !== null) pieceBytes = Math.max(1, Math.min(pieceBytes, appendBytesMax))
  }

  /** One step forward; the receipt when it was the last. */
  const step = async (): Promise<Receipt | null> => {
    if (url === null) {
      const early = file.size <= DIGEST_FIRST_BYTES ? await digest : sha256
      const made = await client.create({ sensor, byteCount: file.size, contentType, sha256: early }, signal)
      if ('receipt' in made) return made.receipt
      place(made.open.url)
      offset = made.open.offset
      limit(made.open.appendBytesMax)
      isAsked = early !== null
      return null
    }
    if (offset === null) {
      const found = await client.look(url, signal)
      // Nothing more is expected, or known: then either all was received and the answer got lost, or it is begun anew.
      if (found === null || found.isComplete || found.offset > file.size) {
        const receipt = await client.findReceipt(sensor, await digest, signal)
        if (receipt === null) place(null)
        return receipt
      }
      offset = found.offset
      limit(found.appendBytesMax)
      parts.onProgress(offset, offset)
    }
    if (sha256 !== null && !isAsked) {
      // Hashed while it was being sent: if the hub has these bytes, the rest need not go.
      isAsked = true
      const receipt = await client.findReceipt(sensor, sha256, signal)
      if (receipt !== null) {
        await client.cancel(url, signal)
        return receipt
      }
    }
    const from: number = offset
    const content = file.slice(from, from + pieceBytes)
    const isLast = from + content.size === file.size
    const begun = parts.now()
    const answer = await client.append(
      {
        url,
        offset: from,
        content,
        sha256: isLast ? await digest : null,
        onProgress: byteCount => parts.onProgress(Math.min(from + byteCount, file.size), from),
      },
      signal,
    )
    if ('receipt' in answer) return answer.receipt
    offset = answer.open.offset
    parts.onProgress(offset, offset)
    if (parts.now() - begun < PIECE_MILLISECONDS) pieceBytes = Math.min(pieceBytes * 2, PIECE_BYTES_MAX)
    limit(answer.open.appendBytesMax)
    return null
  }

  for (;;) {
    signal.throwIfAborted()
    try {
      const receipt = await step()
      if (receipt !== null) return receipt
      if (failures > 0) parts.onTrouble(null)
      failures = 0
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof TelescopeError)) throw error
      const { status } = error.details
      offset = null
      if (status === 413 && error.code === 'HUB_UNREACHABLE' && pieceBytes > PIECE_BYTES_MIN) {
        // A proxy on the way takes only smaller bodies.
        pieceBytes = Math.max(PIECE_BYTES_MIN, Math.floor(pieceBytes / 4))
        continue
      }
      failures++
      // Swept meanwhile: looking at it decides what now.
      const isGone = url !== null && (status === 404 || status === 410)
      if (!isGone && !mayPass(error)) throw error
      if (status === 409 && failures > CONFLICTS_MAX) throw error
      // The offset of somebody who was quicker: asking for the right one is enough, the first time.
      if (status === 409 && failures === 1) continue
      await checkReadable(file)
      parts.onTrouble(error)
      await parts.wait(waitMilliseconds(failures))
    }
  }
}

/** Whether another attempt can be of use: the line or the hub failed, or the hub asks for patience. */
function mayPass(error: TelescopeError): boolean {
  if (error.code === 'CAPTURE_UNREADABLE') return false
  const status = Number(error.details['status'] ?? error.status)
  return status >= 500 || status === 408 || status === 409 || status === 425 || status === 429
}

/** Doubles from a second to half a minute. */
function waitMilliseconds(failures: number): number {
  return Math.min(WAIT_MILLISECONDS_FIRST * 2 ** (failures - 1), WAIT_MILLISECONDS_MAX)
}

/**
 * A browser says of a file that changed under it only that sending failed: reading it tells the two apart.
 * @throws TelescopeError CAPTURE_UNREADABLE
 */
async function checkReadable(file: Blob): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer()
  } catch (error) {
    throw new TelescopeError(
      'CAPTURE_UNREADABLE',
      'file was changed or removed while it was being sent; choose it again',
      {},
      error,
    )
  }
}
