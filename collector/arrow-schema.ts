import {
  Bool,
  type DataType,
  Field,
  Float64,
  Schema,
  TimestampMicrosecond,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow'
import { type PhysicalColumn, physicalColumns, type Table } from '../schemas/column.ts'

const ARROW_TYPES: Readonly<Record<PhysicalColumn['type'], () => DataType>> = {
  uint8: () => new Uint8(),
  uint16: () => new Uint16(),
  uint32: () => new Uint32(),
  uint64: () => new Uint64(),
  bits64: () => new Uint64(),
  float64: () => new Float64(),
  boolean: () => new Bool(),
  text: () => new Utf8(),
  timestamp_us: () => new TimestampMicrosecond('UTC'),
  json: () => new Utf8(),
}

/** The Arrow schema of a table of ours; an address becomes its two 64-bit columns. */
export function arrowSchema(table: Table, metadata: ReadonlyMap<string, string> = new Map()): Schema {
  const fields = physicalColumns(table).map(
    ({ name, type, nullable }) => new Field(name, ARROW_TYPES[type](), nullable),
  )
  return new Schema(fields, new Map(metadata))
}
