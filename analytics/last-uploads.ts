import { RECEIPT } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { bind, type Sql, sql } from './sql.ts'

/**
 * When each sensor sent something last. Receipts are never removed and get later times, so what was the last before a
 * time stays it: that is read once a day, and only receipts since then for each question. Times are Unix microseconds.
 */

const AGE_MAX = DAY_SECONDS * MICROSECONDS
/** Receipts that are being committed are younger. */
const SETTLED = HOUR_SECONDS * MICROSECONDS

const LAST = { sensor: RECEIPT.sensor, received_at: RECEIPT.received_at } as const satisfies Table

export class LastUploads {
  #before = new Map<string, number>()
  #until: number | null = null

  /** @returns of every sensor that ever sent something */
  async read(session: Session, nowMicros: number): Promise<Map<string, number>> {
    let until = this.#until
    let before = this.#before
    if (until === null || nowMicros - until > AGE_MAX || nowMicros < until) {
      until = nowMicros - SETTLED
      before = await readLast(session, sql`received_at < ${bind('timestamp_us', until)}`)
      this.#until = until
      this.#before = before
    }
    const since = await readLast(session, sql`received_at >= ${bind('timestamp_us', until)}`)
    return new Map([...before, ...since])
  }
}

async function readLast(session: Session, condition: Sql): Promise<Map<string, number>> {
  const rows = await session.plain(
    LAST,
    sql`SELECT sensor, max(received_at) AS received_at FROM receipt WHERE ${condition} GROUP BY sensor`,
  )
  return new Map(rows.map(row => [row.sensor, row.received_at]))
}
