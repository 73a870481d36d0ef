import type { Storage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { checkSensor } from './check-sensor.ts'
import { hashCode, makeCode } from './invitation-code.ts'

export const INVITATION_HOURS = { default: 72, minimum: 1, maximum: 24 * 30 } as const

export interface NewInvitation {
  readonly sensor: string
  /** Shown this once. */
  readonly code: string
  readonly expires_at: string
}

/**
 * Makes the code by which a registered sensor enrols its key; an earlier one that was not used ends.
 * @throws SENSOR_UNKNOWN, QUERY_INVALID
 */
export async function inviteSensor(
  storage: Storage,
  sensor: string,
  hours: number,
  actor?: string,
): Promise<NewInvitation> {
  await checkSensor(storage, sensor)
  const { minimum, maximum } = INVITATION_HOURS
  if (!(Number.isInteger(hours) && hours >= minimum && hours <= maximum)) {
    throw new TelescopeError('QUERY_INVALID', `hours is ${hours}, expected ${minimum} to ${maximum}`, { hours })
  }
  const code = makeCode()
  const { expires_at } = await storage.invite({ sensor, codeSha256: hashCode(code), hours }, actor)
  return { sensor, code, expires_at }
}

/**
 * Revokes one key of a sensor, or with null all that speaks for it: keys, tokens, open invitations.
 * @throws SENSOR_UNKNOWN, NOT_FOUND when nothing was valid
 */
export async function revokeSensor(
  storage: Storage,
  sensor: string,
  keyId: string | null,
  actor?: string,
): Promise<{ revoked: number }> {
  await checkSensor(storage, sensor)
  const revoked = await storage.revokeSensorKeys(sensor, keyId, actor)
  if (revoked > 0) return { revoked }
  throw new TelescopeError(
    'NOT_FOUND',
    keyId === null
      ? `sensor "${sensor}" has no key, token or code that could be revoked`
      : `key ${keyId}: sensor "${sensor}" has no such key that could be revoked; see hirundo sensor keys ${sensor}`,
    { sensor },
  )
}
