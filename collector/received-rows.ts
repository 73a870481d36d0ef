import { SPOOF_BITS, TOOLS, toolColumn } from '../schemas/tool.ts'
import { emptyColumns, type FlowColumn, orderedColumns } from './flow-columns.ts'

type NumberArray = Uint8Array | Uint16Array | Uint32Array

/** Room for one record batch of flows that come from outside, as columns to fill and as what their check reads. */
export class ReceivedRows {
  readonly columns: readonly FlowColumn[]
  /** 64-bit columns as words: row r has its lower half at 2r, its upper half at 2r + 1. */
  readonly intervalStart: Uint32Array
  readonly srcHigh: Uint32Array
  readonly srcLow: Uint32Array
  readonly dstIndex: Uint32Array
  readonly synProfile: Uint32Array
  readonly victimHigh: Uint32Array
  readonly victimLow: Uint32Array
  readonly ipVersion: NumberArray
  readonly protocol: NumberArray
  readonly trafficClass: NumberArray
  readonly tcpFlags: NumberArray
  readonly peerPort: NumberArray
  readonly slot: NumberArray
  readonly udpProbe: NumberArray
  readonly packetCount: NumberArray
  readonly byteCount: NumberArray
  readonly firstSecond: NumberArray
  readonly durationSeconds: NumberArray
  readonly srcPortSample: NumberArray
  /** The counting column of each sign. */
  readonly signCounts: readonly NumberArray[]

  constructor() {
    const byName = emptyColumns()
    const take = (name: string): NumberArray => byName[name] as NumberArray
    const words = (name: string): Uint32Array => new Uint32Array(byName[name]!.buffer)
    this.columns = orderedColumns(byName)
    this.intervalStart = words('interval_start')
    this.srcHigh = words('src_addr_high')
    this.srcLow = words('src_addr_low')
    this.dstIndex = words('dst_index')
    this.synProfile = words('syn_profile')
    this.victimHigh = words('victim_addr_high')
    this.victimLow = words('victim_addr_low')
    this.ipVersion = take('ip_version')
    this.protocol = take('protocol')
    this.trafficClass = take('class')
    this.tcpFlags = take('tcp_flags')
    this.peerPort = take('peer_port')
    this.slot = take('slot')
    this.udpProbe = take('udp_probe')
    this.packetCount = take('packet_count')
    this.byteCount = take('byte_count')
    this.firstSecond = take('first_second')
    this.durationSeconds = take('duration_seconds')
    this.srcPortSample = take('src_port_sample')
    this.signCounts = [
      ...TOOLS.map(tool => toolColumn(tool.name)),
      ...SPOOF_BITS.map(({ name }) => `spoof_${name}_count`),
      'fragment_count',
    ].map(take)
  }
}
