import { RECEIPT } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { BatchLoader, GROUP_FLOW_COLUMNS } from './load.ts'
import { findReceiptRow } from './receipts.ts'
import type { PlainRow } from './rows.ts'
import { readSensors } from './sensors.ts'
import { bind, columnDefinitions, columnNames, columnType, join, type Sql, sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/** The flows of a group of parsed uploads, in temporary tables of a session: what is counted, or counted again. */

/** All of them, with the columns of LAKE_FLOW. */
export const GROUP_FLOWS = sql`SELECT sensor, telescope_epoch, upload_id, ${columnNames(
  GROUP_FLOW_COLUMNS.slice(1),
)} FROM group_flow JOIN group_upload USING (upload)`

const GROUP_UPLOAD = {
  upload: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number in the group.' },
  sensor: LAKE_FLOW.sensor,
  telescope_epoch: LAKE_FLOW.telescope_epoch,
  upload_id: LAKE_FLOW.upload_id,
  kind: RECEIPT.kind,
} as const satisfies Table

/** Makes the empty tables. */
export async function makeGroupTables(session: Session): Promise<void> {
  const definitions = join(GROUP_FLOW_COLUMNS.map(columnType), ', ')
  await session.run(sql`CREATE OR REPLACE TEMP TABLE group_flow (${definitions})`)
  await session.run(sql`CREATE OR REPLACE TEMP TABLE group_upload (${columnDefinitions(GROUP_UPLOAD)})`)
}

/**
 * Loads uploads.
 * @param from number in the group of the first of them
 * @returns numbers in the group of uploads that the operator accepted although they overlap
 * @throws BATCH_INVALID with the details sensor and sha256; SENSOR_UNKNOWN
 */
export async function loadUploads(
  session: Session,
  uploads: readonly ParsedUpload[],
  from: number,
): Promise<Set<number>> {
  const sensors = new Map((await readSensors(session)).map(row => [row.sensor, row]))
  const accepted = new Set<number>()
  const numbered: PlainRow<typeof GROUP_UPLOAD>[] = []
  for (const [index, { sensor, sha256, batches }] of uploads.entries()) {
    const known = sensors.get(sensor)
    if (!known) throw unknownSensor(sensor)
    const receipt = await findReceiptRow(session, sensor, sha256)
    if (receipt === null) throw notWaiting(sensor, sha256)
    const upload = from + index
    if (receipt.accepted_at !== null) accepted.add(upload)
    const telescope_epoch = batches[0]?.metadata.telescope_epoch ?? known.telescope_epoch
    numbered.push({ upload, sensor, telescope_epoch, upload_id: receipt.upload_id, kind: receipt.kind })
  }
  await insertRows(session, 'group_upload', GROUP_UPLOAD, numbered)
  const loader = await BatchLoader.open(session, 'group_flow')
  for (const [index, upload] of uploads.entries()) {
    for (const { path, metadata } of upload.batches) {
      const rows = await blame(upload, () => loader.load(path, from + index))
      if (rows !== metadata.flows) throw refused(upload, `${rows} flows in a batch that says ${metadata.flows}`)
    }
  }
  loader.close()
  return accepted
}

/** Those of a UTC day, Unix microseconds of its start. */
export function flowsOfDay(day: number): Sql {
  const start = sql`${bind('timestamp_us', day)}`
  const end = sql`${bind('timestamp_us', day + DAY_SECONDS * MICROSECONDS)}`
  return sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM (${GROUP_FLOWS}) AS flows
    WHERE interval_start >= ${start} AND interval_start < ${end}`
}

/** Names the upload in an error about its batch, so that the hub can take that one out of the group. */
async function blame<T>(upload: ParsedUpload, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TelescopeError) || error.code !== 'BATCH_INVALID') throw error
    throw refused(upload, error.message, error)
  }
}

export function refused(upload: ParsedUpload, message: string, cause?: unknown): TelescopeError {
  const { sensor, sha256 } = upload
  return new TelescopeError('BATCH_INVALID', `upload ${sensor}/${sha256}: ${message}`, { sensor, sha256 }, cause)
}

export function notWaiting(sensor: string, sha256: string): TelescopeError {
  return new TelescopeError(
    'INTERNAL',
    `upload ${sensor}/${sha256}: no receipt that waits to be counted; the group was not counted`,
    { sensor, sha256 },
  )
}

function unknownSensor(sensor: string): TelescopeError {
  return new TelescopeError('SENSOR_UNKNOWN', `sensor "${sensor}": none of this name is registered`, { sensor })
}
