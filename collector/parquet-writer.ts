import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import type { PhysicalColumn } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { fileError } from './durable-file.ts'
import type { ColumnArray } from './flow-columns.ts'
import { encodeThrift, type ThriftStruct, type ThriftValue, writeVarint } from './thrift-compact.ts'

/**
 * Parquet (format 2.x, parquet.thrift) for numbers without nulls, as fast as bytes can be copied: not compressed, a page a
 * column of a row group. Where one value fills a column of a group it is written once; where all values fit eight bits
 * they are places in a dictionary of all 256 of them, so that a byte each is what the page holds; the rest is plain.
 */

const MAGIC = new TextEncoder().encode('PAR1')

const INT32 = 1
const INT64 = 2
const BYTE_ARRAY = 6
const PLAIN = 0
const RLE = 3
const RLE_DICTIONARY = 8
const UNCOMPRESSED = 0
const REQUIRED = 0
const DATA_PAGE = 0
const DICTIONARY_PAGE = 2

/** ConvertedType, which says how the physical type is to be read. */
const TYPES: Partial<Record<PhysicalColumn['type'], { readonly physical: number; readonly converted: number }>> = {
  uint8: { physical: INT32, converted: 11 },
  uint16: { physical: INT32, converted: 12 },
  uint32: { physical: INT32, converted: 13 },
  uint64: { physical: INT64, converted: 14 },
  bits64: { physical: INT64, converted: 14 },
  timestamp_us: { physical: INT64, converted: 10 },
}

const TEXT = { physical: BYTE_ARRAY, converted: 0 }

/** A column that holds one value in all rows. */
interface ConstantColumn {
  readonly name: string
  readonly type: 'text' | 'uint16' | 'uint32'
  readonly value: string | number
}

/** All values of eight bits, in order, as 32 and as 64 bits. */
const BYTES_AS_32 = bytesOf(Uint32Array.from({ length: 256 }, (_, value) => value))
const BYTES_AS_64 = bytesOf(BigUint64Array.from({ length: 256 }, (_, value) => BigInt(value)))

interface ColumnChunk {
  readonly dictionaryOffset: number | null
  readonly dataOffset: number
  readonly byteCount: number
  readonly encodings: readonly number[]
}

interface RowGroup {
  readonly rowCount: number
  readonly chunks: readonly ColumnChunk[]
}

/** Writes one file; not durable, since whoever reads it can have it made again. */
export class ParquetWriter {
  readonly path: string
  /** Of all columns, the constant ones last. */
  readonly #types: readonly { readonly name: string; readonly physical: number; readonly converted: number }[]
  /** The value of each constant column as a dictionary page holds it. */
  readonly #constants: readonly Uint8Array[]
  readonly #descriptor: number
  readonly #groups: RowGroup[] = []
  #offset = 0

  /**
   * @param constants columns that stand behind the others and need not be written
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  constructor(
    path: string,
    columns: readonly Pick<PhysicalColumn, 'name' | 'type'>[],
    constants: readonly ConstantColumn[] = [],
  ) {
    this.path = path
    const numbers = columns.map(({ name, type }) => {
      const known = TYPES[type]
      if (!known) throw new TelescopeError('INTERNAL', `column ${name}: the writer of Parquet knows no ${type}`)
      return { name, ...known }
    })
    this.#types = [...numbers, ...constants.map(({ name, type }) => ({ name, ...(TYPES[type] ?? TEXT) }))]
    this.#constants = constants.map(({ value }) => plainValue(value))
    try {
      this.#descriptor = openSync(path, 'wx', 0o600)
    } catch (error) {
      throw fileError(error, path)
    }
    this.#write([MAGIC])
  }

  /**
   * Writes the first `rowCount` values of each column as a row group; the arrays may be reused afterwards.
   * @param values in the order of the columns
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  writeRows(values: readonly ColumnArray[], rowCount: number): void {
    if (rowCount === 0) return
    const chunks = values.map(column => this.#writeColumn(column, rowCount))
    for (const value of this.#constants) chunks.push(this.#writeDictionary(value, 1, [oneRun(rowCount)], rowCount))
    this.#groups.push({ rowCount, chunks })
  }

  /** Bytes written so far. */
  get byteCount(): number {
    return this.#offset
  }

