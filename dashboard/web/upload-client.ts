import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { errorOf, exchange, parseBody, request, tokenHeader } from './api.ts'

/**
 * Resumable uploads of raw captures as a browser can do them (draft-ietf-httpbis-resumable-upload): an upload is made
 * without a byte, then filled piece by piece. Browsers hide interim answers (104), so the place of an upload is learnt
 * from the answer to a creation without content.
 */

/** An upload that is open at the hub. */
interface OpenUpload {
  /** Path and sensor. */
  readonly url: string
  /** Bytes that the hub has on its disk. */
  readonly offset: number
  /** The most that the hub takes in one request; null when it does not say. */
  readonly appendBytesMax: number | null
}

/** Where an upload has come to: still open, or received with a receipt. */
type UploadStep = { readonly open: OpenUpload } | { readonly receipt: Receipt }

export interface UploadClient {
  /** @param sha256 when known: bytes that were received before are not asked for again */
  create(upload: NewUpload, signal: AbortSignal): Promise<UploadStep>
  /** @returns null when the hub knows of no such upload any more; `isComplete` when nothing more is expected */
  look(url: string, signal: AbortSignal): Promise<(OpenUpload & { readonly isComplete: boolean }) | null>
  /** @param sha256 of the whole file with its last piece, else null */
  append(piece: Piece, signal: AbortSignal): Promise<UploadStep>
  cancel(url: string, signal: AbortSignal): Promise<void>
  /** The receipt of these bytes when they were received before. */
  findReceipt(sensor: string, sha256: string, signal: AbortSignal): Promise<Receipt | null>
}

export interface NewUpload {
  readonly sensor: string
  readonly byteCount: number
  readonly contentType: string
  readonly sha256: string | null
}

interface Piece {
  readonly url: string
  readonly offset: number
  readonly content: Blob
  readonly sha256: string | null
  /** Bytes of this piece that have left the browser so far. */
  onProgress(byteCount: number): void
}

/** A piece of which nothing more leaves the browser for so long is taken for lost. */
const STALL_MILLISECONDS_MAX = 60_000

/** @param token of the sensor, asked for each request; null: the session of this browser */
export function createUploadClient(token: () => string | null): UploadClient {
  return {
    async create({ sensor, byteCount, contentType, sha256 }, signal) {
      const { headers, body } = await exchange(`/api/v1/uploads?kind=capture&sensor=${sensor}`, {
        method: 'POST',
        headers: {
          'content-type': contentType,
          'upload-complete': '?0',
          'upload-length': String(byteCount),
          ...digestHeader(sha256),
        },
        signal,
        token: token(),
      })
      const step = stepOf(headers, body, { url: null, offset: 0 })
      if ('receipt' in step) return step
      // Named even where the token says it: a coordinator may go on with it.
      return { open: { ...step.open, url: `${step.open.url}?sensor=${sensor}` } }
    },
    async look(url, signal) {
      try {
        const { headers } = await exchange(url, { method: 'HEAD', signal, token: token() })
        const open = openUpload(headers, { url, offset: null })
        return { ...open, isComplete: headers.get('upload-complete') === '?1' }
      } catch (error) {
        if (error instanceof TelescopeError && (error.details['status'] === 404 || error.details['status'] === 410)) {
          return null
        }
        throw error
      }
    },
    append(piece, signal) {
      return sendPiece(piece, token(), signal)
    },
    async cancel(url, signal) {
      await exchange(url, { method: 'DELETE', signal, token: token() })
    },
    async findReceipt(sensor, sha256, signal) {
      try {
        return await request<Receipt>(`/api/v1/receipts/${sha256}?sensor=${sensor}`, { signal, token: token() })
      } catch (error) {
        if (error instanceof TelescopeError && error.code === 'NOT_FOUND') return null
        throw error
      }
    },
  }
}

function digestHeader(sha256: string | null): Record<string, string> {
  if (sha256 === null) return {}
  const bytes = sha256.match(/../g)!.map(pair => Number.parseInt(pair, 16))
  return { 'repr-digest': `sha-256=:${btoa(String.fromCharCode(...bytes))}:` }
}

/** XMLHttpRequest, because fetch does not say how much of a body has been sent. */
function sendPiece(
  { url, offset, content, sha256, onProgress }: Piece,
  token: string | null,
  signal: AbortSignal,
): Promise<UploadStep> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const sending = new XMLHttpRequest()
    let stall = 0
    const watch = (): void => {
      clearTimeout(stall)
      stall = window.setTimeout(() => sending.abort(), STALL_MILLISECONDS_MAX)
    }
    const end = (settle: () => void): void => {
      clearTimeout(stall)
      signal.removeEventListener('abort', abort)
      settle()
    }
    const abort = (): void => sending.abort()
    const lost = (): void =>
      end(() =>
        reject(
          signal.aborted ? signal.reason : new TelescopeError('HUB_UNREACHABLE', 'hub: the connection broke', { url }),
        ),
      )
    signal.addEventListener('abort', abort)
    sending.open('PATCH', url)
    const headers = {
      accept: 'application/json',
      'content-type': 'application/partial-upload',
      'upload-offset': String(offset),
      'upload-complete': sha256 === null ? '?0' : '?1',
      ...digestHeader(sha256),
      ...tokenHeader(token),
    }
    for (const [name, value] of Object.entries(headers)) sending.setRequestHeader(name, value)
    sending.upload.addEventListener('progress', ({ loaded }) => {
      watch()
      onProgress(loaded)
    })
    sending.addEventListener('error', lost)
    sending.addEventListener('abort', lost)
    sending.addEventListener('load', () =>
      end(() => {
        const body = parseBody(sending.responseText)
        if (sending.status < 200 || sending.status > 299) return reject(errorOf(sending.status, body, url))
        try {
          const answered = new Headers()
          for (const name of ['location', 'upload-offset', 'upload-limit']) {
            const value = sending.getResponseHeader(name)
            if (value !== null) answered.set(name, value)
          }
          // A piece that is not the last: all of it is on the hub's disk when the hub does not say otherwise.
          resolve(stepOf(answered, sha256 === null ? undefined : body, { url, offset: offset + content.size }))
        } catch (error) {
          reject(error)
        }
      }),
    )
    watch()
    sending.send(content)
  })
}

/** Which of the two an answer says: a body with a receipt ends the upload. */
function stepOf(
  headers: Headers,
  body: unknown,
  otherwise: { readonly url: string | null; readonly offset: number },
): UploadStep {
  if (isReceipt(body)) return { receipt: body }
  return { open: openUpload(headers, otherwise) }
}

function isReceipt(body: unknown): body is Receipt {
  return typeof body === 'object' && body !== null && 'sha256' in body && 'state' in body
}

function openUpload(
  headers: Headers,
  otherwise: { readonly url: string | null; readonly offset: number | null },
): OpenUpload {
  const location = headers.get('location')
  // Behind a proxy the hub may name another scheme or host than the page has: only the path counts.
  const place = otherwise.url ?? (location === null ? null : new URL(location, window.location.href))
  const offset = Number(headers.get('upload-offset') ?? otherwise.offset ?? Number.NaN)
  if (place === null || !Number.isSafeInteger(offset) || offset < 0) {
    throw new TelescopeError('HUB_UNREACHABLE', 'hub: answered without the place or offset of the upload', {})
  }
  const limit = /(?:^|,)\s*max-append-size=(\d+)/.exec(headers.get('upload-limit') ?? '')
  return {
    url: typeof place === 'string' ? place : place.pathname,
    offset,
    appendBytesMax: limit ? Number(limit[1]) : null,
  }
}
