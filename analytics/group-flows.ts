import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { RECEIPT } from '../schemas/catalog.ts'
import { type PhysicalColumn, physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW, LAKE_FLOW } from '../schemas/flow.ts'
import type { ParsedBatch } from '../schemas/parse-job.ts'
import { SENSOR_HOUR, SOURCE_HOUR, TRAFFIC_HOUR } from '../schemas/rollup.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import type { Lake } from './lake.ts'
import type { ReceiptRow } from './receipts.ts'
import { sumRows } from './rollup.ts'
import type { PlainRow } from './rows.ts'
import type { SensorRow } from './sensors.ts'
import { bind, columnDefinitions, columnNames, identifier, join, literal, type Sql, sql, typeName } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/**
 * The flows of a group of parsed uploads, as the view `group_flow` of a session: the columns of LAKE_FLOW and `upload`,
 * the number in the group. The engine reads the files of the parsing children each time that it is asked, because
 * to copy them into a table takes longer than all else that is done with them.
 */

/** All of them, with the columns of LAKE_FLOW. */
const GROUP_FLOWS = sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM group_flow`

const PARQUET_MAGIC = 'PAR1'

const GROUP_UPLOAD = {
  upload: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number in the group.' },
  sensor: LAKE_FLOW.sensor,
  telescope_epoch: LAKE_FLOW.telescope_epoch,
  upload_id: LAKE_FLOW.upload_id,
  kind: RECEIPT.kind,
} as const satisfies Table
const GROUP_FILE = {
  file_index: { type: 'uint64', role: 'key', sharing: 'withheld', doc: 'Place in the list that the engine reads.' },
  upload: GROUP_UPLOAD.upload,
} as const satisfies Table

/** A group that is open in a session; one at a time. */
export class FlowGroup {
  /** Numbers in the group of uploads that the operator accepted although they overlap. */
  readonly accepted: ReadonlySet<number>
  readonly #session: Session
  readonly #lake: Lake
  readonly #staged: readonly string[]

  private constructor(session: Session, lake: Lake, accepted: ReadonlySet<number>, staged: readonly string[]) {
    this.#session = session
    this.#lake = lake
    this.accepted = accepted
    this.#staged = staged
  }

  /**
   * @param receipts of the uploads, in their order
   * @throws BATCH_INVALID with the details sensor and sha256, SENSOR_UNKNOWN, STORAGE_FAILED, DISK_FULL; INTERNAL when an
   *   upload has no receipt
   */
  static async open(
    { session, lake, sensors }: { session: Session; lake: Lake; sensors: ReadonlyMap<string, SensorRow> },
    uploads: readonly ParsedUpload[],
    receipts: readonly (ReceiptRow | null)[],
  ): Promise<FlowGroup> {
    const { accepted, numbered } = numberUploads(sensors, uploads, receipts)
    const staged: string[] = []
    const adopt = async (upload: ParsedUpload, path: string): Promise<string> => {
      if (!(await isComplete(path))) throw refused(upload, 'a file of what was parsed is not complete')
      const adopted = await lake.adopt(path, `${randomBytes(12).toString('hex')}.parquet`)
      staged.push(adopted)
      return adopted
    }
    const owners: PlainRow<typeof GROUP_FILE>[] = []
    const files: Omit<ParsedBatch, 'metadata'>[] = []
    try {
      for (const [number, upload] of uploads.entries()) {
        for (const { path, sources, traffic, metadata } of upload.batches) {
          if (metadata.flows === 0) continue
          owners.push({ file_index: files.length, upload: number })
          files.push({
            path: await adopt(upload, path),
            sources: await adopt(upload, sources),
            traffic: await adopt(upload, traffic),
          })
        }
      }
      await makeTable(session, 'group_upload', GROUP_UPLOAD, numbered)
      await makeTable(session, 'group_file', GROUP_FILE, owners)
      await makeViews(session, files)
      return new FlowGroup(session, lake, accepted, staged)
    } catch (error) {
      await lake.disown(staged)
      // What cannot be read for want of a descriptor is no fault of the upload.
      throw lake.wrap(error)
    }
  }

  /** Takes the flows of an upload and their sums out of the group. */
  async exclude(upload: number): Promise<void> {
    await this.#session.run(sql`DELETE FROM group_file WHERE upload = ${bind('uint32', upload)}`)
  }

  /** Nothing can be read any more. */
  async close(): Promise<void> {
    await this.#lake.disown(this.#staged)
  }
}

/** A Parquet file ends with its magic number, which is written last. */
async function isComplete(path: string): Promise<boolean> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const end = Buffer.alloc(PARQUET_MAGIC.length)
    await handle.read(end, 0, end.length, Math.max(0, size - end.length))
    return end.toString('latin1') === PARQUET_MAGIC
  } finally {
    await handle.close()
  }
}

function numberUploads(
  sensors: ReadonlyMap<string, SensorRow>,
  uploads: readonly ParsedUpload[],
  receipts: readonly (ReceiptRow | null)[],
): { accepted: Set<number>; numbered: PlainRow<typeof GROUP_UPLOAD>[] } {
  const accepted = new Set<number>()
  const numbered: PlainRow<typeof GROUP_UPLOAD>[] = []
  for (const [upload, { sensor, sha256, batches }] of uploads.entries()) {
    const known = sensors.get(sensor)
    if (!known) throw unknownSensor(sensor)
    const receipt = receipts[upload]
    if (!receipt) throw notWaiting(sensor, sha256)
    if (receipt.accepted_at !== null) accepted.add(upload)
    const telescope_epoch = batches[0]?.metadata.telescope_epoch ?? known.telescope_epoch
    numbered.push({ upload, sensor, telescope_epoch, upload_id: receipt.upload_id, kind: receipt.kind })
  }
  return { accepted, numbered }
}

async function makeTable<T extends Table>(session: Session, name: string, table: T, rows: readonly PlainRow<T>[]) {
  await session.run(sql`CREATE OR REPLACE TEMP TABLE ${identifier(name)} (${columnDefinitions(table)})`)
  await insertRows(session, name, table, rows)
}

/** The columns of LAKE_FLOW with the number in the group, and the sums by the names that `addRollups` takes. */
async function makeViews(session: Session, files: readonly Omit<ParsedBatch, 'metadata'>[]): Promise<void> {
  const flows = rowsOf(
    physicalColumns(FLOW),
    files.map(({ path }) => path),
    sql`upload, sensor, telescope_epoch, upload_id`,
  )
  await session.run(sql`CREATE OR REPLACE TEMP VIEW group_flow AS ${flows}`)
  const sums = [
    ['group_source_hour', SOURCE_HOUR, files.map(({ sources }) => sources)],
    ['group_traffic_hour', TRAFFIC_HOUR, files.map(({ traffic }) => traffic)],
  ] as const
  for (const [name, table, paths] of sums) {
    const columns = physicalColumns(table).filter(column => column.name !== 'sensor')
    await session.run(sql`CREATE OR REPLACE TEMP VIEW ${identifier(name)} AS ${rowsOf(columns, paths, sql`sensor`)}`)
  }
  const sensors = sumRows(SENSOR_HOUR, sql`SELECT * FROM group_traffic_hour`)
  await session.run(sql`CREATE OR REPLACE TEMP VIEW group_sensor_hour AS ${sensors}`)
}

/**
 * Rows of files whose place in the list says whose they are. A view takes no bound values; the names are ours.
 * @param ours columns of group_file and group_upload that go with each row
 */
function rowsOf(columns: readonly PhysicalColumn[], files: readonly string[], ours: Sql): Sql {
  const names = columnNames(columns)
  const none = join(
    columns.map(({ name, type }) => sql`NULL::${typeName(type)} AS ${identifier(name)}`),
    ', ',
  )
  const rows =
    files.length === 0
      ? sql`SELECT 0::UBIGINT AS file_index, ${none} WHERE false`
      : sql`SELECT file_index, ${names} FROM read_parquet([${join(files.map(literal), ', ')}])`
  return sql`SELECT ${ours}, ${names} FROM (${rows}) AS parsed
    JOIN group_file USING (file_index) JOIN group_upload USING (upload)`
}

/** Those of a UTC day, Unix microseconds of its start. */
export function flowsOfDay(day: number): Sql {
  const start = sql`${bind('timestamp_us', day)}`
  const end = sql`${bind('timestamp_us', day + DAY_SECONDS * MICROSECONDS)}`
  return sql`${GROUP_FLOWS} WHERE interval_start >= ${start} AND interval_start < ${end}`
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
