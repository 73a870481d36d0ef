import { DuckDBInstance, DuckDBTimestampValue, LIST, listValue, VARCHAR } from '@duckdb/node-api'
import { physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import type { FlowRow } from './read-batch.ts'

/** Reads the flows of Parquet files as the hub's engine does, in their order. */
export async function readFlowFiles(paths: readonly string[]): Promise<FlowRow[]> {
  const names = physicalColumns(FLOW).map(({ name }) => name)
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const result = await connection.runAndReadAll(
    `SELECT ${names.join(', ')} FROM read_parquet($1) ORDER BY file_index, file_row_number`,
    [listValue([...paths])],
    [LIST(VARCHAR)],
  )
  const rows = result.getRows().map(values => {
    const numbers = values.map(value =>
      value instanceof DuckDBTimestampValue ? value.micros : BigInt(value as number),
    )
    return Object.fromEntries(names.map((name, index) => [name, numbers[index]!]))
  })
  connection.closeSync()
  instance.closeSync()
  return rows
}