  /** @throws OUTPUT_UNWRITABLE, DISK_FULL */
  finish(): void {
    const metadata = encodeThrift(this.#metadata())
    this.#write([metadata, bytesOf(Uint32Array.of(metadata.length)), MAGIC])
    closeSync(this.#descriptor)
  }

  /** Removes what was written. */
  discard(): void {
    try {
      closeSync(this.#descriptor)
    } catch {
      // It is closed already when the error came after closing.
    }
    rmSync(this.path, { force: true })
  }

  #writeColumn(values: ColumnArray, rowCount: number): ColumnChunk {
    const rows = values.subarray(0, rowCount)
    const isConstant = isOneValue(rows)
    const places = isConstant ? null : asBytes(rows)
    if (places === null && !isConstant) {
      const start = this.#offset
      const page = plain(rows)
      this.#write([pageHeader(rowCount, page.length, PLAIN), page])
      return { dictionaryOffset: null, dataOffset: start, byteCount: this.#offset - start, encodings: [PLAIN, RLE] }
    }
    return places === null
      ? this.#writeDictionary(plain(rows.subarray(0, 1)), 1, [oneRun(rowCount)], rowCount)
      : this.#writeDictionary(allBytes(rows), 256, bitPacked(places), rowCount)
  }

  /** @param pieces of the page of places in the dictionary */
  #writeDictionary(
    dictionary: Uint8Array,
    valueCount: number,
    pieces: readonly Uint8Array[],
    rowCount: number,
  ): ColumnChunk {
    const start = this.#offset
    this.#write([dictionaryHeader(valueCount, dictionary.length), dictionary])
    const dataOffset = this.#offset
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    this.#write([pageHeader(rowCount, length, RLE_DICTIONARY), ...pieces])
    const encodings = [PLAIN, RLE, RLE_DICTIONARY]
    return { dictionaryOffset: start, dataOffset, byteCount: this.#offset - start, encodings }
  }

  #metadata(): ThriftStruct {
    const schema: ThriftValue[] = [
      {
        struct: [
          [4, { text: 'rows' }],
          [5, { i32: this.#types.length }],
        ],
      },
    ]
    for (const { name, physical, converted } of this.#types) {
      schema.push({
        struct: [
          [1, { i32: physical }],
          [3, { i32: REQUIRED }],
          [4, { text: name }],
          [6, { i32: converted }],
        ],
      })
    }
    return [
      [1, { i32: 1 }],
      [2, { list: schema }],
      [3, { i64: this.#groups.reduce((sum, { rowCount }) => sum + rowCount, 0) }],
      [4, { list: this.#groups.map(group => this.#rowGroup(group)) }],
      [6, { text: 'hirundo' }],
    ]
  }

  #rowGroup({ rowCount, chunks }: RowGroup): ThriftValue {
    const columns = chunks.map(({ dictionaryOffset, dataOffset, byteCount, encodings }, index): ThriftValue => {
      const { name, physical } = this.#types[index]!
      const metadata: ThriftStruct = [
        [1, { i32: physical }],
        [2, { list: encodings.map(encoding => ({ i32: encoding })) }],
        [3, { list: [{ text: name }] }],
        [4, { i32: UNCOMPRESSED }],
        [5, { i64: rowCount }],
        [6, { i64: byteCount }],
        [7, { i64: byteCount }],
        [9, { i64: dataOffset }],
        ...(dictionaryOffset === null ? [] : [[11, { i64: dictionaryOffset }] as const]),
      ]
      return {
        struct: [
          [2, { i64: dictionaryOffset ?? dataOffset }],
          [3, { struct: metadata }],
        ],
      }
    })
    const byteCount = chunks.reduce((sum, chunk) => sum + chunk.byteCount, 0)
    return {
      struct: [
        [1, { list: columns }],
        [2, { i64: byteCount }],
        [3, { i64: rowCount }],
      ],
    }
  }

  #write(pieces: readonly Uint8Array[]): void {
    try {
      for (const bytes of pieces) {
        // A write may be short, for instance when the disk is nearly full.
        for (let written = 0; written < bytes.length; ) written += writeSync(this.#descriptor, bytes, written)
        this.#offset += bytes.length
      }
    } catch (error) {
      throw fileError(error, this.path)
    }
  }
}

function bytesOf(values: ColumnArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** In words of 32 bits where values are wider, because a bigint each is what would cost most. */
function isOneValue(values: ColumnArray): boolean {
  if (values instanceof BigUint64Array || values instanceof BigInt64Array) {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length * 2)
    return repeats(words, 2)
  }
  return repeats(values, 1)
}

function repeats(values: Uint8Array | Uint16Array | Uint32Array, period: number): boolean {
  for (let index = period; index < values.length; index++) if (values[index] !== values[index - period]) return false
  return true
}

function allBytes(values: ColumnArray): Uint8Array {
  return values.BYTES_PER_ELEMENT === 8 ? BYTES_AS_64 : BYTES_AS_32
}

/** The values as a byte each; null when one needs more. */
function asBytes(values: ColumnArray): Uint8Array | null {
  if (values instanceof Uint8Array) return values
  const bytes = new Uint8Array(values.length)
  if (values instanceof BigUint64Array || values instanceof BigInt64Array) {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length * 2)
    for (let row = 0; row < bytes.length; row++) {
      const value = words[2 * row]!
      if (value > 255 || words[2 * row + 1] !== 0) return null
      bytes[row] = value
    }
    return bytes
  }
  for (let row = 0; row < bytes.length; row++) {
    const value = values[row]!
    if (value > 255) return null
    bytes[row] = value
  }
  return bytes
}

/** Values of eight and sixteen bits are stored as 32. */
function plain(values: ColumnArray): Uint8Array {
  return bytesOf(values instanceof Uint8Array || values instanceof Uint16Array ? Uint32Array.from(values) : values)
}

/** One value as PLAIN has it: text with its length before it, a number in 32 bits. */
function plainValue(value: string | number): Uint8Array {
  if (typeof value === 'number') return bytesOf(Uint32Array.of(value))
  const text = new TextEncoder().encode(value)
  const bytes = new Uint8Array(4 + text.length)
  new DataView(bytes.buffer).setUint32(0, text.length, true)
  bytes.set(text, 4)
  return bytes
}

function pageHeader(rowCount: number, length: number, encoding: number): Uint8Array {
  const data: ThriftStruct = [
    [1, { i32: rowCount }],
    [2, { i32: encoding }],
    [3, { i32: RLE }],
    [4, { i32: RLE }],
  ]
  return encodeThrift([
    [1, { i32: DATA_PAGE }],
    [2, { i32: length }],
    [3, { i32: length }],
    [5, { struct: data }],
  ])
}

function dictionaryHeader(valueCount: number, length: number): Uint8Array {
  const dictionary: ThriftStruct = [
    [1, { i32: valueCount }],
    [2, { i32: PLAIN }],
  ]
  return encodeThrift([
    [1, { i32: DICTIONARY_PAGE }],
    [2, { i32: length }],
    [3, { i32: length }],
    [7, { struct: dictionary }],
  ])
}

/** Places of one bit each, all 0, as one run. */
function oneRun(rowCount: number): Uint8Array {
  const bytes = [1]
  writeVarint(bytes, rowCount * 2)
  bytes.push(0)
  return Uint8Array.from(bytes)
}

/** Places of eight bits each, in groups of eight; the last group is filled up. */
function bitPacked(places: Uint8Array): Uint8Array[] {
  const groups = Math.ceil(places.length / 8)
  const head = [8]
  writeVarint(head, groups * 2 + 1)
  return [Uint8Array.from(head), places, new Uint8Array(groups * 8 - places.length)]
}
