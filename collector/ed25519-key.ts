import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'

/** The Ed25519 key of a sensor, as its identity holds it. */
export interface SigningKey {
  /** Name of the key: the first 32 hexadecimal digits of the SHA-256 of the public key's 32 bytes. */
  readonly id: string
  readonly privateKey: KeyObject
  /** 32 bytes in base64url. */
  readonly publicKey: string
}

/** A new private key as PKCS #8 in PEM. */
export function makePrivateKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** @returns null when the text is no Ed25519 private key; nothing of it shows then */
export function parsePrivateKey(pem: string): SigningKey | null {
  try {
    const privateKey = createPrivateKey(pem)
    if (privateKey.asymmetricKeyType !== 'ed25519') return null
    const publicKey = createPublicKey(privateKey).export({ format: 'jwk' }).x!
    return { id: publicKeyId(publicKey), privateKey, publicKey }
  } catch {
    return null
  }
}

export function signText(key: SigningKey, text: string): Buffer {
  return sign(null, Buffer.from(text), key.privateKey)
}

/** Name of a public key; null-safe callers check its form first. */
export function publicKeyId(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex').slice(0, 32)
}

/** @param publicKey 32 bytes in base64url; anything else verifies nothing */
export function verifyText(publicKey: string, text: string, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, Buffer.from(text), key, signature)
  } catch {
    return false
  }
}
