import { FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW } from '../schemas/flow.ts'
import { SPOOF_BITS, TOOLS, toolColumn } from '../schemas/tool.ts'

/**
 * Flows as the columns of FLOW: what the flow table fills is what a record batch writes, without a copy. Arrow and all
 * machines that Node runs on are little-endian, so 64-bit columns are also seen as pairs of 32-bit words, low first:
 * a bigint a row would cost more than all other columns together.
 */

type ColumnArray = Uint8Array | Uint16Array | Uint32Array | BigUint64Array | BigInt64Array

export interface FlowColumn {
  readonly name: string
  readonly type: PhysicalColumn['type']
  /** FLOWS_PER_RECORD_BATCH values. */
  readonly values: ColumnArray
}

/** Signs of a packet: TOOLS from bit 0, then SPOOF_BITS, then the fragment. At most 32. */
export const SIGN_SPOOF_SHIFT = TOOLS.length
export const SIGN_FRAGMENT_SHIFT = SIGN_SPOOF_SHIFT + SPOOF_BITS.length

export class FlowBlock {
  /** All physical columns of FLOW, in order. */
  readonly columns: readonly FlowColumn[]
  readonly intervalStart: Uint32Array
  readonly ipVersion: Uint8Array
  readonly srcHigh: Uint32Array
  readonly srcLow: Uint32Array
  readonly dstIndex: Uint32Array
  readonly protocol: Uint8Array
  readonly servicePort: Uint16Array
  readonly trafficClass: Uint8Array
  readonly tcpFlags: Uint16Array
  readonly ttl: Uint8Array
  readonly synProfile: Uint32Array
  readonly victimHigh: Uint32Array
  readonly victimLow: Uint32Array
  readonly peerPort: Uint16Array
  readonly slot: Uint8Array
  readonly packetCount: Uint8Array
  readonly byteCount: Uint32Array
  readonly firstSecond: Uint8Array
  readonly durationSeconds: Uint8Array
  readonly srcPortSample: Uint16Array
  /** The counting column of each sign. */
  readonly signCounts: readonly Uint8Array[]
  /** No columns, but kept beside them: the signs that all packets of the row have, and the hash of its key. */
  readonly signs = new Uint32Array(FLOWS_PER_RECORD_BATCH)
  readonly hashes = new Int32Array(FLOWS_PER_RECORD_BATCH)

  /** @throws INTERNAL when a column of FLOW is not filled by anything, or has another type than what fills it */
  constructor() {
    const columns = new ColumnTaker()
    this.columns = columns.all
    this.intervalStart = columns.words('interval_start')
    this.ipVersion = columns.take('ip_version', Uint8Array)
    this.srcHigh = columns.words('src_addr_high')
    this.srcLow = columns.words('src_addr_low')
    this.dstIndex = columns.words('dst_index')
    this.protocol = columns.take('protocol', Uint8Array)
    this.servicePort = columns.take('service_port', Uint16Array)
    this.trafficClass = columns.take('class', Uint8Array)
    this.tcpFlags = columns.take('tcp_flags', Uint16Array)
    this.ttl = columns.take('ttl', Uint8Array)
    this.synProfile = columns.words('syn_profile')
    this.victimHigh = columns.words('victim_addr_high')
    this.victimLow = columns.words('victim_addr_low')
    this.peerPort = columns.take('peer_port', Uint16Array)
    this.slot = columns.take('slot', Uint8Array)
    this.packetCount = columns.take('packet_count', Uint8Array)
    this.byteCount = columns.take('byte_count', Uint32Array)
    this.firstSecond = columns.take('first_second', Uint8Array)
    this.durationSeconds = columns.take('duration_seconds', Uint8Array)
    this.srcPortSample = columns.take('src_port_sample', Uint16Array)
    this.signCounts = [
      ...TOOLS.map(tool => toolColumn(tool.name)),
      ...SPOOF_BITS.map(({ name }) => `spoof_${name}_count`),
      'fragment_count',
    ].map(name => columns.take(name, Uint8Array))
    columns.assertAllTaken()
  }

  /** Sets the first rows to zero, which is what `FlowTable` expects of rows that it has not filled. */
  clear(rowCount: number): void {
    for (const { values } of this.columns) {
      if (values instanceof BigUint64Array || values instanceof BigInt64Array) values.fill(0n, 0, rowCount)
      else values.fill(0, 0, rowCount)
    }
  }
}

/** Gives out the columns of FLOW by name, each once. */
class ColumnTaker {
  readonly all: readonly FlowColumn[] = physicalColumns(FLOW).map(({ name, type }) => ({
    name,
    type,
    values: createValues(name, type),
  }))
  #left = new Map(this.all.map(({ name, values }) => [name, values]))

  take<T extends ColumnArray>(name: string, type: new (length: number) => T): T {
    const values = this.#left.get(name)
    this.#left.delete(name)
    if (!(values instanceof type)) throw new TelescopeError('INTERNAL', `column ${name}: FLOW has none of ${type.name}`)
    return values
  }

  /** A 64-bit column as words: row r has its lower half at 2r, its upper half at 2r + 1. */
  words(name: string): Uint32Array {
    const isTime = this.#left.get(name) instanceof BigInt64Array
    return new Uint32Array(
      this.take<BigUint64Array | BigInt64Array>(name, isTime ? BigInt64Array : BigUint64Array).buffer,
    )
  }

  assertAllTaken(): void {
    if (this.#left.size > 0) {
      throw new TelescopeError('INTERNAL', `columns ${[...this.#left.keys()].join(', ')}: nothing fills them`)
    }
  }
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
