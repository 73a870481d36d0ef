import { createHash, randomBytes } from 'node:crypto'
import type { Storage } from '../../analytics/storage.ts'
import { LOCAL_ACTOR } from '../../schemas/audit.ts'
import { TOKEN_ROLES, type TokenRole } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { checkSensor } from './check-sensor.ts'

/** The prefix lets people and secret scanners recognise a token that strayed into a file. */
const TOKEN_PREFIX = 'hirundo_'
const TOKEN_BYTES = 32

export interface NewToken {
  readonly token_id: string
  readonly role: TokenRole
  readonly sensor: string | null
  /** Shown this once; only its SHA-256 is kept. */
  readonly token: string
}

/** 256 random bits as text. */
export function makeSecret(): string {
  return TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url')
}

/** What is stored of a secret. It needs no salt and no slow hash, because it is random and long. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/**
 * Makes a token for a sensor, or for a role that is bound to none.
 * @throws QUERY_INVALID, SENSOR_UNKNOWN
 */
export async function createToken(
  storage: Storage,
  request: { role?: string | undefined; sensor?: string | undefined },
  actor: string = LOCAL_ACTOR,
): Promise<NewToken> {
  const role = request.role ?? (request.sensor === undefined ? undefined : 'sensor')
  if (!isTokenRole(role)) {
    throw new TelescopeError(
      'QUERY_INVALID',
      role === undefined
        ? 'token needs a sensor or a role'
        : `role "${role}" is unknown; there are ${TOKEN_ROLES.join(', ')}`,
    )
  }
  if ((role === 'sensor') !== (request.sensor !== undefined)) {
    throw new TelescopeError('QUERY_INVALID', 'a token with role sensor names its sensor, and no other token does')
  }
  const sensor = request.sensor ?? null
  if (sensor !== null) await checkSensor(storage, sensor)
  const token = makeSecret()
  const token_id = randomBytes(5).toString('hex')
  await storage.addToken({ sha256: hashSecret(token), id: token_id, role, sensor }, actor)
  return { token_id, role, sensor, token }
}

function isTokenRole(role: string | undefined): role is TokenRole {
  return role !== undefined && (TOKEN_ROLES as readonly string[]).includes(role)
}
