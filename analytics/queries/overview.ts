import { RECEIPT, RECEIPT_STATES, type ReceiptState, SOURCE_ECONOMY } from '../../schemas/catalog.ts'
import type { Table } from '../../schemas/column.ts'
import { sql } from '../sql.ts'
import type { Overview } from '../storage.ts'
import { ofSensors, type QueryContext, readDataRange, selectSensors } from './request.ts'

const STATE = {
  state: RECEIPT.state,
  upload_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads.' },
} as const satisfies Table

const GEOGRAPHY = { geography: SOURCE_ECONOMY.geography } as const satisfies Table

/**
 * See Storage.overview; `received` counts all uploads, whatever became of them.
 * @param geography the table that new sources are looked up in; named when no source was looked up yet
 */
export async function readOverview(context: QueryContext, geography: string): Promise<Overview> {
  const { first, last } = await readDataRange(context)
  // Without a condition a year of receipts is counted from its state alone.
  const visible = ofSensors(context, selectSensors(context))
  const rows = await context.session.plain(
    STATE,
    sql`SELECT state, count(*) AS upload_count FROM receipt WHERE ${visible} GROUP BY state`,
  )
  const geographies = await context.session.plain(
    GEOGRAPHY,
    sql`SELECT DISTINCT geography FROM source_economy ORDER BY geography`,
  )
  const count = (state: ReceiptState) =>
    rows.find(row => row.state === RECEIPT_STATES.indexOf(state))?.upload_count ?? 0
  return {
    since: first,
    until: last,
    received: rows.reduce((sum, row) => sum + row.upload_count, 0),
    counted: count('counted'),
    quarantined: count('quarantined'),
    held: count('held'),
    withdrawn: count('withdrawn'),
    geography: geographies.map(row => row.geography).join(' and ') || geography,
  }
}
