import { SENSOR_KEY, type SensorKey } from '../schemas/sensor-key.ts'
import { appendAudit } from './audit.ts'
import type { Database, Session } from './database.ts'
import { insertSensorKey, readSensorKey } from './insert-sensor-key.ts'
import { withdrawInvitations } from './invitations.ts'
import { KeptTable } from './kept-table.ts'
import { bind, sql } from './sql.ts'
import type { NewSensorKey } from './storage.ts'

/** Both keys are taken for so long when the new one is never used: an operator on leave still has a sensor that sends. */
const OVERLAP_MICROS = 7 * 86_400_000_000
/** After the first use of the new one the old one may still sign what is on its way, as old as a signature may be. */
const LAST_REQUESTS_MICROS = 300_000_000

/** By key_id, those that ended too. */
export function keepSensorKeys(database: Database): KeptTable<SensorKey> {
  return new KeptTable(async () => {
    const keys = await database.api(SENSOR_KEY, sql`SELECT * FROM sensor_key`)
    return new Map(keys.map(key => [key.key_id, key]))
  })
}

/** In the order in which they were made known. */
export function listSensorKeys(database: Database, sensor: string): Promise<SensorKey[]> {
  return database.api(
    SENSOR_KEY,
    sql`SELECT * FROM sensor_key WHERE sensor = ${bind('text', sensor)} ORDER BY created_at, key_id`,
  )
}

/**
 * Makes the successor of a key known; the old one ends seven days later, or soon after the first use of the new one.
 * Calling it again changes nothing.
 * @throws SENSOR_KEY_EXISTS
 */
export async function succeedSensorKey(
  database: Database,
  keyId: string,
  next: NewSensorKey,
  nowMicros: number,
): Promise<void> {
  await database.transaction(async session => {
    if (!(await insertSensorKey(session, next, keyId, nowMicros))) return
    await endKey(session, keyId, nowMicros + OVERLAP_MICROS)
    const details = { key_id: next.key_id, replaces: keyId }
    const note = { actor: `sensor ${next.sensor}`, action: 'sensor rotate', subject: `sensor ${next.sensor}`, details }
    await appendAudit(session, note, nowMicros)
  })
}

/** Notes the first use of a key, which ends the one that it replaces. */
export async function noteKeyUsed(database: Database, keyId: string, nowMicros: number): Promise<void> {
  await database.transaction(async session => {
    const key = await readSensorKey(session, keyId)
    if (key === null || key.first_used_at !== null) return
    await session.run(
      sql`UPDATE sensor_key SET first_used_at = ${bind('timestamp_us', nowMicros)} WHERE key_id = ${bind('text', keyId)}`,
    )
    if (key.replaces !== null) await endKey(session, key.replaces, nowMicros + LAST_REQUESTS_MICROS)
  })
}

/**
 * Revokes one key of a sensor; or with null all of them, its tokens and its open invitations.
 * @returns how many keys and tokens were valid and are no more
 */
export async function revokeSensorKeys(
  database: Database,
  sensor: string,
  keyId: string | null,
  actor: string,
  nowMicros: number,
): Promise<number> {
  const now = bind('timestamp_us', nowMicros)
  const name = bind('text', sensor)
  return await database.transaction(async session => {
    const one = keyId === null ? sql`true` : sql`key_id = ${bind('text', keyId)}`
    let count = await session.run(
      sql`UPDATE sensor_key SET revoked_at = ${now} WHERE sensor = ${name} AND revoked_at IS NULL AND ${one}`,
    )
    if (keyId === null) {
      count += await session.run(
        sql`UPDATE token SET revoked_at = ${now} WHERE sensor = ${name} AND revoked_at IS NULL`,
      )
      count += await withdrawInvitations(session, sensor, nowMicros)
    }
    if (count === 0) return 0
    const note = { actor, action: 'sensor revoke', subject: `sensor ${sensor}`, details: { key_id: keyId, count } }
    await appendAudit(session, note, nowMicros)
    return count
  })
}

/** Never later than it ends already. */
async function endKey(session: Session, keyId: string, atMicros: number): Promise<void> {
  const at = bind('timestamp_us', atMicros)
  await session.run(
    sql`UPDATE sensor_key SET valid_until = ${at}
      WHERE key_id = ${bind('text', keyId)} AND (valid_until IS NULL OR valid_until > ${at})`,
  )
}
