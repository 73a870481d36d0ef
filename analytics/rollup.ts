import { physicalColumns, type Table } from '../schemas/column.ts'
import { SENSOR_HOUR, SOURCE_HOUR, TRAFFIC_HOUR } from '../schemas/rollup.ts'
import type { Session } from './database.ts'
import { columnNames, identifier, join, type Sql, sql, typeName } from './sql.ts'

/**
 * Hourly rollups. A counted group adds the sums of its own flows, in the transaction that counts it: exact, because
 * each flow is counted once, and as cheap on a full day as on an empty one. Rows of one key are therefore summed by
 * whoever reads them; a rebuilt day has one row a key and the same sums.
 */

/** Rollup in the catalog → its columns. One entry is the whole change when a rollup is added. */
export const ROLLUPS: Readonly<Record<string, Table>> = {
  traffic_hour: TRAFFIC_HOUR,
  source_hour: SOURCE_HOUR,
  sensor_hour: SENSOR_HOUR,
}

/**
 * The rows of a rollup, from anything with the columns of LAKE_FLOW, in an order that its readers skip well by. Sums of
 * integers are exact as DOUBLE below 2^53, far above what uploads may hold, and take half the time of 128-bit ones.
 */
export function rollupRows(table: Table, flows: Sql): Sql {
  return sql`${sumRows(table, sql`SELECT date_trunc('hour', interval_start) AS bucket_start, * FROM (${flows}) AS flows`)}
    ORDER BY bucket_start, sensor`
}

/** Rows summed by the keys of a rollup, from anything with its columns. */
export function sumRows(table: Table, rows: Sql): Sql {
  const keys = columnNames(physicalColumns(withRole(table, 'key')))
  const sums = physicalColumns(withRole(table, 'measure')).map(
    column => sql`sum(${identifier(column.name)}::DOUBLE)::${typeName(column.type)} AS ${identifier(column.name)}`,
  )
  return sql`SELECT ${keys}, ${join(sums, ', ')} FROM (${rows}) AS summed GROUP BY ${keys}`
}

/** Prepares rows as temporary tables, so that the transaction itself only copies. */
export async function stageRollups(session: Session, flows: Sql): Promise<void> {
  for (const [name, table] of Object.entries(ROLLUPS)) {
    await session.run(sql`CREATE OR REPLACE TEMP TABLE ${rowsFrom('staged', name)} AS ${rollupRows(table, flows)}`)
  }
}

/** Adds rows, within the transaction of the session: those that were staged, or those of its group. */
export async function addRollups(session: Session, from: 'staged' | 'group'): Promise<void> {
  for (const name of Object.keys(ROLLUPS)) {
    await session.run(sql`INSERT INTO ${identifier(name)} BY NAME SELECT * FROM ${rowsFrom(from, name)}`)
  }
}

/**
 * Takes all hours within [since, until) out of the rollups; bounds are SQL of type TIMESTAMP.
 * @param which rows of these hours; default all
 */
export async function deleteRollups(session: Session, since: Sql, until: Sql, which: Sql = sql`true`): Promise<void> {
  for (const name of Object.keys(ROLLUPS)) {
    await session.run(
      sql`DELETE FROM ${identifier(name)} WHERE bucket_start >= ${since} AND bucket_start < ${until} AND ${which}`,
    )
  }
}

/** Table or view of a session with the columns of a rollup. */
function rowsFrom(from: 'staged' | 'group', name: string): Sql {
  return identifier(`${from}_${name}`)
}

function withRole(table: Table, role: 'key' | 'measure'): Table {
  return Object.fromEntries(Object.entries(table).filter(([, column]) => column.role === role))
}
