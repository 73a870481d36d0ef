import type { Readable } from 'node:stream'
import { formatDigest } from '../schemas/digest-field.ts'
import { askHub, type HubAnswer } from './hub-request.ts'
import type { Identity } from './identity.ts'

interface BatchUpload {
  readonly hub: URL
  readonly identity: Identity
  /** SHA-256 and count of the bytes of the body. */
  readonly sha256: string
  readonly byteCount: number
  readonly body: Readable
  readonly signal: AbortSignal
}

/**
 * Puts one batch to the hub, compressed with gzip. That is no Content-Encoding, which whoever is on the way may undo:
 * the digest that names the upload is of the compressed bytes.
 * @throws HUB_UNREACHABLE when there is no answer; errors of the body as they come
 */
export async function putBatch({ hub, identity, sha256, byteCount, body, signal }: BatchUpload): Promise<HubAnswer> {
  return await askHub({
    hub,
    identity,
    method: 'PUT',
    path: `api/v1/batches/${sha256}`,
    headers: {
      'content-type': 'application/gzip',
      'content-length': String(byteCount),
      'content-digest': formatDigest(sha256),
    },
    body,
    signal,
  })
}
