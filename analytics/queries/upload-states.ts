import { RECEIPT, RECEIPT_STATES, type ReceiptState } from '../../schemas/catalog.ts'
import type { Table } from '../../schemas/column.ts'
import type { Session } from '../database.ts'
import { receiptState } from '../receipts.ts'
import { sql } from '../sql.ts'

const STATES = {
  sensor: RECEIPT.sensor,
  state: RECEIPT.state,
  upload_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads.' },
} as const satisfies Table

/** Uploads of a sensor that somebody may want to look at. */
interface UploadStates {
  /** Uploads in a state other than counted. */
  in(state: Exclude<ReceiptState, 'counted'>): number
  /** Counted, with a remark. */
  readonly remarkCount: number
}

/**
 * Of sensors of the condition. Nearly all receipts are counted without a remark: two scans that pass these over, where
 * one that sums by cases would look at the sensor of each.
 * @param chosen condition on the column `sensor`
 */
export async function readUploadStates(
  session: Session,
  chosen: ReturnType<typeof sql>,
): Promise<(sensor: string) => UploadStates> {
  const counted = receiptState('counted')
  const states = await session.plain(
    STATES,
    sql`SELECT sensor, state, count(*) AS upload_count FROM receipt WHERE state <> ${counted} AND ${chosen}
      GROUP BY sensor, state`,
  )
  const remarks = await session.plain(
    STATES,
    sql`SELECT sensor, state, count(*) AS upload_count FROM receipt WHERE error_code IS NOT NULL AND state = ${counted}
      AND ${chosen} GROUP BY sensor, state`,
  )
  const counts = new Map([...states, ...remarks].map(row => [`${row.sensor} ${row.state}`, row.upload_count]))
  const of = (sensor: string, state: ReceiptState) => counts.get(`${sensor} ${RECEIPT_STATES.indexOf(state)}`) ?? 0
  return sensor => ({ in: state => of(sensor, state), remarkCount: of(sensor, 'counted') })
}
