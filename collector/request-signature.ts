import { randomBytes } from 'node:crypto'
import { TelescopeError } from '../schemas/errors.ts'
import {
  COVERED_FIELDS,
  componentValue,
  type RequestParts,
  signatureBase,
  signatureFields,
  signatureInput,
} from '../schemas/http-signature.ts'
import { type SigningKey, signText } from './ed25519-key.ts'

/** A request that is about to be sent, as far as it is signed. */
export interface UnsignedRequest {
  readonly method: string
  readonly url: URL
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
}

const NONCE_BYTES = 16

/**
 * The two fields that sign a request (RFC 9421). What of the body is signed is what the fields name: with
 * Content-Digest its bytes, with Repr-Digest or a digest in the path the whole upload.
 */
export function signRequest(request: UnsignedRequest, key: SigningKey): Record<string, string> {
  const { method, url, headers } = request
  const parts: RequestParts = {
    method,
    authority: url.host,
    path: url.pathname,
    query: url.search === '' ? null : url.search,
    fields: Object.fromEntries(COVERED_FIELDS.map(name => [name, headers[name]])),
  }
  const input = signatureInput(parts, {
    created: Math.floor(Date.now() / 1000),
    keyid: key.id,
    nonce: randomBytes(NONCE_BYTES).toString('base64url'),
  })
  const base = signatureBase(input, identifier => componentValue(parts, identifier))
  if (base === null) {
    throw new TelescopeError('INTERNAL', `request ${method} ${url.pathname}: a field of it cannot be signed`)
  }
  return signatureFields(input, signText(key, base))
}
