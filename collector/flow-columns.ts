import { FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW } from '../schemas/flow.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { SPOOF_BITS, TOOLS, toolColumn } from '../schemas/tool.ts'
import {
  HEADER_CLASS_SHIFT,
  HEADER_SLOT_SHIFT,
  HEADER_TTL_SHIFT,
  HEADER_VERSION_SHIFT,
  ROW_BYTES_HIGH,
  ROW_BYTES_LOW,
  ROW_DST_INDEX_HIGH,
  ROW_DST_INDEX_LOW,
  ROW_HEADER,
  ROW_INTERVAL,
  ROW_NOTES,
  ROW_PACKET_COUNT,
  ROW_PORTS,
  ROW_SIGNS,
  ROW_SRC,
  ROW_SYN_PROFILE_HIGH,
  ROW_SYN_PROFILE_LOW,
  ROW_TCP_FLAGS,
  ROW_VICTIM,
  ROW_WORDS,
  SIGN_COUNT,
  SIGN_FRAGMENT,
  SIGN_SPOOF_SHIFT,
} from './flow-row.ts'
import type { FlowTable } from './flow-table.ts'

/** The columns of FLOW as typed arrays for one record batch, and the code that fills them from the flow table. */

export type ColumnArray = Uint8Array | Uint16Array | Uint32Array | BigUint64Array | BigInt64Array

export interface FlowColumn {
  readonly name: string
  readonly type: PhysicalColumn['type']
  /** FLOWS_PER_RECORD_BATCH values, reused for every record batch. */
  readonly values: ColumnArray
}

/** Fresh arrays for all physical columns of FLOW, in their order. */
export function createFlowColumns(): FlowColumn[] {
  return physicalColumns(FLOW).map(({ name, type }) => ({ name, type, values: createValues(name, type) }))
}

function createValues(name: string, type: PhysicalColumn['type']): ColumnArray {
  switch (type) {
    case 'uint8':
      return new Uint8Array(FLOWS_PER_RECORD_BATCH)
    case 'uint16':
      return new Uint16Array(FLOWS_PER_RECORD_BATCH)
    case 'uint32':
      return new Uint32Array(FLOWS_PER_RECORD_BATCH)
    case 'uint64':
    case 'bits64':
      return new BigUint64Array(FLOWS_PER_RECORD_BATCH)
    case 'timestamp_us':
      return new BigInt64Array(FLOWS_PER_RECORD_BATCH)
    default:
      throw new TelescopeError('INTERNAL', `column ${name}: a flow cannot hold ${type}`)
  }
}

/** Rows to read: those with numbers [from, until) of a block of the flow table. */
interface RowRange {
  readonly words: Uint32Array
  readonly extras: Uint32Array
  from: number
  until: number
}
type Filler = (rows: RowRange) => void

/**
 * Rows filled before the next column's turn: 1 024 rows of 84 bytes stay in the processor's cache while all columns
 * read them.
 */
const STRIP_ROWS = 1024

/**
 * Makes the code that copies a block of the table into the columns.
 * @throws INTERNAL when a column of FLOW has no source, or a source has no column or the wrong type: at start, before
 *   any packet is read
 */
export function createFlowFiller(columns: readonly FlowColumn[]): (table: FlowTable, block: number) => number {
  const unused = new Set(Object.keys(SOURCES))
  const fillers = columns.map(({ name, type, values }): Filler => {
    const source = SOURCES[name]
    if (!source) throw new TelescopeError('INTERNAL', `column ${name}: nothing fills it`)
    unused.delete(name)
    const filler = source(values)
    if (!filler) throw new TelescopeError('INTERNAL', `column ${name}: its source does not give ${type}`)
    return filler
  })
  if (unused.size > 0) throw new TelescopeError('INTERNAL', `columns ${[...unused].join(', ')}: not in FLOW`)
  return (table, block) => {
    const found = table.block(block)
    if (!found) return 0
    const { words, rowCount } = found
    const rows: RowRange = { words, extras: table.extras, from: 0, until: 0 }
    for (; rows.from < rowCount; rows.from = rows.until) {
      rows.until = Math.min(rows.from + STRIP_ROWS, rowCount)
      for (const fill of fillers) fill(rows)
    }
    return rowCount
  }
}

/** Gives the filler for a column's array, or null when the array is of another type. */
type Source = (values: ColumnArray) => Filler | null

