import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { ERROR_CODES, type ErrorCode, TelescopeError } from '../schemas/errors.ts'
import { askHub, type HubAnswer } from './hub-request.ts'
import type { Identity } from './identity.ts'
import { fileOf, formatCount, Progress } from './progress.ts'
import { uploadResumably } from './resumable-upload.ts'
import { visibleText } from './visible-text.ts'

export interface CaptureSendRequest {
  readonly paths: readonly string[]
  readonly hub: URL
  readonly identity: Identity
  /** For a credential that is bound to no sensor. */
  readonly sensor?: string
  /** Until the hub has counted or refused each capture. */
  readonly wait: boolean
  readonly signal: AbortSignal
  /** One line of what became of a capture. */
  readonly print: (line: string) => void
  /** What an operator should know at once. */
  readonly note: (line: string) => void
  /** Tests make them small. */
  readonly chunkBytes?: number
  readonly retryMs?: number
}

interface CaptureSendSummary {
  readonly received: number
  readonly refused: number
}

/** The hub answers after so many seconds at the latest; then it is asked again. */
const WAIT_SECONDS = 30

/** What a receipt says, as far as it is told here. */
interface Receipt {
  readonly sha256: string
  readonly state: string
  readonly byte_count: number
  readonly packet_count?: number | null
  readonly duplicate_of?: string | null
  readonly error_code?: string | null
  readonly error_message?: string | null
}

/**
 * Uploads raw captures, one after the other, and says what became of each. What was cut off goes on where it was when
 * it is sent again: the hub knows it by its digest.
 * @throws CAPTURE_UNREADABLE and the like when there is one capture, HUB_UNREACHABLE, what the hub says of the request itself (UNAUTHENTICATED, FORBIDDEN ...);
 *   those that were sent before have their receipt
 */
export async function sendCaptures(request: CaptureSendRequest): Promise<CaptureSendSummary> {
  const summary = { received: 0, refused: 0 }
  for (const [index, path] of request.paths.entries()) {
    const name = visibleText(basename(path))
    const capture = await describe(path, request.signal).catch((error: unknown) => {
      // One that is not there or empty keeps none of the others waiting.
      if (request.paths.length === 1 || !(error instanceof TelescopeError)) throw error
      request.note(`${error.message} [${error.code}]`)
      return null
    })
    if (capture === null) {
      summary.refused++
      continue
    }
    const receipt = await upload(path, name, capture, request, fileOf(index, request.paths.length))
    if (receipt === null) {
      summary.refused++
      continue
    }
    const last = request.wait ? await follow(receipt, request) : receipt
    request.print(receiptLine(name, last))
    if (last.state === 'received' || last.state === 'counted') summary.received++
    else summary.refused++
  }
  return summary
}

/** @returns null when the hub refuses the capture, which is noted */
async function upload(
  path: string,
  name: string,
  { sha256, byteCount }: { sha256: string; byteCount: number },
  { hub, identity, sensor, signal, note, chunkBytes, retryMs }: CaptureSendRequest,
  place: string,
): Promise<Receipt | null> {
  const progress = new Progress(byteCount)
  try {
    const answer = await uploadResumably({
      hub,
      identity,
      kind: 'capture',
      sha256,
      byteCount,
      contentType: 'application/octet-stream',
      open: (offset, length) => createReadStream(path, { start: offset, end: offset + length - 1 }),
      signal,
      onProgress: bytes => progress.update(bytes, null, place),
      ...(sensor === undefined ? {} : { sensor }),
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
      ...(retryMs === undefined ? {} : { retryMs }),
    })
    if (isReceipt(answer, sha256)) return answer.body
    const { code, message } = refusalOf(answer, hub)
    note(`capture ${name}: refused: ${message} [${code}]`)
    return null
  } catch (error) {
    throw captureError(error, name)
  } finally {
    progress.clear()
  }
}

/** SHA-256 and bytes of a file. The digest goes before the bytes, so it is read twice. */
async function describe(path: string, signal: AbortSignal): Promise<{ sha256: string; byteCount: number }> {
  const hash = createHash('sha256')
  let byteCount = 0
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
      hash.update(piece as Buffer)
      byteCount += (piece as Buffer).length
    }
  } catch (error) {
    throw captureError(error, visibleText(basename(path)))
  }
  if (byteCount === 0) {
    throw new TelescopeError(
      'CAPTURE_EMPTY',
      `capture ${visibleText(basename(path))}: has no bytes; nothing of it was sent`,
    )
  }
  return { sha256: hash.digest('hex'), byteCount }
}

/** Asks the hub until it says what became of an upload. */
async function follow(receipt: Receipt, { hub, identity, sensor, signal }: CaptureSendRequest): Promise<Receipt> {
  let last = receipt
  while (last.state === 'received' && !signal.aborted) {
    const query = `wait=${WAIT_SECONDS}${sensor === undefined ? '' : `&sensor=${encodeURIComponent(sensor)}`}`
    const answer = await askHub({
      hub,
      identity,
      method: 'GET',
      path: `api/v1/receipts/${last.sha256}?${query}`,
      signal,
    })
    if (!isReceipt(answer, last.sha256)) {
      const { code, message } = refusalOf(answer, hub)
      throw new TelescopeError(code, `hub ${hub.origin}: ${message}; the capture has its receipt`)
    }
    last = answer.body
  }
  return last
}

/** `my.pcap: counted, 1 200 packets, 340 000 bytes, SHA-256 12ab...` */
function receiptLine(name: string, receipt: Receipt): string {
  const { state, sha256, byte_count, packet_count, duplicate_of, error_code, error_message } = receipt
  const parts = [
    state,
    ...(typeof packet_count === 'number' ? [`${formatCount(packet_count)} packets`] : []),
    `${formatCount(byte_count)} bytes`,
    `SHA-256 ${sha256}`,
    ...(duplicate_of ? [`counted before as ${duplicate_of}`] : []),
    ...(error_code ? [`${visibleText(error_message ?? '')} [${error_code}]`] : []),
  ]
  return `${name}: ${parts.join(', ')}`
}

function isReceipt(answer: HubAnswer, sha256: string): answer is HubAnswer & { body: Receipt } {
  if (answer.status !== 200 && answer.status !== 201) return false
  return (answer.body as { sha256?: unknown } | null)?.sha256 === sha256
}

/**
 * Why the hub does not take a capture.
 * @throws what it says of the request: no other capture would fare better; HUB_UNREACHABLE when it is no hub
 */
function refusalOf({ status, body }: HubAnswer, hub: URL): { code: ErrorCode; message: string } {
  const { code, message } = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error ?? {}
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) {
    throw new TelescopeError(
      'HUB_UNREACHABLE',
      `hub ${hub.origin}: answered ${status} with something that is no answer of a hub; check the address`,
      { status },
    )
  }
  const known = code as ErrorCode
  const text = visibleText(String(message))
  if (ERROR_CODES[known].kind !== 'input') throw new TelescopeError(known, `hub ${hub.origin}: ${text}`)
  return { code: known, message: text }
}

function captureError(error: unknown, name: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof TelescopeError || code === 'ABORT_ERR') return error
  const isMissing = code === 'ENOENT'
  return new TelescopeError(
    isMissing ? 'CAPTURE_NOT_FOUND' : 'CAPTURE_UNREADABLE',
    `capture ${name}: ${isMissing ? 'is not there' : `cannot be read (${code ?? message})`}`,
    {},
    error,
  )
}
