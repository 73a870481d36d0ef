import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RECEIPT, type Receipt } from '../../schemas/catalog.ts'
import { rowJsonSchema } from '../../schemas/column.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { RECEIPT_SIGNATURE_SCHEMA, type ReceiptSignature, receiptText } from '../../schemas/receipt-signature.ts'
import type { HubKey } from '../../schemas/sensor-key.ts'
import type { DataFolder } from './data-folder.ts'
import { publicKeyId } from './public-key.ts'

/** Keys of sensors end in .key, so that no sensor's name meets it. */
const FILE = 'hub-signing.pem'

type SignedReceipt = Receipt & { readonly signature: ReceiptSignature }

/** By which the hub signs receipts. */
export interface HubSigningKey extends HubKey {
  /** The receipt with the hub's signature: what every answer with one receipt carries. */
  sign(receipt: Receipt): SignedReceipt
}

/** JSON schema of a signed receipt. */
export const SIGNED_RECEIPT_SCHEMA = withSignature(rowJsonSchema(RECEIPT))

/**
 * The hub's signing key, made at its first start. A hub that loses it gets another, and sensors that know the old one
 * take no receipts until they enrol again: it belongs to every backup.
 * @throws OUTPUT_UNWRITABLE when it cannot be made or read
 */
export function openHubKey(folder: DataFolder): HubSigningKey {
  const path = join(folder.keys, FILE)
  try {
    if (!existsSync(path)) makeKey(folder, path)
    const privateKey = createPrivateKey(readFileSync(path))
    if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error('it is no Ed25519 key')
    const public_key = createPublicKey(privateKey).export({ format: 'jwk' }).x!
    const key_id = publicKeyId(public_key)
    return {
      key_id,
      public_key,
      sign(receipt) {
        const value = sign(null, Buffer.from(receiptText(receipt)), privateKey).toString('base64url')
        return { ...receipt, signature: { key_id, algorithm: 'ed25519', value } }
      },
    }
  } catch (error) {
    throw new TelescopeError(
      'OUTPUT_UNWRITABLE',
      `signing key ${path} cannot be made or read (${(error as Error).message})`,
      { path },
      error,
    )
  }
}

function makeKey(folder: DataFolder, path: string): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  try {
    writeDurably(temporary, String(pem))
    // Never replaced: a killed start leaves none or a whole one.
    linkSync(temporary, path)
    const directory = openSync(folder.keys, 'r')
    try {
      fsyncSync(directory)
    } finally {
      closeSync(directory)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(temporary, { force: true })
  }
}

function writeDurably(path: string, text: string): void {
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function withSignature(schema: Record<string, unknown>): Record<string, unknown> {
  const { required, properties } = schema as { required: string[]; properties: object }
  return {
    ...schema,
    required: [...required, 'signature'],
    properties: { ...properties, signature: RECEIPT_SIGNATURE_SCHEMA },
  }
}
