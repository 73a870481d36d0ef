import {
  type DuckDBAppender,
  DuckDBDataChunk,
  DuckDBTimestampValue,
  type DuckDBType,
  type DuckDBValue,
  type DuckDBVector,
} from '@duckdb/node-api'
import type { PhysicalColumn } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { duckdbDriverType, type Session } from './database.ts'

/**
 * Bulk append: columns go to DuckDB in its own chunks. Arrow's fixed-width buffers are the very bytes that DuckDB's
 * vectors hold, so a typed array is copied whole; everything else takes the slow way, value by value.
 */

export type FixedWidthArray = Uint8Array | Uint16Array | Uint32Array | BigUint64Array | BigInt64Array | Float64Array
export type ColumnValues = FixedWidthArray | readonly (string | number | bigint | boolean | null)[]

/** Rows in a chunk: the size of DuckDB's vectors, which it cannot exceed. */
const CHUNK_ROWS = 2048

const FIXED_WIDTH: Partial<Record<PhysicalColumn['type'], { readonly prototype: FixedWidthArray }>> = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bits64: BigUint64Array,
  float64: Float64Array,
  timestamp_us: BigInt64Array,
}

/** The typed array whose bytes are those of the column in DuckDB; undefined when there is none. */
function fixedWidthArray(type: PhysicalColumn['type']): { readonly prototype: FixedWidthArray } | undefined {
  return FIXED_WIDTH[type]
}

/** Appends to one table; rows are in the table when `close` has been called, under the transaction of the session. */
export class ColumnAppender {
  readonly #appender: DuckDBAppender
  readonly #columns: readonly PhysicalColumn[]
  readonly #types: readonly DuckDBType[]

  private constructor(appender: DuckDBAppender, columns: readonly PhysicalColumn[]) {
    this.#appender = appender
    this.#columns = columns
    this.#types = columns.map(({ type }) => duckdbDriverType(type))
  }

  /** @param columns all columns of the table, in its order */
  static async open(
    session: Session,
    table: { readonly name: string; readonly temporary: boolean },
    columns: readonly PhysicalColumn[],
  ): Promise<ColumnAppender> {
    const appender = await session.connection.createAppender(table.name, 'main', table.temporary ? 'temp' : null)
    return new ColumnAppender(appender, columns)
  }

  /**
   * Appends rows; the arrays may be reused afterwards.
   * @param values as many entries as the table has columns, each with at least `rowCount` values
   */
  append(values: readonly ColumnValues[], rowCount: number): void {
    for (let from = 0; from < rowCount; from += CHUNK_ROWS) {
      const until = Math.min(from + CHUNK_ROWS, rowCount)
      const chunk = DuckDBDataChunk.create(this.#types, until - from)
      this.#columns.forEach((column, index) => {
        const vector = chunk.getColumnVector(index)
        const source = values[index]!
        if (Array.isArray(source)) setItems(vector, column, source, from, until)
        else setBytes(vector, column, source as FixedWidthArray, from, until)
        vector.flush()
      })
      this.#appender.appendDataChunk(chunk)
    }
  }

  close(): void {
    this.#appender.closeSync()
  }
}

function setBytes(
  vector: DuckDBVector,
  column: PhysicalColumn,
  source: FixedWidthArray,
  from: number,
  until: number,
): void {
  const expected = fixedWidthArray(column.type)
  if (!expected || Object.getPrototypeOf(source) !== expected.prototype) {
    throw new TelescopeError(
      'INTERNAL',
      `column ${column.name}: ${source.constructor.name} does not hold ${column.type}`,
    )
  }
  // The driver keeps the view private, but it is what its own setItem writes to.
  const { items } = vector as unknown as { items: { set(values: FixedWidthArray): void } }
  items.set(source.subarray(from, until))
}

function setItems(
  vector: DuckDBVector,
  { type }: PhysicalColumn,
  source: readonly (string | number | bigint | boolean | null)[],
  from: number,
  until: number,
): void {
  for (let row = from; row < until; row++) {
    const value = source[row]!
    let item: DuckDBValue = value
    if (value !== null && type === 'timestamp_us') item = new DuckDBTimestampValue(BigInt(value))
    else if (value !== null && (type === 'uint64' || type === 'bits64')) item = BigInt(value)
    vector.setItem(row - from, item)
  }
}
