import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, TelescopeError } from '../schemas/errors.ts'
import { askHub, type HubAnswer } from './hub-request.ts'
import type { Identity } from './identity.ts'
import { retryDelay } from './retry-delay.ts'

/** What a caller sends; the bytes must be the same whenever they are opened. */
export interface ResumableUpload {
  readonly hub: URL
  readonly identity: Identity
  readonly kind: 'capture' | 'batch'
  /** Named to the hub when the credential is bound to no sensor. */
  readonly sensor?: string
  /** SHA-256 and count of all bytes. */
  readonly sha256: string
  readonly byteCount: number
  /** Media type of the whole. */
  readonly contentType: string
  /** Sent with each request that can complete the upload; lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  /** `length` bytes from `offset` on. */
  open(offset: number, length: number): Readable
  /** What is not longer goes in one PUT. */
  readonly chunkBytes?: number
  readonly signal: AbortSignal
  /** Bytes that the hub has made durable. */
  readonly onProgress?: (bytes: number) => void
  /** Failures in a row, without a byte of progress in between, after which it is given up. */
  readonly triesMax?: number
  /** Shortest wait after a failure. */
  readonly retryMs?: number
}

const CHUNK_BYTES = 4 * 2 ** 20
const TRIES_MAX = 6
const RETRY_MS = 1000
const RETRY_MS_MAX = 60_000

/** Names the iteration of the draft that this speaks: draft-ietf-httpbis-resumable-upload-12. */
const INTEROP = { 'upload-draft-interop-version': '9' }

/** Passing troubles of a hub, or of something in front of it. */
const PASSING_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504, 507])
/** Damage on the way that a further request mends. */
const PASSING_CODES: ReadonlySet<ErrorCode> = new Set(['BODY_CUT_SHORT', 'TIMED_OUT', 'NOT_READY'])

/**
 * Uploads what may be cut off: small ones in one PUT, others in chunks that go on at the offset that the hub names. The
 * hub finds an unfinished upload by its digest, so calling this again after a crash goes on, too. After a cut at most
 * one chunk is sent twice.
 * @returns the answer that ends it: the receipt with 200 or 201, or why the hub refuses
 * @throws HUB_UNREACHABLE after `triesMax` failures without progress; errors of the bytes as they come; AbortError
 */
export async function uploadResumably(upload: ResumableUpload): Promise<HubAnswer> {
  const { byteCount, chunkBytes = CHUNK_BYTES, signal, triesMax = TRIES_MAX, retryMs = RETRY_MS } = upload
  const sender = byteCount <= chunkBytes ? new WholeSender(upload) : new ChunkSender(upload, chunkBytes)
  let failures = 0
  let reached = 0
  for (;;) {
    let why: TelescopeError
    try {
      const answer = await sender.step()
      // Only bytes are progress: a hub that begins with us again and again gets nowhere.
      if (sender.offset > reached) {
        reached = sender.offset
        failures = 0
      }
      if (answer === null) continue
      if (!isPassing(answer)) return answer
      why = new TelescopeError('HUB_UNREACHABLE', `hub ${upload.hub.origin}: answered ${saying(answer)}`)
    } catch (error) {
      signal.throwIfAborted()
      if ((error as Partial<TelescopeError>).code !== 'HUB_UNREACHABLE') throw error
      why = error as TelescopeError
    }
    failures++
    if (failures >= triesMax) throw why
    await delay(retryDelay(retryMs, failures, RETRY_MS_MAX), undefined, { signal })
  }
}

/** Sends a small upload in one request. */
class WholeSender {
  readonly offset = 0
  readonly #upload: ResumableUpload

  constructor(upload: ResumableUpload) {
    this.#upload = upload
  }

  async step(): Promise<HubAnswer> {
    const { hub, identity, kind, sha256, byteCount, contentType, headers, signal, onProgress } = this.#upload
    const answer = await askHub({
      hub,
      identity,
      method: 'PUT',
      path: `api/v1/${kind === 'capture' ? 'captures' : 'batches'}/${sha256}${sensorQuery(this.#upload, '?')}`,
      headers: { ...headers, 'content-type': contentType, 'content-length': String(byteCount) },
      body: this.#upload.open(0, byteCount),
      signal,
    })
    onProgress?.(byteCount)
    return answer
  }
}

/** Sends an upload in chunks: each step is one request, and the next one depends on what the hub answered. */
class ChunkSender {
  readonly #upload: ResumableUpload
  readonly #chunkBytes: number
  /** Path of the upload at the hub; null while it has to be begun. */
  #path: string | null = null
  #offset = 0
  /** The hub may have more or less than we know: it has to be asked before anything is sent. */
  #isUnsure = false

  constructor(upload: ResumableUpload, chunkBytes: number) {
    this.#upload = upload
    this.#chunkBytes = chunkBytes
  }

