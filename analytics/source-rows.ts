import type { Table } from '../schemas/column.ts'
import type { Database } from './database.ts'
import { sql } from './sql.ts'

const SIZE = {
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Rows, about.' },
} as const satisfies Table

/** See Storage.sourceRows. The catalog knows it without reading a row. */
export async function countSourceRows(database: Database): Promise<number> {
  const [size] = await database.plain(
    SIZE,
    sql`SELECT estimated_size::UBIGINT AS row_count FROM duckdb_tables() WHERE table_name = 'source_hour' AND NOT temporary`,
  )
  return size?.row_count ?? 0
}
