/**
 * One entry a column, one table a record: the Arrow schema, the DuckDB DDL, the JSON schema and type of the API and
 * the data dictionary derive from it. Adding a column is adding an entry (and the code that fills it).
 */

export type ColumnType =
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  /** 64 bits that are no quantity; `0x` and 16 hexadecimal digits in the API, since a JSON number cannot hold them. */
  | 'bits64'
  | 'float64'
  | 'boolean'
  | 'text'
  /** Microseconds since 1970, UTC. */
  | 'timestamp_us'
  /** 128 bits, IPv4 as IPv4-mapped; two uint64 columns `<name>_high` and `<name>_low` where data lies, text in the API. */
  | 'ip_addr'
  /** A small JSON document as text; an object in the API. */
  | 'json'

/** Who may see a column: everyone, members only, or nobody outside the hub. */
export type Sharing = 'public' | 'members' | 'withheld'

export interface Column {
  readonly type: ColumnType
  /** key: rows differ by it; measure: adds up or is computed; note: says something about the row. */
  readonly role: 'key' | 'measure' | 'note'
  readonly sharing: Sharing
  /** What it means, with unit, bounds and source. */
  readonly doc: string
  readonly nullable?: true
  /** Names of the values 0, 1, 2 …; the API and CSV show the name. */
  readonly names?: readonly string[]
}

export type Table = Readonly<Record<string, Column>>

/** A column as it lies in Arrow and DuckDB. */
export interface PhysicalColumn {
  readonly name: string
  readonly type: Exclude<ColumnType, 'ip_addr'>
  readonly nullable: boolean
}

/** The columns of a table as they lie in Arrow and DuckDB, in order. */
export function physicalColumns(table: Table): PhysicalColumn[] {
  return Object.entries(table).flatMap(([name, column]): PhysicalColumn[] => {
    const nullable = column.nullable === true
    const { type } = column
    if (type !== 'ip_addr') return [{ name, type, nullable }]
    return [
      { name: `${name}_high`, type: 'uint64', nullable },
      { name: `${name}_low`, type: 'uint64', nullable },
    ]
  })
}

const DUCKDB_TYPES: Record<PhysicalColumn['type'], string> = {
  uint8: 'UTINYINT',
  uint16: 'USMALLINT',
  uint32: 'UINTEGER',
  uint64: 'UBIGINT',
  bits64: 'UBIGINT',
  float64: 'DOUBLE',
  boolean: 'BOOLEAN',
  text: 'VARCHAR',
  timestamp_us: 'TIMESTAMP',
  json: 'VARCHAR',
}

/** The DuckDB type of a physical column. */
export function duckdbType(type: PhysicalColumn['type']): string {
  return DUCKDB_TYPES[type]
}

/** `CREATE TABLE` body: `name TYPE [NOT NULL], …`; names here are all plain identifiers. */
export function duckdbColumns(table: Table): string {
  return physicalColumns(table)
    .map(({ name, type, nullable }) => `${name} ${duckdbType(type)}${nullable ? '' : ' NOT NULL'}`)
    .join(', ')
}

/** JSON schema of one value as the API shows it. */
function columnJsonSchema(column: Column): Record<string, unknown> {
  const base = ((): Record<string, unknown> => {
    if (column.names) return { type: 'string', enum: [...column.names] }
    switch (column.type) {
      case 'boolean':
        return { type: 'boolean' }
      case 'text':
      case 'ip_addr':
      case 'bits64':
        return { type: 'string' }
      case 'timestamp_us':
        return { type: 'string', format: 'date-time' }
      case 'json':
        return { type: 'object', additionalProperties: true }
      case 'float64':
        return { type: 'number' }
      default:
        return { type: 'integer', minimum: 0 }
    }
  })()
  return { ...base, ...(column.nullable ? { nullable: true } : {}), description: column.doc }
}

/** JSON schema of a row; withheld columns are not in it, so that no answer can carry one. */
export function rowJsonSchema(table: Table): Record<string, unknown> {
  const shown = Object.entries(table).filter(([, column]) => column.sharing !== 'withheld')
  return {
    type: 'object',
    additionalProperties: false,
    required: shown.map(([name]) => name),
    properties: Object.fromEntries(shown.map(([name, column]) => [name, columnJsonSchema(column)])),
  }
}

type ColumnValue<C extends Column> = C extends { names: readonly (infer N)[] }
  ? N
  : C['type'] extends 'boolean'
    ? boolean
    : C['type'] extends 'text' | 'ip_addr' | 'bits64' | 'timestamp_us'
      ? string
      : C['type'] extends 'json'
        ? Record<string, unknown>
        : number

/** A row as the API shows it: times as ISO text, addresses as text, named values by name, nothing withheld. */
export type Row<T extends Table> = {
  -readonly [K in keyof T as T[K]['sharing'] extends 'withheld' ? never : K]: T[K] extends { nullable: true }
    ? ColumnValue<T[K]> | null
    : ColumnValue<T[K]>
}
