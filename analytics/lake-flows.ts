import { physicalColumns } from '../schemas/column.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { bindList, identifier, join, type Sql, sql, typeName } from './sql.ts'

/**
 * The flows of lake files, as a SELECT with all columns of LAKE_FLOW. A file from before a column was added gives
 * zero for it; without files there are no rows.
 */
export function lakeFlows(files: readonly string[]): Sql {
  const columns = physicalColumns(LAKE_FLOW)
  const empty = join(
    columns.map(({ name, type }) => sql`NULL::${typeName(type)} AS ${identifier(name)}`),
    ', ',
  )
  // The empty part says which columns there are and of which type, whatever the files hold.
  const template = sql`SELECT ${empty} WHERE false`
  if (files.length === 0) return template
  const filled = join(
    columns.map(({ name, type, nullable }) =>
      nullable || (type !== 'uint8' && type !== 'uint16' && type !== 'uint32' && type !== 'uint64' && type !== 'bits64')
        ? identifier(name)
        : sql`coalesce(${identifier(name)}, 0) AS ${identifier(name)}`,
    ),
    ', ',
  )
  return sql`SELECT ${filled} FROM (${template} UNION ALL BY NAME
    SELECT * FROM read_parquet(${bindList('text', files)}, union_by_name = true)) AS files`
}
