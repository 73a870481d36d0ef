import { RECEIPT, RECEIPT_STATES } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { Session } from './database.ts'
import { notWaiting } from './group-flows.ts'
import { listedRows } from './insert-rows.ts'
import type { Overlap } from './overlaps.ts'
import { addReceiptKeys } from './receipt-key.ts'
import { findWaitingRows, receiptState } from './receipts.ts'
import type { PlainRow } from './rows.ts'
import { identifier, join, sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/** What becomes of an upload that waited. */
export interface Settled {
  readonly upload: ParsedUpload
  /** Null when it is held. */
  readonly counted_at: number | null
  readonly duplicate_of: string | null
  /** Others that hold the same traffic; then it is held. */
  readonly overlap: Overlap | null
}

/** The columns of a receipt that are written then. */
const CHANGED = {
  state: RECEIPT.state,
  counted_at: RECEIPT.counted_at,
  content_sha256: RECEIPT.content_sha256,
  duplicate_of: RECEIPT.duplicate_of,
  overlaps_with: RECEIPT.overlaps_with,
  packet_count: RECEIPT.packet_count,
  packet_kept_count: RECEIPT.packet_kept_count,
  drops: RECEIPT.drops,
  first_packet: RECEIPT.first_packet,
  last_packet: RECEIPT.last_packet,
  key_check: RECEIPT.key_check,
  error_code: RECEIPT.error_code,
  error_message: RECEIPT.error_message,
} as const satisfies Table
const CHANGE = {
  row_id: { type: 'uint64', role: 'key', sharing: 'withheld', doc: 'Place of the row in its table.' },
  ...CHANGED,
} as const satisfies Table

/** Writes down what was read of uploads and what became of them, within the transaction of the session. */
export async function settleReceipts(session: Session, settled: readonly Settled[]): Promise<void> {
  const uploads = settled.map(({ upload }) => upload)
  const waiting = await findWaitingRows(session, uploads)
  const changes = settled.map((end, index) => {
    const receipt = waiting[index]
    if (!receipt) throw notWaiting(end.upload.sensor, end.upload.sha256)
    return { row_id: receipt.row_id, received_at: receipt.received_at, ...changeOf(end) }
  })
  const keys = changes.flatMap(({ content_sha256, received_at }, index) =>
    content_sha256 === uploads[index]!.sha256 ? [] : [{ sha256: content_sha256!, received_at }],
  )
  await addReceiptKeys(session, keys)
  const assignments = Object.keys(CHANGED).map(name => sql`${identifier(name)} = settled.${identifier(name)}`)
  const changed = await session.run(
    sql`UPDATE receipt SET ${join(assignments, ', ')} FROM (${listedRows(CHANGE, changes)}) AS settled
      WHERE receipt.rowid = settled.row_id AND receipt.state = ${receiptState('received')}`,
  )
  if (changed === changes.length) return
  throw new TelescopeError('INTERNAL', `receipts of a group: ${changed} rows changed, ${changes.length} were waiting`)
}

function changeOf({ upload, counted_at, duplicate_of, overlap }: Settled): PlainRow<typeof CHANGED> {
  const { error } = upload
  return {
    state: RECEIPT_STATES.indexOf(overlap ? 'held' : 'counted'),
    counted_at,
    content_sha256: upload.content_sha256,
    duplicate_of,
    overlaps_with: overlap ? overlap.named.join(',') : null,
    packet_count: upload.packets_read,
    packet_kept_count: upload.packets_kept,
    drops: JSON.stringify(upload.drops),
    first_packet: upload.first_packet,
    last_packet: upload.last_packet,
    key_check: upload.batches[0]?.metadata.key_check ?? null,
    error_code: overlap ? 'CAPTURE_OVERLAPS' : (error?.code ?? null),
    error_message: overlap ? overlapMessage(upload, overlap) : (error?.message ?? null),
  }
}

/** What was damaged is told, too: it is counted no further when the upload is accepted. */
function overlapMessage({ sha256, error }: ParsedUpload, { named, count }: Overlap): string {
  const more = count > named.length ? ` and ${count - named.length} more` : ''
  const holds = count > 1 ? 'hold' : 'holds'
  const damage = error ? `; besides, ${error.message}` : ''
  return `upload ${sha256} holds traffic that ${named.join(', ')}${more} ${holds}, too; accept it to count both, or withdraw one of them${damage}`
}
