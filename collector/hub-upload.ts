import type { Readable } from 'node:stream'
import { askHub, type HubAnswer } from './hub-request.ts'
import type { Identity } from './identity.ts'

interface BatchUpload {
  readonly hub: URL
  readonly identity: Identity
  /** SHA-256 and count of the bytes of the body. */
  readonly sha256: string
  readonly byteCount: number
  readonly body: Readable
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/**
 * Puts one batch to the hub, compressed with gzip. That is no Content-Encoding, which whoever is on the way may undo:
 * the digest that names the upload is of the compressed bytes.
 * @throws HUB_UNREACHABLE when there is no answer; errors of the body as they come
 */
export async function putBatch({
  hub,
  identity,
  sha256,
  byteCount,
  body,
  headers,
  signal,
}: BatchUpload): Promise<HubAnswer> {
  return await askHub({
    hub,
    identity,
    method: 'PUT',
    path: `api/v1/batches/${sha256}`,
    headers: { ...headers, 'content-type': 'application/gzip', 'content-length': String(byteCount) },
    body,
    signal,
  })
}
