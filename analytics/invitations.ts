import { TelescopeError } from '../schemas/errors.ts'
import { INVITATION } from '../schemas/sensor-key.ts'
import { appendAudit } from './audit.ts'
import type { Database, Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { insertSensorKey } from './insert-sensor-key.ts'
import { formatMicroseconds, type PlainRow } from './rows.ts'
import { bind, sql } from './sql.ts'
import type { NewSensorKey } from './storage.ts'

/** Keeps a one-time code of a sensor; an earlier one that nobody has used ends. */
export async function invite(
  database: Database,
  invitation: { sensor: string; codeSha256: string; expiresAtMicros: number },
  actor: string,
  nowMicros: number,
): Promise<{ sensor: string; expires_at: string }> {
  const { sensor, codeSha256, expiresAtMicros } = invitation
  const expires_at = formatMicroseconds(BigInt(expiresAtMicros))
  await database.transaction(async session => {
    await withdrawInvitations(session, sensor, nowMicros)
    await insertRows(session, 'invitation', INVITATION, [
      {
        code_sha256: codeSha256,
        sensor,
        created_at: nowMicros,
        expires_at: expiresAtMicros,
        used_at: null,
        key_id: null,
        withdrawn_at: null,
      },
    ])
    const note = { actor, action: 'sensor invite', subject: `sensor ${sensor}`, details: { expires_at } }
    await appendAudit(session, note, nowMicros)
  })
  return { sensor, expires_at }
}

/** @returns how many codes could have been used until now */
export async function withdrawInvitations(session: Session, sensor: string, nowMicros: number): Promise<number> {
  return await session.run(
    sql`UPDATE invitation SET withdrawn_at = ${bind('timestamp_us', nowMicros)} WHERE sensor = ${bind('text', sensor)}
      AND used_at IS NULL AND withdrawn_at IS NULL AND expires_at > ${bind('timestamp_us', nowMicros)}`,
  )
}

/**
 * Makes a sensor's first key known by a one-time code. The same key with the same code again changes nothing: the
 * sensor may not have got the answer.
 * @throws INVITATION_UNKNOWN, INVITATION_OF_OTHER_SENSOR, INVITATION_USED, INVITATION_EXPIRED, SENSOR_KEY_EXISTS
 */
export async function enrol(
  database: Database,
  codeSha256: string,
  key: NewSensorKey,
  nowMicros: number,
): Promise<void> {
  const { sensor, key_id } = key
  await database.transaction(async session => {
    const found = await session.plain(
      INVITATION,
      sql`SELECT * FROM invitation WHERE code_sha256 = ${bind('text', codeSha256)}`,
    )
    const invitation = found[0] ?? null
    const again = checkInvitation(invitation, key, nowMicros)
    await insertSensorKey(session, key, null, nowMicros)
    if (again) return
    await session.run(
      sql`UPDATE invitation SET used_at = ${bind('timestamp_us', nowMicros)}, key_id = ${bind('text', key_id)}
        WHERE code_sha256 = ${bind('text', codeSha256)}`,
    )
    const note = { actor: `sensor ${sensor}`, action: 'sensor enrol', subject: `sensor ${sensor}`, details: { key_id } }
    await appendAudit(session, note, nowMicros)
  })
}

/** @returns whether this key was enrolled with it before */
function checkInvitation(
  invitation: PlainRow<typeof INVITATION> | null,
  { sensor, key_id }: NewSensorKey,
  nowMicros: number,
): boolean {
  if (invitation === null || invitation.withdrawn_at !== null) {
    throw new TelescopeError(
      'INVITATION_UNKNOWN',
      'code is none that this hub has made, or a newer one has taken its place; ask the coordinator for a new one',
    )
  }
  if (invitation.sensor !== sensor) {
    throw new TelescopeError('INVITATION_OF_OTHER_SENSOR', `code was made for another sensor than "${sensor}"`, {
      sensor,
    })
  }
  if (invitation.used_at !== null) {
    if (invitation.key_id === key_id) return true
    throw new TelescopeError(
      'INVITATION_USED',
      `code was used for key ${invitation.key_id} at ${formatMicroseconds(BigInt(invitation.used_at))}; if that was not this sensor tell the coordinator at once`,
      { sensor },
    )
  }
  if (invitation.expires_at <= nowMicros) {
    throw new TelescopeError(
      'INVITATION_EXPIRED',
      `code ended at ${formatMicroseconds(BigInt(invitation.expires_at))}; ask the coordinator for a new one`,
      { sensor },
    )
  }
  return false
}
