import { createHash, createPublicKey, verify } from 'node:crypto'

/** Ed25519 public keys as sensors send them: 32 bytes in base64url, and their names. */

const PUBLIC_KEY_BYTES = 32

/** Whether the text is 32 bytes in base64url, written in the one way there is. */
export function isPublicKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === PUBLIC_KEY_BYTES && bytes.toString('base64url') === text
}

/** Name of a key: the first 32 hexadecimal digits of the SHA-256 of its bytes. */
export function publicKeyId(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex').slice(0, 32)
}

/** False also for a key that is none. */
export function verifyText(publicKey: string, text: string, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, Buffer.from(text), key, signature)
  } catch {
    return false
  }
}
