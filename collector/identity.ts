import { closeSync, openSync, readFileSync } from 'node:fs'
import { isSensorId } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { refuseSharedSecret } from './key-file.ts'

/** How a sensor proves to the hub which one it is. */
export interface Identity {
  readonly sensor: string
  readonly token: string
}

/** What can stand in an HTTP header; our own tokens are hexadecimal. */
const TOKEN = /^[\x21-\x7e]{8,512}$/

/**
 * Reads an identity file: JSON with `sensor` and `token`, as `hirundo token create --json` prints it; more is ignored.
 * @throws IDENTITY_INVALID, KEY_INVALID when other users can read the file
 */
export function readIdentity(path: string): Identity {
  let text: string
  try {
    const descriptor = openSync(path, 'r')
    try {
      refuseSharedSecret(descriptor, path)
      text = readFileSync(descriptor, 'utf8')
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (error instanceof TelescopeError) throw error
    throw invalid(path, `cannot be read (${(error as Error).message})`)
  }
  return parseIdentity(path, text)
}

interface SignedRequest {
  readonly method: string
  readonly url: URL
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
}

/** Headers by which the hub knows the sensor. */
export function identityHeaders(identity: Identity, _request: SignedRequest): Record<string, string> {
  return { authorization: `Bearer ${identity.token}` }
}

function parseIdentity(path: string, text: string): Identity {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // The parser's own message would quote the token.
    throw invalid(path, 'is no JSON')
  }
  const { sensor, token } = (json ?? {}) as Partial<Record<keyof Identity, unknown>>
  if (typeof sensor !== 'string' || !isSensorId(sensor)) throw invalid(path, 'names no sensor')
  if (typeof token !== 'string' || !TOKEN.test(token)) throw invalid(path, 'holds no token')
  return { sensor, token }
}

function invalid(path: string, what: string): TelescopeError {
  return new TelescopeError(
    'IDENTITY_INVALID',
    `identity ${path}: ${what}; it is JSON such as {"sensor": "jp-1", "token": "..."}, mode 600`,
    { path },
  )
}
