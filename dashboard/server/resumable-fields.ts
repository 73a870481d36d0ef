import type { IncomingHttpHeaders } from 'node:http'
import { TelescopeError } from '../../schemas/errors.ts'

/**
 * Header fields of draft-ietf-httpbis-resumable-upload-12 (https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/12/)
 * and the digest of RFC 9530, as structured fields (RFC 9651). A field with another value than it may have counts as
 * absent, as the draft demands.
 */

/** Names this iteration of the draft; only a client that sends it is sent a 104, because others would take it amiss. */
export const INTEROP_VERSION = '9'

interface UploadFields {
  /** Upload-Complete: whether the body is the rest of the upload. */
  readonly complete: boolean | null
  /** Upload-Offset: bytes of the upload before the body. */
  readonly offset: number | null
  /** Upload-Length: bytes of the whole upload. */
  readonly length: number | null
  /** SHA-256 of the whole upload, hexadecimal. */
  readonly sha256: string | null
  /** Whether the client takes a 104. */
  readonly takesInterim: boolean
}

/** @throws QUERY_INVALID when there is a Repr-Digest without a SHA-256 */
export function readUploadFields(headers: IncomingHttpHeaders): UploadFields {
  return {
    complete: booleanItem(headers['upload-complete']),
    offset: integerItem(headers['upload-offset']),
    length: integerItem(headers['upload-length']),
    sha256: sha256Of(headers['repr-digest']),
    takesInterim: integerItem(headers['upload-draft-interop-version']) === Number(INTEROP_VERSION),
  }
}

type Field = string | string[] | undefined

/** An Item may have parameters; none are defined, so they say nothing. */
function bareItem(field: Field): string | null {
  return typeof field === 'string' ? field.split(';', 1)[0]!.trim() : null
}

function booleanItem(field: Field): boolean | null {
  const item = bareItem(field)
  return item === '?1' ? true : item === '?0' ? false : null
}

/** Non-negative; a structured Integer has at most 15 digits. */
function integerItem(field: Field): number | null {
  const item = bareItem(field)
  return item !== null && /^\d{1,15}$/.test(item) ? Number(item) : null
}

/** Digests are public names, so a member of another algorithm is no error as long as SHA-256 is there, too. */
function sha256Of(field: Field): string | null {
  if (field === undefined) return null
  let digest: Buffer | null = null
  for (const member of String(field).split(',')) {
    const match = /^\s*sha-256=:([A-Za-z0-9+/]*={0,2}):/.exec(member)
    if (match) digest = Buffer.from(match[1]!, 'base64')
  }
  if (digest?.length === 32) return digest.toString('hex')
  throw new TelescopeError(
    'QUERY_INVALID',
    'header "repr-digest" holds no SHA-256, expected sha-256=:BASE64: with the digest of the whole upload (RFC 9530)',
    { header: 'repr-digest' },
  )
}

/** @param maxAge seconds until the upload is dropped if nothing is appended; null when there is none yet */
export function uploadLimit(maxSize: number, maxAge: number | null): string {
  return `max-size=${maxSize}${maxAge === null ? '' : `, max-age=${Math.max(0, Math.floor(maxAge))}`}`
}

export function booleanField(value: boolean): string {
  return value ? '?1' : '?0'
}
