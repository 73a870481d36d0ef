import { RECEIPT } from '../schemas/catalog.ts'
import { type PhysicalColumn, physicalColumns, type Table } from '../schemas/column.ts'
import { FLOW, LAKE_FLOW } from '../schemas/flow.ts'
import type { ParsedBatch } from '../schemas/parse-job.ts'
import { SENSOR_HOUR, SOURCE_HOUR, TRAFFIC_HOUR } from '../schemas/rollup.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { sumRows } from './rollup.ts'
import type { PlainRow } from './rows.ts'
import { bind, columnDefinitions, columnNames, identifier, join, literal, type Sql, sql, typeName } from './sql.ts'

/**
 * The flows of a group of parsed uploads, as the view `group_flow` of a session: the columns of LAKE_FLOW and `upload`,
 * the number in the group; and their sums. The engine reads the files of the parsing children each time that it is
 * asked, because to copy them into a table takes longer than all else that is done with them.
 */

/** All of them, with the columns of LAKE_FLOW. */
const GROUP_FLOWS = sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM group_flow`

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
  is_whole: { type: 'boolean', role: 'note', sharing: 'withheld', doc: 'Whether the lake takes it in as it is.' },
} as const satisfies Table

export type GroupUploadRow = PlainRow<typeof GROUP_UPLOAD>
export type GroupFileRow = PlainRow<typeof GROUP_FILE>
/** Where the files of a batch lie. */
export type GroupFiles = Omit<ParsedBatch, 'metadata'>

/** @param files in the order of their `file_index` */
export async function makeViews(
  session: Session,
  uploads: readonly GroupUploadRow[],
  owners: readonly GroupFileRow[],
  files: readonly GroupFiles[],
): Promise<void> {
  await makeTable(session, 'group_upload', GROUP_UPLOAD, uploads)
  await makeTable(session, 'group_file', GROUP_FILE, owners)
  await makeFlows(session, files)
}

async function makeTable<T extends Table>(session: Session, name: string, table: T, rows: readonly PlainRow<T>[]) {
  await session.run(sql`CREATE OR REPLACE TEMP TABLE ${identifier(name)} (${columnDefinitions(table)})`)
  await insertRows(session, name, table, rows)
}

/** The columns of LAKE_FLOW with the number in the group, and whether the file is whole. */
async function makeFlows(session: Session, files: readonly GroupFiles[]): Promise<void> {
  const flows = rowsOf(
    physicalColumns(FLOW),
    files.map(({ path }) => path),
    sql`upload, is_whole, sensor, telescope_epoch, upload_id`,
  )
  await session.run(sql`CREATE OR REPLACE TEMP VIEW group_flow AS ${flows}`)
}

/**
 * The sums of a group, by the names that `addRollups` takes.
 * @param sensor whose all files are, none of them taken out; then they need not be asked one by one
 */
export async function makeSums(session: Session, files: readonly GroupFiles[], sensor: string | null): Promise<void> {
  const sums = [
    ['group_source_hour', SOURCE_HOUR, files.map(({ sources }) => sources)],
    ['group_traffic_hour', TRAFFIC_HOUR, files.map(({ traffic }) => traffic)],
  ] as const
  for (const [name, table, paths] of sums) {
    const columns = physicalColumns(table).filter(column => column.name !== 'sensor')
    const rows =
      sensor === null
        ? rowsOf(columns, paths, sql`sensor`)
        : sql`SELECT ${literal(sensor)} AS sensor, ${columnNames(columns)} FROM (${parsedRows(columns, paths)}) AS parsed`
    await session.run(sql`CREATE OR REPLACE TEMP VIEW ${identifier(name)} AS ${rows}`)
  }
  const sensors = sumRows(SENSOR_HOUR, sql`SELECT * FROM group_traffic_hour`)
  await session.run(sql`CREATE OR REPLACE TEMP VIEW group_sensor_hour AS ${sensors}`)
}

/**
 * Rows of files whose place in the list says whose they are.
 * @param ours columns of group_file and group_upload that go with each row
 */
function rowsOf(columns: readonly PhysicalColumn[], files: readonly string[], ours: Sql): Sql {
  return sql`SELECT ${ours}, ${columnNames(columns)} FROM (${parsedRows(columns, files)}) AS parsed
    JOIN group_file USING (file_index) JOIN group_upload USING (upload)`
}

/** A view takes no bound values; the names are ours. */
function parsedRows(columns: readonly PhysicalColumn[], files: readonly string[]): Sql {
  const none = join(
    columns.map(({ name, type }) => sql`NULL::${typeName(type)} AS ${identifier(name)}`),
    ', ',
  )
  return files.length === 0
    ? sql`SELECT 0::UBIGINT AS file_index, ${none} WHERE false`
    : sql`SELECT file_index, ${columnNames(columns)} FROM read_parquet([${join(files.map(literal), ', ')}])`
}

/** Those of a UTC day, Unix microseconds of its start. */
export function flowsOfDay(day: number): Sql {
  return sql`${GROUP_FLOWS} WHERE ${isOfDay(day)}`
}

/** Whether a flow is of a UTC day, Unix microseconds of its start. */
export function isOfDay(day: number): Sql {
  const [start, end] = [bind('timestamp_us', day), bind('timestamp_us', day + DAY_SECONDS * MICROSECONDS)]
  return sql`interval_start >= ${start} AND interval_start < ${end}`
}

/** Those of a UTC day that are in no whole file. */
export function gatheredFlowsOfDay(day: number): Sql {
  return sql`${flowsOfDay(day)} AND NOT is_whole`
}
