import { statSync } from 'node:fs'
import { isSensorId } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { HubKey } from '../schemas/sensor-key.ts'
import { removeLeftBeside, replaceFile, temporaryName } from './durable-file.ts'
import { parsePrivateKey, publicKeyId, type SigningKey } from './ed25519-key.ts'
import { readSecret } from './key-file.ts'
import { signRequest, type UnsignedRequest } from './request-signature.ts'

/** How a sensor proves to the hub which one it is: by a key, or by a token. */
export interface Identity {
  readonly sensor: string
  /** Not used where there is a key. */
  readonly token?: string
  readonly key?: SigningKey
  /** By which receipts are checked; not there until the sensor is enrolled. */
  readonly hubKey?: HubKey
  /** Where it was read; requests follow the file when its key is rotated. */
  readonly path?: string
}

/** The members of an identity file; more are kept and not looked at. */
interface IdentityFile {
  readonly sensor: string
  readonly token?: string
  /** PKCS #8 in PEM. */
  readonly private_key?: string
  /** The key that takes its place, while that is under way. */
  readonly next_private_key?: string
  readonly hub_key?: HubKey
}

/** What can stand in an HTTP header; our own tokens are hexadecimal. */
const TOKEN = /^[\x21-\x7e]{8,512}$/
const PUBLIC_KEY = /^[A-Za-z0-9_-]{43}$/

/**
 * Reads an identity file: JSON with `sensor` and `token`, as `hirundo token create --json` prints it, or with
 * `sensor` and `private_key`, as `hirundo sensor init` makes it; more is ignored.
 * @throws IDENTITY_INVALID, KEY_INVALID when other users can read the file
 */
export function readIdentity(path: string): Identity {
  const file = readIdentityFile(path)
  const { sensor, token, private_key, hub_key } = file
  const hubKey = hub_key === undefined ? {} : { hubKey: hub_key }
  if (private_key !== undefined) {
    const key = parsePrivateKey(private_key)
    if (key === null) throw invalid(path, 'private_key is no Ed25519 key in PEM')
    return { sensor, key, ...hubKey, path }
  }
  if (token === undefined) throw invalid(path, 'holds no token and no private_key')
  return { sensor, token, ...hubKey }
}

/**
 * The same as it lies there, for who changes it.
 * @throws IDENTITY_INVALID, KEY_INVALID when other users can read the file
 */
export function readIdentityFile(path: string): IdentityFile {
  let text: string
  try {
    text = readSecret(path, `identity ${path}`)
  } catch (error) {
    if (error instanceof TelescopeError && error.details['mode'] !== undefined) throw error
    throw new TelescopeError('IDENTITY_INVALID', (error as Error).message, { path }, error)
  }
  return parseIdentity(path, text)
}

/**
 * Puts a changed identity in the place of the old one, whole at every moment.
 * @throws OUTPUT_UNWRITABLE, DISK_FULL
 */
export function replaceIdentityFile(path: string, file: IdentityFile): void {
  removeLeftBeside(path)
  replaceFile(path, temporaryName(path), identityText(file))
}

export function identityText(file: IdentityFile): string {
  return `${JSON.stringify(file, null, 2)}\n`
}

/** What the files of identities hold, read again when one changes: a sender goes on while its key is rotated. */
const current = new Map<string, { readonly mark: string; readonly identity: Identity }>()

/** Headers by which the hub knows the sensor. */
export function identityHeaders(identity: Identity, request: UnsignedRequest): Record<string, string> {
  const key = keyInUse(identity)
  return key === undefined ? { authorization: `Bearer ${identity.token}` } : signRequest(request, key)
}

/** The key that the identity's file holds now, or as it was read when the file cannot be read again. */
function keyInUse({ sensor, key, path }: Identity): SigningKey | undefined {
  if (key === undefined || path === undefined) return key
  try {
    const { ino, mtimeMs, size } = statSync(path)
    const mark = `${ino} ${mtimeMs} ${size}`
    let known = current.get(path)
    if (known?.mark !== mark) {
      known = { mark, identity: readIdentity(path) }
      current.set(path, known)
    }
    return known.identity.sensor === sensor ? known.identity.key : key
  } catch {
    return key
  }
}

function parseIdentity(path: string, text: string): IdentityFile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // The parser's own message would quote the secret.
    throw invalid(path, 'is no JSON')
  }
  const file = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>
  const { sensor, token, private_key, next_private_key, hub_key } = file
  if (typeof sensor !== 'string' || !isSensorId(sensor)) throw invalid(path, 'names no sensor')
  if (token !== undefined && (typeof token !== 'string' || !TOKEN.test(token))) throw invalid(path, 'holds no token')
  for (const [name, pem] of Object.entries({ private_key, next_private_key })) {
    if (pem !== undefined && typeof pem !== 'string') throw invalid(path, `${name} is no text`)
  }
  if (hub_key !== undefined && readHubKey(hub_key) === null) throw invalid(path, 'hub_key is no public key of a hub')
  return file as unknown as IdentityFile
}

/** @returns null when it is no key, or its name is not that of its bytes */
export function readHubKey(value: unknown): HubKey | null {
  const { key_id, public_key } = (value ?? {}) as Partial<Record<keyof HubKey, unknown>>
  if (typeof public_key !== 'string' || !PUBLIC_KEY.test(public_key)) return null
  return publicKeyId(public_key) === key_id ? { key_id, public_key } : null
}

function invalid(path: string, what: string): TelescopeError {
  return new TelescopeError(
    'IDENTITY_INVALID',
    `identity ${path}: ${what}; it is JSON such as {"sensor": "jp-1", "token": "..."}, mode 600, or what hirundo sensor init makes`,
    { path },
  )
}