const SOURCES: Readonly<Record<string, Source>> = {
  interval_start: intervalStart,
  ip_version: byte(ROW_HEADER, HEADER_VERSION_SHIFT, 0xf),
  src_addr_high: pair(ROW_SRC, ROW_SRC + 1),
  src_addr_low: pair(ROW_SRC + 2, ROW_SRC + 3),
  dst_index: pair(ROW_DST_INDEX_HIGH, ROW_DST_INDEX_LOW),
  protocol: byte(ROW_HEADER, 0, 0xff),
  service_port: half(ROW_PORTS, 0),
  class: byte(ROW_HEADER, HEADER_CLASS_SHIFT, 0xf),
  tcp_flags: half(ROW_TCP_FLAGS, 0),
  ttl: byte(ROW_HEADER, HEADER_TTL_SHIFT, 0xff),
  syn_profile: pair(ROW_SYN_PROFILE_HIGH, ROW_SYN_PROFILE_LOW),
  victim_addr_high: pair(ROW_VICTIM, ROW_VICTIM + 1),
  victim_addr_low: pair(ROW_VICTIM + 2, ROW_VICTIM + 3),
  peer_port: half(ROW_PORTS, 16),
  slot: byte(ROW_HEADER, HEADER_SLOT_SHIFT, 0xf),
  packet_count: word(ROW_PACKET_COUNT),
  byte_count: pair(ROW_BYTES_HIGH, ROW_BYTES_LOW),
  first_second: byte(ROW_NOTES, 0, 0xff),
  duration_seconds: durationSeconds,
  ...Object.fromEntries(TOOLS.map((tool, index) => [toolColumn(tool.name), sign(index)])),
  ...Object.fromEntries(SPOOF_BITS.map(({ name }, index) => [`spoof_${name}_count`, sign(SIGN_SPOOF_SHIFT + index)])),
  fragment_count: sign(SIGN_FRAGMENT),
  src_port_sample: half(ROW_NOTES, 16),
}

function byte(word: number, shift: number, mask: number): Source {
  return values => {
    if (!(values instanceof Uint8Array)) return null
    return ({ words, from, until }) => {
      for (let row = from, at = from * ROW_WORDS + word; row < until; row++, at += ROW_WORDS) {
        values[row] = (words[at]! >>> shift) & mask
      }
    }
  }
}

function half(word: number, shift: number): Source {
  return values => {
    if (!(values instanceof Uint16Array)) return null
    return ({ words, from, until }) => {
      for (let row = from, at = from * ROW_WORDS + word; row < until; row++, at += ROW_WORDS) {
        values[row] = (words[at]! >>> shift) & 0xffff
      }
    }
  }
}

function word(word: number): Source {
  return values => {
    if (!(values instanceof Uint32Array)) return null
    return ({ words, from, until }) => {
      for (let row = from, at = from * ROW_WORDS + word; row < until; row++, at += ROW_WORDS) values[row] = words[at]!
    }
  }
}

/** 64 bits from two words, without a bigint a row. Arrow and all machines that Node runs on are little-endian. */
function pair(high: number, low: number): Source {
  return values => {
    if (!(values instanceof BigUint64Array)) return null
    const halves = new Uint32Array(values.buffer)
    return ({ words, from, until }) => {
      for (let row = from, at = from * ROW_WORDS; row < until; row++, at += ROW_WORDS) {
        halves[row * 2] = words[at + low]!
        halves[row * 2 + 1] = words[at + high]!
      }
    }
  }
}

function sign(bit: number): Source {
  return values => {
    if (!(values instanceof Uint32Array)) return null
    return ({ words, extras, from, until }) => {
      for (let row = from, at = from * ROW_WORDS; row < until; row++, at += ROW_WORDS) {
        const signs = words[at + ROW_SIGNS]! | 0
        values[row] =
          signs < 0
            ? extras[(signs & 0x7fff_ffff) * SIGN_COUNT + bit]!
            : ((signs >>> bit) & 1) * words[at + ROW_PACKET_COUNT]!
      }
    }
  }
}

function intervalStart(values: ColumnArray): Filler | null {
  if (!(values instanceof BigInt64Array)) return null
  const halves = new Uint32Array(values.buffer)
  return ({ words, from, until }) => {
    for (let row = from, at = from * ROW_WORDS + ROW_INTERVAL; row < until; row++, at += ROW_WORDS) {
      // Exact: below 2⁵³ for every time that the collector keeps.
      const microseconds = words[at]! * INTERVAL_SECONDS * MICROSECONDS
      halves[row * 2] = microseconds % 2 ** 32
      halves[row * 2 + 1] = Math.floor(microseconds / 2 ** 32)
    }
  }
}

function durationSeconds(values: ColumnArray): Filler | null {
  if (!(values instanceof Uint8Array)) return null
  return ({ words, from, until }) => {
    for (let row = from, at = from * ROW_WORDS + ROW_NOTES; row < until; row++, at += ROW_WORDS) {
      const notes = words[at]!
      values[row] = ((notes >>> 8) & 0xff) - (notes & 0xff)
    }
  }
}
