import { FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { SOURCE_HOUR, TRAFFIC_HOUR } from '../schemas/rollup.ts'
import { HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { type ColumnArray, type FlowColumn, newColumn } from './flow-columns.ts'
import { KeyedSums } from './keyed-sums.ts'

/**
 * The hourly sums of the flows of one batch, with the columns of SOURCE_HOUR and TRAFFIC_HOUR but the sensor, which is
 * the same for all. The engine of the hub can sum them, too, and does where it makes a day anew; a table that knows the
 * keys takes a tenth of the time.
 */

const WORD = 2 ** 32
/** The bit of a service that says IPv6. */
const VERSION_6 = 0x8000_0000
const HOUR = HOUR_SECONDS * MICROSECONDS
/** What is summed in 32 bits, which a batch cannot exceed: packets first, then those of each tool. */
const COUNT_COLUMNS = Object.entries(SOURCE_HOUR)
  .filter(([name, { role }]) => role === 'measure' && name !== 'byte_count')
  .map(([name]) => name)

/** Words of a key: hour since 1970, service, and for sources the address from its highest word on. */
const SERVICE_WORDS = 2
const SOURCE_WORDS = 6
/** Counts of a key: packets, and for sources all. */
const SERVICE_COUNTS = 1
const SOURCE_COUNTS = COUNT_COLUMNS.length

/** A record batch's worth of rows of a table of sums, in the order of `sumColumns`. */
interface SumRows {
  readonly columns: readonly ColumnArray[]
  readonly rowCount: number
}

/** The columns of a table of sums as a file holds them. */
export function sumColumns(table: Table): PhysicalColumn[] {
  return physicalColumns(table).filter(({ name }) => name !== 'sensor')
}

export class HourSums {
  readonly #sources: KeyedSums
  /** Of each flow of the part at hand, the row of its key. */
  readonly #rows: Uint32Array

  /** @param flowsMax flows that are added in all */
  constructor(flowsMax: number) {
    // One more, where the key that is looked for stands.
    this.#sources = new KeyedSums(SOURCE_WORDS, SOURCE_COUNTS, flowsMax + 1)
    this.#rows = new Uint32Array(Math.min(flowsMax, FLOWS_PER_RECORD_BATCH))
  }

  /** Adds flows: the first `rowCount` values of the columns of FLOW. */
  add(columns: readonly FlowColumn[], rowCount: number): void {
    const byName = new Map(columns.map(({ name, values }) => [name, values]))
    this.#findRows(byName, rowCount)
    const rows = this.#rows
    const { bytes, counts } = this.#sources
    const byteCounts = byName.get('byte_count') as Uint32Array
    for (let flow = 0; flow < rowCount; flow++) bytes[rows[flow]!]! += byteCounts[flow]!
    for (const [place, name] of COUNT_COLUMNS.entries()) {
      addCounts(counts, place, rows, byName.get(name) as Uint8Array, rowCount)
    }
  }

  #findRows(byName: ReadonlyMap<string, ColumnArray>, rowCount: number): void {
    const words = (name: string): Uint32Array => {
      const { buffer, byteOffset, length } = byName.get(name)!
      return new Uint32Array(buffer, byteOffset, length * 2)
    }
    const intervals = words('interval_start')
    const [high, low] = [words('src_addr_high'), words('src_addr_low')]
    const version = byName.get('ip_version') as Uint8Array
    const protocol = byName.get('protocol') as Uint8Array
    const trafficClass = byName.get('class') as Uint8Array
    const port = byName.get('service_port') as Uint16Array
    const sums = this.#sources
    const { keys } = sums
    for (let flow = 0; flow < rowCount; flow++) {
      const key = sums.size * SOURCE_WORDS
      keys[key] = (intervals[2 * flow + 1]! * WORD + intervals[2 * flow]!) / HOUR
      keys[key + 1] =
        ((version[flow] === 6 ? VERSION_6 : 0) |
          (trafficClass[flow]! << 24) |
          (protocol[flow]! << 16) |
          port[flow]!) >>>
        0
      keys[key + 2] = high[2 * flow + 1]!
      keys[key + 3] = high[2 * flow]!
      keys[key + 4] = low[2 * flow + 1]!
      keys[key + 5] = low[2 * flow]!
      this.#rows[flow] = sums.find()
    }
  }

  /** Rows of SOURCE_HOUR, in the order in which their keys came; each part is valid until the next is asked for. */
  sources(): Generator<SumRows> {
    return rowsOf(SOURCE_HOUR, this.#sources)
  }

  /** Rows of TRAFFIC_HOUR, likewise. */
  traffic(): Generator<SumRows> {
    const { keys, counts, bytes, size } = this.#sources
    const services = new KeyedSums(SERVICE_WORDS, SERVICE_COUNTS, size + 1)
    for (let row = 0; row < size; row++) {
      const key = services.size * SERVICE_WORDS
      services.keys[key] = keys[row * SOURCE_WORDS]!
      services.keys[key + 1] = keys[row * SOURCE_WORDS + 1]!
      const target = services.find()
      services.counts[target]! += counts[row * SOURCE_COUNTS]!
      services.bytes[target]! += bytes[row]!
    }
    return rowsOf(TRAFFIC_HOUR, services)
  }
}

function addCounts(counts: Uint32Array, place: number, rows: Uint32Array, values: Uint8Array, rowCount: number): void {
  for (let flow = 0; flow < rowCount; flow++) {
    const value = values[flow]!
    // Most flows bear the sign of no tool.
    if (value !== 0) counts[rows[flow]! * SOURCE_COUNTS + place]! += value
  }
}

function* rowsOf(table: Table, sums: KeyedSums): Generator<SumRows> {
  const columns = sumColumns(table).map(column => ({
    name: column.name,
    values: newColumn(column, Math.min(sums.size, FLOWS_PER_RECORD_BATCH)),
  }))
  for (let first = 0; first < sums.size; first += FLOWS_PER_RECORD_BATCH) {
    const rowCount = Math.min(sums.size - first, FLOWS_PER_RECORD_BATCH)
    for (const { name, values } of columns) fill(name, values, sums, first, rowCount)
    yield { columns: columns.map(({ values }) => values), rowCount }
  }
}

function fill(name: string, target: ColumnArray, sums: KeyedSums, first: number, rowCount: number): void {
  const { keys, counts, bytes, keyWords, countWords } = sums
  const key = first * keyWords
  const words = target.BYTES_PER_ELEMENT === 8 ? new Uint32Array(target.buffer) : (target as Uint32Array)
  switch (name) {
    case 'bucket_start':
      for (let row = 0; row < rowCount; row++) setWide(words, row, keys[key + row * keyWords]! * HOUR)
      return
    case 'ip_version':
      for (let row = 0; row < rowCount; row++) words[row] = keys[key + row * keyWords + 1]! >= VERSION_6 ? 6 : 4
      return
    case 'class':
      for (let row = 0; row < rowCount; row++) words[row] = (keys[key + row * keyWords + 1]! >>> 24) & 0x7f
      return
    case 'protocol':
      for (let row = 0; row < rowCount; row++) words[row] = (keys[key + row * keyWords + 1]! >>> 16) & 0xff
      return
    case 'service_port':
      for (let row = 0; row < rowCount; row++) words[row] = keys[key + row * keyWords + 1]! & 0xffff
      return
    case 'src_addr_high':
    case 'src_addr_low': {
      const upper = key + (name === 'src_addr_high' ? 2 : 4)
      for (let row = 0; row < rowCount; row++) {
        words[2 * row] = keys[upper + row * keyWords + 1]!
        words[2 * row + 1] = keys[upper + row * keyWords]!
      }
      return
    }
    case 'byte_count':
      for (let row = 0; row < rowCount; row++) setWide(words, row, bytes[first + row]!)
      return
    default: {
      const place = COUNT_COLUMNS.indexOf(name)
      if (place < 0) throw new TelescopeError('INTERNAL', `column ${name}: nothing is summed for it`)
      // The lower half of a wide one; the upper stays 0.
      const step = target.BYTES_PER_ELEMENT / 4
      for (let row = 0; row < rowCount; row++) words[row * step] = counts[(first + row) * countWords + place]!
    }
  }
}

/** A whole number below 2^53 as 64 bits. */
function setWide(words: Uint32Array, row: number, value: number): void {
  words[2 * row] = value % WORD
  words[2 * row + 1] = Math.floor(value / WORD)
}
