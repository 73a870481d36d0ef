import { FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW } from '../schemas/flow.ts'

/** The columns of FLOW as typed arrays, in the order of FLOW: what the writer of batches takes. */

export type ColumnArray = Uint8Array | Uint16Array | Uint32Array | BigUint64Array | BigInt64Array
type ColumnArrayType = new (length: number) => ColumnArray

export interface FlowColumn {
  readonly name: string
  readonly type: PhysicalColumn['type']
  /** At least as many values as rows. */
  readonly values: ColumnArray
}

const ARRAY_TYPES: Partial<Record<PhysicalColumn['type'], ColumnArrayType>> = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bits64: BigUint64Array,
  timestamp_us: BigInt64Array,
}

const COLUMNS = physicalColumns(FLOW)

/** The array that holds a type of FLOW's columns. */
function arrayType({ name, type }: PhysicalColumn): ColumnArrayType {
  const found = ARRAY_TYPES[type]
  if (!found) throw new TelescopeError('INTERNAL', `column ${name}: a flow cannot hold ${type}`)
  return found
}

/** Read by everyone, written by nobody: a record batch's worth of the widest zeros. */
export const ZEROS = new ArrayBuffer(FLOWS_PER_RECORD_BATCH * 8)

/** FLOWS_PER_RECORD_BATCH zeros, for a column that no row fills. */
export function zeros<T extends ColumnArray>(type: new (buffer: ArrayBuffer, offset: number, length: number) => T): T {
  return new type(ZEROS, 0, FLOWS_PER_RECORD_BATCH)
}

/**
 * The columns in the order of FLOW.
 * @throws INTERNAL when a column of FLOW has no values or values of another type, or values have no column
 */
export function orderedColumns(values: Readonly<Record<string, ColumnArray>>): readonly FlowColumn[] {
  const columns = COLUMNS.map((column): FlowColumn => {
    const found = values[column.name]
    if (!(found instanceof arrayType(column))) {
      throw new TelescopeError('INTERNAL', `column ${column.name}: nothing fills it with ${column.type}`)
    }
    return { name: column.name, type: column.type, values: found }
  })
  if (columns.length !== Object.keys(values).length) {
    throw new TelescopeError('INTERNAL', 'columns: some are filled that FLOW does not have')
  }
  return columns
}

/** Zeros of the type of a column. */
export function newColumn(column: PhysicalColumn, length = FLOWS_PER_RECORD_BATCH): ColumnArray {
  return new (arrayType(column))(length)
}

/** New arrays for the columns of FLOW, for rows that come from outside. */
export function emptyColumns(): Readonly<Record<string, ColumnArray>> {
  return Object.fromEntries(COLUMNS.map(column => [column.name, newColumn(column)]))
}
