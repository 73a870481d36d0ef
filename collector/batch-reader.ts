import { BATCH_METADATA_KEY, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW } from '../schemas/flow.ts'
import { decodeLz4FrameInto } from '../schemas/lz4-frame.ts'
import { FlatTable } from './flatbuffer.ts'

/**
 * Reads a batch that came from outside: an Arrow IPC stream that may only be what FLOW says, so that a small reader of
 * our own can hold every length against what must be there. The ordinary library believes the lengths in a stream: a
 * few changed bytes make it loop for hours.
 *
 * Field numbers are those of Message.fbs and Schema.fbs of the Arrow format.
 * @see https://arrow.apache.org/docs/format/Columnar.html
 */

const CONTINUATION = 0xffff_ffff
const MESSAGE = { headerType: 1, header: 2, bodyLength: 3 } as const
const HEADER_SCHEMA = 1
const HEADER_RECORD_BATCH = 3
const SCHEMA = { endianness: 0, fields: 1, metadata: 2 } as const
const FIELD = { name: 0, nullable: 1, typeType: 2, type: 3, dictionary: 4, children: 5 } as const
const KEY_VALUE = { key: 0, value: 1 } as const
const RECORD_BATCH = { length: 0, nodes: 1, buffers: 2, compression: 3 } as const
const COMPRESSION = { codec: 0, method: 1 } as const
const CODEC_LZ4_FRAME = 0
const LENGTH_PREFIX_BYTES = 8
const NOT_COMPRESSED = -1n
/** Some writers compress a buffer with its padding. */
const PADDING_BYTES_MAX = 63
const TYPE_INT = 2
const TYPE_TIMESTAMP = 10
const INT = { bitWidth: 0, isSigned: 1 } as const
const TIMESTAMP = { unit: 0, timezone: 1 } as const
const UNIT_MICROSECOND = 2
/** Entries of the schema's metadata that are looked at. */
const METADATA_ENTRIES_MAX = 16
/** Ten thousand spans, which is what may be in it, take a million bytes. */
const METADATA_BYTES_MAX = 2 * 1024 * 1024

const COLUMNS = physicalColumns(FLOW)
const BIT_WIDTHS: Partial<Record<PhysicalColumn['type'], number>> = {
  uint8: 8,
  uint16: 16,
  uint32: 32,
  uint64: 64,
  bits64: 64,
  timestamp_us: 64,
}

/** A record batch: the bytes of each column of FLOW, in order. */
interface ReadRows {
  readonly rowCount: number
  readonly columns: readonly Uint8Array[]
}

/** Bytes of a value of a column. */
export function valueBytes(type: PhysicalColumn['type']): number {
  return BIT_WIDTHS[type]! / 8
}

export class BatchReader {
  /** The JSON text under BATCH_METADATA_KEY; undefined when there is none. */
  readonly metadata: string | undefined
  #bytes: Uint8Array
  #position = 0
  /** Room to decompress a column each, used again: the bytes of a small stream can name very many rows. */
  readonly #rooms: Uint8Array[] = []

