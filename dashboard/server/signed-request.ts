import type { FastifyRequest } from 'fastify'
import { parseDigest } from '../../schemas/digest-field.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import {
  COVERED_FIELDS,
  componentValue,
  coversRequest,
  parseSignature,
  parseSignatureInput,
  type RequestParts,
  readParameters,
  SIGNATURE_LABEL,
  type SignatureInput,
  type SignatureParameters,
  signatureBase,
} from '../../schemas/http-signature.ts'
import { hostName } from './host-check.ts'
import { verifyText } from './public-key.ts'

/** The signature of a request, read and not yet verified. */
export interface SignedRequest {
  readonly parameters: SignatureParameters
  readonly input: SignatureInput
  readonly signature: Uint8Array
  readonly parts: RequestParts
}

/** Whether the request claims to be signed. */
export function isSigned({ headers }: FastifyRequest): boolean {
  return headers['signature'] !== undefined || headers['signature-input'] !== undefined
}

/**
 * Reads the signature of a request and holds what it covers against what it must.
 * @throws SIGNATURE_MALFORMED
 */
export function readSignature(request: FastifyRequest): SignedRequest {
  const { headers } = request
  if (headers.authorization !== undefined) throw malformed('comes beside an authorization; send one of the two')
  const fields = singleFields(request)
  const input = parseSignatureInput(fields['signature-input'] ?? '')
  const signature = parseSignature(fields['signature'] ?? '')
  if (input === null || signature === null) {
    throw malformed(`is not one of RFC 9421 in its plain form, with the label ${SIGNATURE_LABEL} in both fields`)
  }
  const parameters = readParameters(input)
  if (parameters === null) {
    throw malformed('must have the parameters created, keyid (32 digits), nonce (16 to 64 characters), alg="ed25519"')
  }
  const parts = requestParts(request, fields)
  if (!coversRequest(input, parts)) {
    throw malformed(
      `must cover "@method" "@authority" "@path", "@query" if there is one, and what the request has of ${COVERED_FIELDS.join(', ')}`,
    )
  }
  return { parameters, input, signature, parts }
}

/**
 * Whether the key has signed the request: under the host that it names, or under one of the names by which a proxy is
 * asked for this hub (one that does not hand on the Host header).
 */
export function isSignedBy(signed: SignedRequest, publicKey: string, names: readonly string[]): boolean {
  const { input, signature, parts } = signed
  const others = names.filter(name => name !== hostName(parts.authority))
  return [parts.authority, ...others].some(authority => {
    const base = signatureBase(input, identifier => componentValue({ ...parts, authority }, identifier))
    return base !== null && verifyText(publicKey, base, signature)
  })
}

/**
 * SHA-256 that the body of a signed request must have, by its Content-Digest; null when it has none.
 * @throws SIGNATURE_MALFORMED
 */
export function signedContentDigest({ parts }: SignedRequest): string | null {
  const field = parts.fields['content-digest']
  if (field === undefined) return null
  const sha256 = parseDigest(field)
  if (sha256 === null) throw malformed('covers a content-digest that is not one SHA-256 (RFC 9530)')
  return sha256
}

/** Values of the fields that count; each may be there once, because Node joins or drops what is repeated. */
function singleFields({ raw }: FastifyRequest): Record<string, string | undefined> {
  const fields: Record<string, string | undefined> = {}
  for (const name of ['signature', 'signature-input', 'host', ...COVERED_FIELDS]) {
    const values = raw.headersDistinct[name]
    if (values === undefined) continue
    if (values.length > 1) throw malformed(`comes with ${values.length} fields ${name}; one is taken`)
    fields[name] = values[0]
  }
  return fields
}

function requestParts({ raw }: FastifyRequest, fields: Record<string, string | undefined>): RequestParts {
  const target = raw.url ?? ''
  const mark = target.indexOf('?')
  return {
    method: raw.method ?? '',
    authority: (fields['host'] ?? '').toLowerCase(),
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? null : target.slice(mark),
    fields,
  }
}

function malformed(what: string): TelescopeError {
  return new TelescopeError('SIGNATURE_MALFORMED', `signature ${what}`)
}
