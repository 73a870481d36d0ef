import { encodeBase64, parseDictionary } from './structured-field.ts'

/** `Content-Digest` and `Repr-Digest` (RFC 9530), with SHA-256 alone: what is not checked is not taken. */

const SHA256_BYTES = 32

/** @param sha256 64 hexadecimal digits */
export function formatDigest(sha256: string): string {
  return `sha-256=:${encodeBase64(Uint8Array.from(sha256.match(/../g) ?? [], pair => Number.parseInt(pair, 16)))}:`
}

/** @returns the SHA-256 in hexadecimal; null when the field is anything but one SHA-256 */
export function parseDigest(text: string): string | null {
  const members = parseDictionary(text)
  const member = members?.size === 1 ? members.get('sha-256') : undefined
  if (member === undefined || !('value' in member) || member.parameters.size > 0) return null
  const { value } = member
  if (value.kind !== 'bytes' || value.value.length !== SHA256_BYTES) return null
  return Array.from(value.value, byte => byte.toString(16).padStart(2, '0')).join('')
}
