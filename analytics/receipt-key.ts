import { RECEIPT_KEY } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import type { Database, Session } from './database.ts'
import { listedRows } from './insert-rows.ts'
import { bind, type Sql, sql } from './sql.ts'

/**
 * How a receipt is found among tens of millions, by the head of its digest. The newest heads are in a table with an
 * index; now and then they are appended to one without, sorted: DuckDB then skips all but a few thousand of each run.
 */

/** Heads of one sorted run: a lookup costs a little for each run, and a merge holds up receipts while it lasts. */
const RUN_KEYS = 2 ** 20

const COUNT = {
  key_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Heads.' },
} as const satisfies Table

/** When receipts were received that bear a digest with this head, of the upload or of its content; Unix microseconds, rising. */
export async function receivedTimes(session: Session, sha256: string): Promise<number[]> {
  const head = bind('bits64', headOf(sha256))
  const places = await session.plain(
    { received_at: RECEIPT_KEY.received_at },
    sql`SELECT received_at FROM receipt_key_recent WHERE digest_head = ${head}
      UNION ALL SELECT received_at FROM receipt_key WHERE digest_head = ${head}`,
  )
  return [...new Set(places.map(place => place.received_at))].sort((a, b) => a - b)
}

/** A condition that only rows of this upload meet, and that leads to few rows; null when there is none. */
export async function whereReceipt(session: Session, sha256: string): Promise<Sql | null> {
  const times = await receivedTimes(session, sha256)
  if (times.length === 0) return null
  // Two sensors may have sent the same bytes at two times; then what lies between is looked through, too.
  return sql`received_at >= ${bind('timestamp_us', Math.min(...times))}
    AND received_at <= ${bind('timestamp_us', Math.max(...times))} AND sha256 = ${bind('text', sha256)}`
}

/** Makes receipts findable by a digest, within the transaction that writes it into them. */
export async function addReceiptKeys(
  session: Session,
  digests: readonly { readonly sha256: string; readonly received_at: number }[],
): Promise<void> {
  if (digests.length === 0) return
  const rows = digests.map(({ sha256, received_at }) => ({ digest_head: headOf(sha256), received_at }))
  await session.run(sql`INSERT INTO receipt_key_recent BY NAME ${listedRows(RECEIPT_KEY, rows)}`)
}

/**
 * Moves the newest heads into a sorted run when there are enough.
 * @returns heads moved
 */
export async function mergeReceiptKeys(database: Database, least: number = RUN_KEYS): Promise<number> {
  const count = async (session: Session) =>
    (await session.plain(COUNT, sql`SELECT count(*) AS key_count FROM receipt_key_recent`))[0]!.key_count
  if ((await database.read(count)) < least) return 0
  return await database.transaction(async session => {
    const moved = await session.run(sql`INSERT INTO receipt_key SELECT * FROM receipt_key_recent ORDER BY digest_head`)
    await session.run(sql`DELETE FROM receipt_key_recent`)
    return moved
  })
}

function headOf(sha256: string): bigint {
  return BigInt(`0x${sha256.slice(0, 16)}`)
}
