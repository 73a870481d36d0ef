import { RECEIPT_STATES, type Receipt, type ReceiptState } from '../schemas/catalog.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { appendAudit } from './audit.ts'
import type { Database } from './database.ts'
import { noteReceiptChange } from './receipt-changes.ts'
import { findReceiptRow, readReceipt, receiptState } from './receipts.ts'
import { bind, sql } from './sql.ts'
import type { Reopening, UploadDecision } from './storage.ts'

/** What an operator may decide about an upload that does not wait to be counted. */

type Row = NonNullable<Awaited<ReturnType<typeof findReceiptRow>>>

/** From which states an upload goes back among those that wait; see Storage.reopenUpload. */
const REOPENED_FROM = {
  accept: ['held', 'withdrawn'],
  retry: ['quarantined'],
} as const satisfies Record<Reopening, readonly ReceiptState[]>

/**
 * @param allowed states in which the action can be done
 * @throws NOT_FOUND, UPLOAD_STATE
 */
export function checkState(
  row: Row | null,
  { sensor, sha256 }: Omit<UploadDecision, 'actor'>,
  action: string,
  allowed: readonly ReceiptState[],
): Row & { counted: boolean } {
  if (row === null) {
    throw new TelescopeError('NOT_FOUND', `receipt ${sha256} of sensor "${sensor}": no such upload was received`)
  }
  const state = RECEIPT_STATES[row.state]!
  // Nothing of it is in the numbers: with other prefixes it may be.
  if (action === 'retry' && row.error_code === 'CAPTURE_OFF_TELESCOPE') return { ...row, counted: false }
  if (allowed.includes(state)) return { ...row, counted: state === 'counted' }
  throw new TelescopeError(
    'UPLOAD_STATE',
    `upload ${sha256} is ${state}; ${action} is for uploads that are ${allowed.join(' or ')}`,
    { sha256, state, action },
  )
}

/** See Storage.checkReopening. */
export async function checkReopening(
  database: Database,
  action: Reopening,
  upload: Omit<UploadDecision, 'actor'>,
): Promise<void> {
  const row = await database.read(session => findReceiptRow(session, upload.sensor, upload.sha256))
  checkState(row, upload, action, REOPENED_FROM[action])
}

/** See Storage.reopenUpload. */
export async function reopenUpload(
  database: Database,
  action: Reopening,
  decision: UploadDecision,
  nowMicros: number,
): Promise<Receipt> {
  const { sensor, sha256, actor } = decision
  return await database.transaction(async session => {
    const row = checkState(await findReceiptRow(session, sensor, sha256), decision, action, REOPENED_FROM[action])
    const acceptedAt = action === 'accept' ? nowMicros : row.accepted_at
    await session.run(
      sql`UPDATE receipt SET state = ${receiptState('received')}, accepted_at = ${bind('timestamp_us', acceptedAt)},
        counted_at = NULL, overlaps_with = NULL, error_code = NULL, error_message = NULL WHERE rowid = ${bind('int64', row.row_id)}`,
    )
    await noteReceiptChange(session, row.received_at)
    const details = { state: RECEIPT_STATES[row.state]! }
    const note = { actor, action: `upload ${action}`, subject: `upload ${sensor}/${sha256}`, details }
    await appendAudit(session, note, nowMicros)
    return (await readReceipt(session, sensor, sha256))!
  })
}