  /** @throws BATCH_INVALID, here and in `next`, when the stream is not complete or not of FLOW's columns */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    const message = this.#message()
    this.metadata = checked(() => {
      if (message === null || message.uint8(MESSAGE.headerType) !== HEADER_SCHEMA) invalid('no schema at its start')
      const schema = message.table(MESSAGE.header)
      if (schema === null) invalid('its schema is empty')
      checkSchema(schema)
      return metadataText(schema)
    })
  }

  /** The next record batch; null at the end. Its columns are good until the next call. */
  next(): ReadRows | null {
    const message = this.#message()
    if (message === null) return null
    return checked(() => {
      if (message.uint8(MESSAGE.headerType) !== HEADER_RECORD_BATCH) invalid('a message that is no record batch')
      const bodyLength = message.int64(MESSAGE.bodyLength)
      if (bodyLength > this.#bytes.length - this.#position) invalid('it ends within a record batch')
      const body = this.#bytes.subarray(this.#position, this.#position + bodyLength)
      this.#position += bodyLength
      const batch = message.table(MESSAGE.header)
      if (batch === null) invalid('an empty record batch')
      return readRows(batch, body, this.#rooms)
    })
  }

  /** Takes the metadata of the next message; null at the end of the stream. */
  #message(): FlatTable | null {
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength)
    if (this.#bytes.length - this.#position < 8) invalid('it ends without the mark of its end')
    if (view.getUint32(this.#position, true) !== CONTINUATION) invalid('no message where one must begin')
    const length = view.getUint32(this.#position + 4, true)
    this.#position += 8
    if (length === 0) return null
    if (length > this.#bytes.length - this.#position) invalid('it ends within a message')
    const metadata = this.#bytes.subarray(this.#position, this.#position + length)
    this.#position += length
    return checked(() => FlatTable.root(metadata))
  }
}

function checkSchema(schema: FlatTable): void {
  if (schema.int16(SCHEMA.endianness) !== 0) invalid('it is big-endian')
  const count = schema.count(SCHEMA.fields)
  if (count !== COLUMNS.length) invalid(`${count} columns, this schema version has ${COLUMNS.length}`)
  for (const [index, column] of COLUMNS.entries()) {
    const field = schema.tableAt(SCHEMA.fields, index)
    const isSame = field.text(FIELD.name) === column.name && hasType(field, column.type)
    if (
      !isSame ||
      field.uint8(FIELD.nullable) !== 0 ||
      field.has(FIELD.dictionary) ||
      field.count(FIELD.children) > 0
    ) {
      invalid(`column ${index + 1} is not ${column.name}, ${column.type}, without nulls`)
    }
  }
}

function hasType(field: FlatTable, type: PhysicalColumn['type']): boolean {
  const details = field.table(FIELD.type)
  if (details === null) return false
  if (type === 'timestamp_us') {
    return (
      field.uint8(FIELD.typeType) === TYPE_TIMESTAMP &&
      details.int16(TIMESTAMP.unit) === UNIT_MICROSECOND &&
      details.text(TIMESTAMP.timezone) === 'UTC'
    )
  }
  return (
    field.uint8(FIELD.typeType) === TYPE_INT &&
    details.int32(INT.bitWidth) === BIT_WIDTHS[type] &&
    details.uint8(INT.isSigned) === 0
  )
}

function metadataText(schema: FlatTable): string | undefined {
  const count = Math.min(schema.count(SCHEMA.metadata), METADATA_ENTRIES_MAX)
  for (let index = 0; index < count; index++) {
    const entry = schema.tableAt(SCHEMA.metadata, index)
    if (entry.text(KEY_VALUE.key) === BATCH_METADATA_KEY)
      return entry.text(KEY_VALUE.value, METADATA_BYTES_MAX) ?? undefined
  }
  return undefined
}

function readRows(batch: FlatTable, body: Uint8Array, rooms: Uint8Array[]): ReadRows {
  const rowCount = batch.int64(RECORD_BATCH.length)
  if (rowCount > FLOWS_PER_RECORD_BATCH) {
    invalid(`a record batch of ${rowCount} rows, at most ${FLOWS_PER_RECORD_BATCH} are read; cut it`)
  }
  const isCompressed = isBodyCompressed(batch)
  if (batch.count(RECORD_BATCH.nodes) !== COLUMNS.length || batch.count(RECORD_BATCH.buffers) !== COLUMNS.length * 2) {
    invalid('a record batch that does not have the columns of its schema')
  }
  const columns = COLUMNS.map(({ name, type }, index) => {
    const [length, nullCount] = batch.pairAt(RECORD_BATCH.nodes, index)
    if (length !== rowCount || nullCount !== 0) invalid(`column ${name} has nulls, or not the rows of its record batch`)
    // Each column has a buffer that says which values are null, which does not matter here, and one of values.
    const [offset, byteCount] = batch.pairAt(RECORD_BATCH.buffers, index * 2 + 1)
    if (offset + byteCount > body.length) invalid(`column ${name} reaches beyond its record batch`)
    const needed = rowCount * valueBytes(type)
    const buffer = body.subarray(offset, offset + byteCount)
    const room = (byteCount: number): Uint8Array => {
      if ((rooms[index]?.length ?? 0) < byteCount) rooms[index] = new Uint8Array(byteCount)
      return rooms[index]!.subarray(0, byteCount)
    }
    const values = isCompressed ? decompress(buffer, needed, name, room) : buffer
    if (values.length < needed) invalid(`column ${name} has fewer values than its record batch has rows`)
    return values.subarray(0, needed)
  })
  return { rowCount, columns }
}

/** Only what our own writer uses: buffers one by one as LZ4 frames, or as they are. */
function isBodyCompressed(batch: FlatTable): boolean {
  if (!batch.has(RECORD_BATCH.compression)) return false
  const compression = batch.table(RECORD_BATCH.compression)
  if (compression?.uint8(COMPRESSION.codec) !== CODEC_LZ4_FRAME || compression.uint8(COMPRESSION.method) !== 0) {
    invalid('a record batch compressed otherwise than by LZ4 frames')
  }
  return true
}

/** A buffer of a compressed body has its length without compression in front, or -1 when it is not compressed. */
function decompress(
  buffer: Uint8Array,
  needed: number,
  name: string,
  room: (byteCount: number) => Uint8Array,
): Uint8Array {
  if (buffer.length === 0) return buffer
  const length = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength).getBigInt64(0, true)
  const content = buffer.subarray(LENGTH_PREFIX_BYTES)
  if (length === NOT_COMPRESSED) return content
  const values =
    length < needed || length > needed + PADDING_BYTES_MAX ? null : decodeLz4FrameInto(content, room(Number(length)))
  if (values === null || values.length !== Number(length))
    invalid(`column ${name} does not decompress to its ${needed} bytes`)
  return values
}

/** A buffer that contradicts itself is an error of the input. */
function checked<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof RangeError) invalid('a message in it contradicts itself')
    throw error
  }
}

function invalid(what: string): never {
  throw new TelescopeError('BATCH_INVALID', `batch: not a complete Arrow stream of flows: ${what}`)
}
