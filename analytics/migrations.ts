import { AUDIT } from '../schemas/audit.ts'
import { COVERAGE_SPAN, LAKE_FILE, RECEIPT, RECEIPT_KEY, SENSOR, SOURCE_ECONOMY, TOKEN } from '../schemas/catalog.ts'
import { CHANGED_DAY, CLOSED_DAY, LISTENED_DAY } from '../schemas/closed-day.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { SENSOR_HOUR, SOURCE_HOUR, TRAFFIC_HOUR } from '../schemas/rollup.ts'
import { INVITATION, SENSOR_KEY } from '../schemas/sensor-key.ts'
import { SEQUENCE_GAP, UPLOAD_SPOOL } from '../schemas/sequence-gap.ts'
import type { Database, Session } from './database.ts'
import { bind, columnDefinitions, columnType, identifier, literal, type Sql, sql, whole } from './sql.ts'

/**
 * The catalog's tables, and the numbered steps from one shape to the next. A column that a table in `schemas/` gained
 * needs no step: it is added with the value 0, false or empty. A step is for what changes meaning, and is never edited
 * once released.
 */

/**
 * Tables of the catalog. `index` is one column: DuckDB uses an index only for a lone condition on one column, and the
 * one writer checks what must be unique.
 */
export const CATALOG: Readonly<Record<string, { readonly table: Table; readonly index?: Sql }>> = {
  sensor: { table: SENSOR },
  token: { table: TOKEN, index: sql`token_sha256` },
  receipt: { table: RECEIPT },
  receipt_key: { table: RECEIPT_KEY },
  receipt_key_recent: { table: RECEIPT_KEY, index: sql`digest_head` },
  lake_file: { table: LAKE_FILE },
  coverage_span: { table: COVERAGE_SPAN },
  closed_day: { table: CLOSED_DAY },
  listened_day: { table: LISTENED_DAY },
  changed_day: { table: CHANGED_DAY },
  upload_spool: { table: UPLOAD_SPOOL },
  sequence_gap: { table: SEQUENCE_GAP },
  source_economy: { table: SOURCE_ECONOMY },
  traffic_hour: { table: TRAFFIC_HOUR },
  source_hour: { table: SOURCE_HOUR },
  sensor_hour: { table: SENSOR_HOUR },
  audit: { table: AUDIT },
  sensor_key: { table: SENSOR_KEY, index: sql`key_id` },
  invitation: { table: INVITATION, index: sql`code_sha256` },
}

interface Migration {
  readonly number: number
  readonly name: string
  run(session: Session): Promise<void>
}

const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    name: 'catalog and hourly rollups',
    async run(session) {
      for (const name of Object.keys(CATALOG)) await createTable(session, name)
    },
  },
  { number: 2, name: 'audit log', run: session => createTable(session, 'audit') },
  {
    number: 3,
    name: 'sequence numbers of uploads',
    async run(session) {
      await createTable(session, 'upload_spool')
      await createTable(session, 'sequence_gap')
    },
  },
  {
    number: 4,
    name: 'keys of sensors',
    async run(session) {
      for (const name of ['sensor_key', 'invitation']) await createTable(session, name)
    },
  },
  {
    number: 5,
    name: 'receipts are found by the head of their digest',
    async run(session) {
      await session.run(sql`DROP INDEX IF EXISTS receipt_index`)
      for (const name of ['receipt_key', 'receipt_key_recent']) await createTable(session, name)
      await session.run(
        sql`INSERT INTO receipt_key SELECT ('0x' || sha256[1:16])::UBIGINT AS digest_head, received_at FROM receipt ORDER BY digest_head`,
      )
    },
  },
  {
    number: 6,
    name: 'days that are over',
    async run(session) {
      for (const name of ['closed_day', 'listened_day', 'changed_day']) await createTable(session, name)
    },
  },
  {
    number: 7,
    name: 'receipts are found by the head of the digest of their content, too',
    async run(session) {
      await session.run(
        sql`INSERT INTO receipt_key SELECT ('0x' || content_sha256[1:16])::UBIGINT AS digest_head, received_at FROM receipt
          WHERE content_sha256 <> sha256 ORDER BY digest_head`,
      )
    },
  },
  { number: 8, name: 'indexes are made anew', run: async () => {} },
]

