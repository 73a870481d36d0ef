import type { Table } from '../schemas/column.ts'
import type { Session } from './database.ts'
import type { PlainRow } from './rows.ts'
import { bind, identifier, join, sql } from './sql.ts'

/** Inserts one row, columns by name; for tables without addresses (those are appended in bulk). */
export async function insertRow<T extends Table>(
  session: Session,
  name: string,
  table: T,
  row: PlainRow<T>,
): Promise<void> {
  const entries = Object.entries(table)
  const names = entries.map(([column]) => identifier(column))
  const values = entries.map(([column, { type }]) => {
    const bindType = type === 'json' || type === 'ip_addr' ? 'text' : type
    return sql`${bind(bindType, (row as Record<string, string | number | boolean | null>)[column] ?? null)}`
  })
  await session.run(sql`INSERT INTO ${identifier(name)} (${join(names, ', ')}) VALUES (${join(values, ', ')})`)
}
