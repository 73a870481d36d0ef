import { TelescopeError } from '../schemas/errors.ts'
import { SENSOR_KEY } from '../schemas/sensor-key.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import type { PlainRow } from './rows.ts'
import { bind, sql } from './sql.ts'
import type { NewSensorKey } from './storage.ts'

/**
 * Inserts a key that is not known yet; the same key of the same sensor again changes nothing.
 * @returns whether it was not known
 * @throws SENSOR_KEY_EXISTS when it is another sensor's, or was revoked
 */
export async function insertSensorKey(
  session: Session,
  key: NewSensorKey,
  replaces: string | null,
  nowMicros: number,
): Promise<boolean> {
  const known = await readSensorKey(session, key.key_id)
  if (known === null) {
    await insertRows(session, 'sensor_key', SENSOR_KEY, [
      {
        ...key,
        created_at: nowMicros,
        replaces,
        first_used_at: null,
        valid_until: null,
        revoked_at: null,
      },
    ])
    return true
  }
  if (known.sensor === key.sensor && known.revoked_at === null) return false
  throw new TelescopeError(
    'SENSOR_KEY_EXISTS',
    `key ${key.key_id} is known already, for another sensor or as a revoked one; move the identity file away, make another with hirundo sensor init in the same folder, and enrol that`,
    { key_id: key.key_id },
  )
}

export async function readSensorKey(session: Session, keyId: string): Promise<PlainRow<typeof SENSOR_KEY> | null> {
  const rows = await session.plain(SENSOR_KEY, sql`SELECT * FROM sensor_key WHERE key_id = ${bind('text', keyId)}`)
  return rows[0] ?? null
}
