import { type ColumnType, duckdbColumns, duckdbType, type PhysicalColumn, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'

/**
 * SQL text and the values bound to it, kept apart until the driver gets both. This is the only file that quotes or
 * joins SQL: what comes from outside is always a bound value, never text.
 */

type BindType = Exclude<ColumnType, 'ip_addr' | 'json'> | 'int64'

/** A value on its way into a prepared statement; timestamps are Unix microseconds. */
export interface BoundValue {
  readonly type: BindType
  readonly list: boolean
  readonly value: SqlScalar | readonly (SqlScalar | null)[] | null
}
export type SqlScalar = string | number | bigint | boolean

/** A statement or a part of one: `pieces` has one entry more than `values`, which stand between them. */
export interface Sql {
  readonly pieces: readonly string[]
  readonly values: readonly BoundValue[]
}

/** A bound value with the type of the column that it meets, so that no column is cast for a comparison. */
export function bind(type: BindType, value: SqlScalar | null): BoundValue {
  return { type, list: false, value }
}

/** A bound list, for `IN (SELECT unnest(…))` and for `read_parquet`. */
export function bindList(type: BindType, value: readonly (SqlScalar | null)[]): BoundValue {
  return { type, list: true, value }
}

/** Template tag: `sql\`SELECT … WHERE sensor = ${bind('text', name)} AND ${condition}\``. */
export function sql(strings: TemplateStringsArray, ...parts: readonly (Sql | BoundValue)[]): Sql {
  const pieces = [strings[0]!]
  const values: BoundValue[] = []
  parts.forEach((part, index) => {
    if ('pieces' in part) {
      pieces[pieces.length - 1] += part.pieces[0]!
      pieces.push(...part.pieces.slice(1))
      values.push(...part.values)
      pieces[pieces.length - 1] += strings[index + 1]!
    } else {
      values.push(part)
      pieces.push(strings[index + 1]!)
    }
  })
  return { pieces, values }
}

/** The parts one after another with a separator such as `, ` or ` AND ` between them. */
export function join(parts: readonly Sql[], separator: ', ' | ' AND ' | ' UNION ALL ' | ' + '): Sql {
  const glue = { pieces: [separator], values: [] }
  return parts.reduce((whole, part, index) => (index === 0 ? part : sql`${whole}${glue}${part}`), sql``)
}

/** Text written in this project, such as a type or a keyword; never anything from outside. */
function trusted(text: string): Sql {
  return { pieces: [text], values: [] }
}

const IDENTIFIER = /^[a-z][a-z0-9_]*$/

/** A name of a table or column; all of ours are plain. */
export function identifier(name: string): Sql {
  if (!IDENTIFIER.test(name)) throw new TelescopeError('INTERNAL', `identifier "${name}" is not a plain name`)
  return trusted(name)
}

/** A quoted text, for the few places where DuckDB takes no bound value: COPY … TO and SET. */
export function literal(text: string): Sql {
  return trusted(`'${text.replaceAll("'", "''")}'`)
}

/** A whole number as text, for options of COPY. */
export function whole(value: number): Sql {
  if (!Number.isSafeInteger(value)) throw new TelescopeError('INTERNAL', `number ${value} is not whole`)
  return trusted(String(value))
}

/** Names of the physical columns of a table, separated by commas. */
export function columnNames(columns: readonly PhysicalColumn[]): Sql {
  return join(
    columns.map(column => identifier(column.name)),
    ', ',
  )
}

/** `name TYPE [NOT NULL], …` for CREATE TABLE. */
export function columnDefinitions(table: Table): Sql {
  return trusted(duckdbColumns(table))
}

/** `name TYPE` of one column. */
export function columnType(column: PhysicalColumn): Sql {
  return sql`${identifier(column.name)} ${trusted(duckdbType(column.type))}`
}

/** The type of a column, for casts. */
export function typeName(type: PhysicalColumn['type']): Sql {
  return trusted(duckdbType(type))
}

/** Text with `$1`, `$2` … in place of the values; each is cast, so that a null has its type, too. */
export function renderSql(query: Sql): string {
  return query.pieces.reduce((text, piece, index) => {
    const { type, list } = query.values[index - 1]!
    return `${text}$${index}::${type === 'int64' ? 'BIGINT' : duckdbType(type)}${list ? '[]' : ''}${piece}`
  })
}