  get offset(): number {
    return this.#offset
  }

  /** @returns null when there is more to do */
  async step(): Promise<HubAnswer | null> {
    if (this.#path === null) return await this.#begin()
    if (this.#isUnsure) return await this.#find(this.#path)
    this.#isUnsure = true
    const answer = await this.#append(this.#path)
    if (answer === null) this.#isUnsure = false
    return answer
  }

  async #begin(): Promise<HubAnswer | null> {
    const { kind, sha256, byteCount, contentType, headers } = this.#upload
    const answer = await this.#ask('POST', `api/v1/uploads?kind=${kind}${sensorQuery(this.#upload, '&')}`, {
      ...headers,
      'content-type': contentType,
      'content-length': '0',
      'upload-complete': '?0',
      'upload-length': String(byteCount),
      'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    })
    // 200 is the receipt of an earlier upload of these bytes.
    if (answer.status !== 201) return answer
    // The hub may lie below a path that it does not know of, so only the end of the location counts.
    const match = /api\/v1\/uploads\/[\w-]+(?:\?[\w=&.-]*)?$/.exec(answer.headers.location ?? '')
    if (match === null) throw strange(this.#upload.hub, 'a location')
    this.#path = match[0]
    this.#isUnsure = false
    this.#setOffset(answer)
    return null
  }

  async #find(path: string): Promise<HubAnswer | null> {
    const answer = await this.#ask('HEAD', path)
    // An answer to HEAD has no body; beginning anew says why it is refused, or has the receipt of what is complete.
    if (answer.status !== 204 || answer.headers['upload-complete'] === '?1') {
      if (isPassing(answer)) return answer
      this.#path = null
      return null
    }
    this.#setOffset(answer)
    this.#isUnsure = false
    return null
  }

  async #append(path: string): Promise<HubAnswer | null> {
    const { byteCount, open, headers: extra } = this.#upload
    const offset = this.#offset
    const length = Math.min(this.#chunkBytes, byteCount - offset)
    const isLast = offset + length === byteCount
    const headers = {
      ...extra,
      'content-type': 'application/partial-upload',
      'content-length': String(length),
      'upload-offset': String(offset),
      'upload-complete': isLast ? '?1' : '?0',
    }
    // The hub may have all bytes and have failed to complete: then there is nothing left but to ask for that.
    const answer = await this.#ask('PATCH', path, headers, length === 0 ? undefined : open(offset, length))
    if (answer.status === 404) {
      // Forgotten after a day perhaps, or lost in a crash. A failure, so that it cannot go on for ever.
      this.#path = null
      throw new TelescopeError('HUB_UNREACHABLE', `hub ${this.#upload.hub.origin}: has lost the upload`)
    }
    if (answer.status === 409) {
      this.#setOffset(answer)
      if (this.#offset === offset) throw strange(this.#upload.hub, 'another upload-offset')
      return null
    }
    if (answer.status !== 204) return answer
    this.#setOffset(answer, offset + length)
    return null
  }

  #setOffset({ headers }: HubAnswer, otherwise?: number): void {
    const text = String(headers['upload-offset'] ?? otherwise ?? '')
    const offset = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (!(offset >= 0 && offset <= this.#upload.byteCount)) throw strange(this.#upload.hub, 'an upload-offset')
    this.#offset = offset
    this.#upload.onProgress?.(offset)
  }

  async #ask(
    method: 'POST' | 'HEAD' | 'PATCH',
    path: string,
    headers: Record<string, string> = {},
    body?: Readable,
  ): Promise<HubAnswer> {
    const { hub, identity, signal } = this.#upload
    return await askHub({
      hub,
      identity,
      method,
      path,
      headers: { ...INTEROP, ...headers },
      ...(body === undefined ? {} : { body }),
      signal,
    })
  }
}

function sensorQuery({ sensor }: ResumableUpload, mark: '?' | '&'): string {
  return sensor === undefined ? '' : `${mark}sensor=${encodeURIComponent(sensor)}`
}

/** An answer that says something of the hub's state and nothing of the upload. */
function isPassing({ status, body }: HubAnswer): boolean {
  const code = (body as { error?: { code?: unknown } } | null)?.error?.code
  if (typeof code === 'string' && PASSING_CODES.has(code as ErrorCode)) return true
  return PASSING_STATUS.has(status)
}

function saying({ status, body }: HubAnswer): string {
  const { code, message } = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error ?? {}
  if (typeof code !== 'string') return `${status} with something that is no answer of a hub; check the address`
  return `${status}: ${String(message).replace(/[^\x20-\x7e]/g, '?')} [${code}]`
}

function strange(hub: URL, what: string): TelescopeError {
  return new TelescopeError(
    'HUB_UNREACHABLE',
    `hub ${hub.origin}: answered without ${what} that an upload could go on with; check the address`,
    { hub: hub.origin },
  )
}
