import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { bind, sql } from './sql.ts'

const DAY = DAY_SECONDS * MICROSECONDS

/**
 * Notes that a receipt which does not wait to be counted changes, within the transaction that changes it: the read copy
 * looks at days that are settled no more otherwise.
 * @param receivedAt of the receipt, Unix microseconds
 */
export async function noteReceiptChange(session: Session, receivedAt: number): Promise<void> {
  const day = bind('timestamp_us', Math.floor(receivedAt / DAY) * DAY)
  const noted = await session.run(sql`UPDATE changed_day SET change_count = change_count + 1 WHERE day = ${day}`)
  if (noted === 0) await session.run(sql`INSERT INTO changed_day VALUES (${day}, 1)`)
}