/**
 * Makes all indexes anew. DuckDB 1.5 replays what a killed process left in its log, and when it writes that into the
 * file before an index was used, the index lacks those rows for good: tokens and receipts are not found that are there.
 * So this comes after each start that found such a log, and once for catalogs of versions that did not know. It cannot be
 * within a transaction: DuckDB then ends the process. Killed midway, the log is there again.
 */
export async function renewIndexes(session: Session): Promise<void> {
  for (const [name, { table, index }] of Object.entries(CATALOG)) {
    if (!index) continue
    // Used once before, since DuckDB ends the process that drops an index which it has only half read.
    const isText = physicalColumns(table).some(column => column.name === index.pieces[0] && column.type === 'text')
    await session.run(sql`SELECT * FROM ${identifier(name)} WHERE ${index} = ${isText ? literal('') : whole(0)}`)
    await session.run(sql`DROP INDEX IF EXISTS ${identifier(`${name}_index`)}`)
    await session.run(sql`CREATE INDEX ${identifier(`${name}_index`)} ON ${identifier(name)} (${index})`)
  }
}

/** A table of CATALOG, unless it is there: step 1 makes all of its time, so a new catalog has those of later steps. */
async function createTable(session: Session, name: string): Promise<void> {
  const { table, index } = CATALOG[name]!
  await session.run(sql`CREATE TABLE IF NOT EXISTS ${identifier(name)} (${columnDefinitions(table)})`)
  if (!index) return
  await session.run(sql`CREATE INDEX IF NOT EXISTS ${identifier(`${name}_index`)} ON ${identifier(name)} (${index})`)
}

const MIGRATION = {
  number: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number of the step.' },
  name: { type: 'text', role: 'note', sharing: 'withheld', doc: 'What it does.' },
  applied_at: { type: 'timestamp_us', role: 'note', sharing: 'withheld', doc: 'When it was done.' },
} as const satisfies Table

/**
 * Brings the catalog to the present shape, all steps in one transaction: killed midway, nothing has happened.
 * @returns true when there was a step to do: then the indexes have to be made anew
 * @throws STORAGE_FAILED when a newer version wrote it
 */
export async function migrate(database: Database, nowMicros: number): Promise<boolean> {
  return await database.transaction(async session => {
    await session.run(sql`CREATE TABLE IF NOT EXISTS migration (${columnDefinitions(MIGRATION)})`)
    const done = await session.plain(MIGRATION, sql`SELECT * FROM migration ORDER BY number`)
    const newest = done.at(-1)?.number ?? 0
    const known = MIGRATIONS.at(-1)!.number
    if (newest > known) {
      throw new TelescopeError(
        'STORAGE_FAILED',
        `catalog has shape ${newest}, this version knows ${known}; start the newer version that wrote it`,
        { fatal: true, expected: known, actual: newest },
      )
    }
    const steps = MIGRATIONS.filter(({ number }) => number > newest)
    for (const step of steps) {
      await step.run(session)
      await session.run(
        sql`INSERT INTO migration VALUES (${bind('uint32', step.number)}, ${bind('text', step.name)}, ${bind('timestamp_us', nowMicros)})`,
      )
    }
    const present = await readColumns(session)
    for (const [name, { table }] of Object.entries(CATALOG)) {
      await addMissingColumns(session, name, table, present.get(name) ?? new Set())
    }
    return steps.length > 0 && newest > 0
  })
}

const COLUMN = {
  table_name: { type: 'text', role: 'key', sharing: 'withheld', doc: 'Table.' },
  column_name: { type: 'text', role: 'key', sharing: 'withheld', doc: 'Name.' },
} as const satisfies Table

/** One question for all tables: each takes as long as the whole of it. */
async function readColumns(session: Session): Promise<Map<string, Set<string>>> {
  const rows = await session.plain(
    COLUMN,
    sql`SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal`,
  )
  const columns = new Map<string, Set<string>>()
  for (const { table_name, column_name } of rows) {
    columns.set(table_name, (columns.get(table_name) ?? new Set()).add(column_name))
  }
  return columns
}

async function addMissingColumns(
  session: Session,
  name: string,
  table: Table,
  names: ReadonlySet<string>,
): Promise<void> {
  for (const column of physicalColumns(table)) {
    if (names.has(column.name)) continue
    const zero = column.nullable ? sql`NULL` : column.type === 'text' || column.type === 'json' ? sql`''` : sql`0`
    await session.run(
      sql`ALTER TABLE ${identifier(name)} ADD COLUMN ${columnType(column)} DEFAULT ${column.type === 'timestamp_us' ? sql`'epoch'` : zero}`,
    )
  }
}
