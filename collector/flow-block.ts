import { FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { SPOOF_BITS, TOOLS, toolColumn } from '../schemas/tool.ts'
import { type ColumnArray, type FlowColumn, orderedColumns, zeros } from './flow-columns.ts'

/**
 * Rows of the flow table, 2¹⁶ at most, in as few words as they can be compared and filled by: what a record batch has
 * as many narrow columns lies together here and is taken apart when the block is written. Nearly every packet of a
 * telescope begins a row of its own, so a word less a row is time.
 *
 * Little-endian 64-bit columns are also seen as pairs of 32-bit words, low first. Words are signed: the bits count.
 */

/** Signs of a packet: TOOLS from bit 0, then SPOOF_BITS, then the fragment; below SIGNS_PROBE_SHIFT. */
export const SIGN_SPOOF_SHIFT = TOOLS.length
export const SIGN_FRAGMENT_SHIFT = SIGN_SPOOF_SHIFT + SPOOF_BITS.length
/** In the signs word: 8 bits for the UDP probe, above them the 10-second slot of backscatter. */
export const SIGNS_PROBE_SHIFT = 16
export const SIGNS_SLOT_SHIFT = 24

/** In the header word: bits 0-7 protocol, 8-15 TTL, 16-27 TCP flags, 28-29 class, 30 IPv6, 31 a victim. */
export const HEADER_TTL_SHIFT = 8
export const HEADER_FLAGS_SHIFT = 16
export const HEADER_CLASS_SHIFT = 28
export const HEADER_IPV6 = 1 << 30
export const HEADER_VICTIM = 1 << 31

/** Third word of an IPv4-mapped address. */
const IPV4_MAPPED = 0xffff

const SIGN_COLUMNS: readonly string[] = [
  ...TOOLS.map(tool => toolColumn(tool.name)),
  ...SPOOF_BITS.map(({ name }) => `spoof_${name}_count`),
  'fragment_count',
]

/** What IPv6 and quoted victims need besides; few blocks have it. Row r has its lower word at 2r. */
class WideRows {
  readonly srcHigh = new Int32Array(FLOWS_PER_RECORD_BATCH * 2)
  readonly victimHigh = new Int32Array(FLOWS_PER_RECORD_BATCH * 2)
  readonly victimLow = new Int32Array(FLOWS_PER_RECORD_BATCH * 2)
}

export class FlowBlock {
  /** Lower half of the source: its last word at 2r, above it 0xffff for IPv4. */
  readonly srcLow = new Int32Array(FLOWS_PER_RECORD_BATCH * 2)
  readonly dstIndex = new Int32Array(FLOWS_PER_RECORD_BATCH * 2)
  readonly synProfile = new Int32Array(FLOWS_PER_RECORD_BATCH * 2)
  readonly header = new Int32Array(FLOWS_PER_RECORD_BATCH)
  /** Service port, peer port in the upper half. */
  readonly ports = new Int32Array(FLOWS_PER_RECORD_BATCH)
  /** Signs that every packet of the row has, the UDP probe, the slot. */
  readonly signs = new Int32Array(FLOWS_PER_RECORD_BATCH)
  readonly byteCount = new Uint32Array(FLOWS_PER_RECORD_BATCH)
  readonly srcPortSample = new Uint16Array(FLOWS_PER_RECORD_BATCH)
  readonly packetCount = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly firstSecond = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly durationSeconds = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  /** Null until a row needs it. */
  wide: WideRows | null = null
  #spareWide: WideRows | null = null
  /** Bits that any row has in `ports` and `signs`: columns that nobody fills are not made. */
  portsUsed = 0
  signsUsed = 0

  #wideRows: number[] = []

  constructor() {
    for (let high = 1; high < this.srcLow.length; high += 2) this.srcLow[high] = IPV4_MAPPED
  }

  /** Makes all rows what the flow table expects of rows that it has not filled. */
  clear(): void {
    this.durationSeconds.fill(0)
    this.portsUsed = 0
    this.signsUsed = 0
    if (this.wide === null) return
    // Few rows are wide: they are emptied one by one.
    for (const low of this.#wideRows) {
      const high = low + 1
      this.srcLow[high] = IPV4_MAPPED
      this.dstIndex[high] = 0
      for (const words of Object.values(this.wide)) words.fill(0, low, high + 1)
    }
    this.#wideRows = []
    this.#spareWide = this.wide
    this.wide = null
  }

  /** The words for IPv6 and victims, of which the row at 2r = `low` will fill its own. */
  widen(low: number): WideRows {
    this.#wideRows.push(low)
    this.wide ??= this.#spareWide ?? new WideRows()
    return this.wide
  }

  /**
   * The first rows as the columns of FLOW, in their order; valid until the block or the scratch space is used again.
   * @param intervals `interval_start` of the rows, filled by the caller
   */
  columns(rowCount: number, intervals: BigInt64Array, scratch: FlowScratch): readonly FlowColumn[] {
    const { wide, signsUsed, portsUsed } = this
    splitHeaders(this, rowCount, scratch)
    const words = (values: Int32Array): BigUint64Array => new BigUint64Array(values.buffer)
    const columns: Record<string, ColumnArray> = {
      interval_start: intervals,
      ip_version: scratch.ipVersion,
      src_addr_high: wide ? words(wide.srcHigh) : zeros(BigUint64Array),
      src_addr_low: words(this.srcLow),
      dst_index: words(this.dstIndex),
      protocol: scratch.protocol,
      service_port: scratch.servicePort,
      class: scratch.trafficClass,
      tcp_flags: scratch.tcpFlags,
      ttl: scratch.ttl,
      syn_profile: words(this.synProfile),
      victim_addr_high: wide ? words(wide.victimHigh) : zeros(BigUint64Array),
      victim_addr_low: wide ? words(wide.victimLow) : zeros(BigUint64Array),
      peer_port: portsUsed >>> 16 === 0 ? zeros(Uint16Array) : peerPorts(this.ports, rowCount, scratch.peerPort),
      slot: signsUsed >>> SIGNS_SLOT_SHIFT === 0 ? zeros(Uint8Array) : slots(this.signs, rowCount, scratch.slot),
      udp_probe:
        (signsUsed >>> SIGNS_PROBE_SHIFT) & 0xff ? probes(this.signs, rowCount, scratch.probe) : zeros(Uint8Array),
      packet_count: this.packetCount,
      byte_count: this.byteCount,
      first_second: this.firstSecond,
      duration_seconds: this.durationSeconds,
      src_port_sample: this.srcPortSample,
    }
    countSigns(this, rowCount, scratch.signCounts)
    for (const [bit, name] of SIGN_COLUMNS.entries()) {
      columns[name] = (signsUsed & (1 << bit)) !== 0 ? scratch.signCounts[bit]! : zeros(Uint8Array)
    }
    return orderedColumns(columns)
  }
}

/** Where a block's words are taken apart; one is enough for all blocks. */
export class FlowScratch {
  readonly ipVersion = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly protocol = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly trafficClass = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly ttl = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly slot = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly probe = new Uint8Array(FLOWS_PER_RECORD_BATCH)
  readonly tcpFlags = new Uint16Array(FLOWS_PER_RECORD_BATCH)
  readonly servicePort = new Uint16Array(FLOWS_PER_RECORD_BATCH)
  readonly peerPort = new Uint16Array(FLOWS_PER_RECORD_BATCH)
  readonly signCounts = SIGN_COLUMNS.map(() => new Uint8Array(FLOWS_PER_RECORD_BATCH))
}

function splitHeaders({ header, ports }: FlowBlock, rowCount: number, scratch: FlowScratch): void {
  const { ipVersion, protocol, trafficClass, ttl, tcpFlags, servicePort } = scratch
  for (let at = 0; at < rowCount; at++) {
    const word = header[at]!
    protocol[at] = word
    ttl[at] = word >> HEADER_TTL_SHIFT
    tcpFlags[at] = (word >> HEADER_FLAGS_SHIFT) & 0xfff
    trafficClass[at] = (word >> HEADER_CLASS_SHIFT) & 3
    ipVersion[at] = 4 + ((word >> 29) & 2)
    servicePort[at] = ports[at]!
  }
}

function peerPorts(ports: Int32Array, rowCount: number, target: Uint16Array): Uint16Array {
  for (let at = 0; at < rowCount; at++) target[at] = ports[at]! >>> 16
  return target
}

function probes(signs: Int32Array, rowCount: number, target: Uint8Array): Uint8Array {
  for (let at = 0; at < rowCount; at++) target[at] = signs[at]! >>> SIGNS_PROBE_SHIFT
  return target
}

function slots(signs: Int32Array, rowCount: number, target: Uint8Array): Uint8Array {
  for (let at = 0; at < rowCount; at++) target[at] = signs[at]! >>> SIGNS_SLOT_SHIFT
  return target
}

/** Every packet of a row has the row's signs. */
function countSigns(block: FlowBlock, rowCount: number, targets: readonly Uint8Array[]): void {
  const { signs, packetCount } = block
  const mask = (1 << SIGN_COLUMNS.length) - 1
  for (let used = block.signsUsed & mask; used !== 0; used &= used - 1) targets[lowestBit(used)]!.fill(0, 0, rowCount)
  for (let at = 0; at < rowCount; at++) {
    for (let left = signs[at]! & mask; left !== 0; left &= left - 1) targets[lowestBit(left)]![at] = packetCount[at]!
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word)
}
