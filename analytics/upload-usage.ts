import { RECEIPT } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { MICROSECONDS } from '../schemas/time.ts'
import type { Database } from './database.ts'
import { receiptState } from './receipts.ts'
import { bind, sql } from './sql.ts'
import type { UploadUsage } from './storage.ts'

const USAGE = {
  sensor: RECEIPT.sensor,
  upload_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads since a time.' },
  byte_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Their bytes as sent.' },
  pending_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads that wait to be counted.' },
} as const satisfies Table

/** See Storage.uploadUsage. */
export function readUploadUsage(database: Database, since: number): Promise<UploadUsage[]> {
  const start = sql`${bind('timestamp_us', since * MICROSECONDS)}`
  return database.plain(
    USAGE,
    sql`SELECT sensor, count(*) FILTER (received_at >= ${start}) AS upload_count,
        coalesce(sum(byte_count) FILTER (received_at >= ${start}), 0)::UBIGINT AS byte_count,
        count(*) FILTER (state = ${receiptState('received')}) AS pending_count FROM receipt
        WHERE received_at >= ${start} OR state = ${receiptState('received')} GROUP BY sensor ORDER BY sensor`,
  )
}
