import type { Table } from '../schemas/column.ts'
import type { Session } from './database.ts'
import type { PlainRow } from './rows.ts'
import { bindList, identifier, join, type Sql, type SqlScalar, sql } from './sql.ts'

/** Rows of one statement; its text stays the same size, but the values are bound one by one. */
const ROWS_PER_STATEMENT_MAX = 1000

/** Inserts rows, columns by name, for tables without addresses; larger amounts are appended in bulk. */
export async function insertRows<T extends Table>(
  session: Session,
  name: string,
  table: T,
  rows: readonly PlainRow<T>[],
): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT_MAX) {
    const part = rows.slice(from, from + ROWS_PER_STATEMENT_MAX)
    await session.run(sql`INSERT INTO ${identifier(name)} BY NAME ${listedRows(table, part)}`)
  }
}

/** SELECT of rows that are bound, a list for each column; for tables without addresses. */
export function listedRows<T extends Table>(table: T, rows: readonly PlainRow<T>[]): Sql {
  const columns = Object.entries(table).map(([column, { type }]) => {
    const values = bindList(
      type === 'json' || type === 'ip_addr' ? 'text' : type,
      (rows as readonly Record<string, SqlScalar | null>[]).map(row => row[column] ?? null),
    )
    return sql`unnest(${values}) AS ${identifier(column)}`
  })
  return sql`SELECT ${join(columns, ', ')}`
}
