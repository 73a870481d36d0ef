import type { DataType, Schema } from 'apache-arrow'
import { type PhysicalColumn, physicalColumns, type Table } from '../schemas/column.ts'
import { arrow } from './arrow.ts'

const ARROW_TYPES: Readonly<Record<PhysicalColumn['type'], () => DataType>> = {
  uint8: () => new arrow.Uint8(),
  uint16: () => new arrow.Uint16(),
  uint32: () => new arrow.Uint32(),
  uint64: () => new arrow.Uint64(),
  bits64: () => new arrow.Uint64(),
  float64: () => new arrow.Float64(),
  boolean: () => new arrow.Bool(),
  text: () => new arrow.Utf8(),
  timestamp_us: () => new arrow.TimestampMicrosecond('UTC'),
  json: () => new arrow.Utf8(),
}

/** The Arrow schema of a table of ours; an address becomes its two 64-bit columns. */
export function arrowSchema(table: Table, metadata: ReadonlyMap<string, string> = new Map()): Schema {
  const fields = physicalColumns(table).map(
    ({ name, type, nullable }) => new arrow.Field(name, ARROW_TYPES[type](), nullable),
  )
  return new arrow.Schema(fields, new Map(metadata))
}
