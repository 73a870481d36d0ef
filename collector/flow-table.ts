import { FLOWS_PER_BATCH_MAX, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { PACKETS_PER_FLOW_MAX } from '../schemas/flow.ts'
import { CLASS_BACKSCATTER, CLASS_SCAN, PROTOCOL } from '../schemas/protocol.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { backscatterSlot, classify, peerPort, servicePort } from './classify.ts'
import {
  FlowBlock,
  FlowScratch,
  HEADER_CLASS_SHIFT,
  HEADER_FLAGS_SHIFT,
  HEADER_IPV6,
  HEADER_TTL_SHIFT,
  HEADER_VICTIM,
  SIGN_FRAGMENT_SHIFT,
  SIGN_SPOOF_SHIFT,
  SIGNS_PROBE_SHIFT,
  SIGNS_SLOT_SHIFT,
} from './flow-block.ts'
import type { FlowColumn } from './flow-columns.ts'
import { finishHash, hashIpv6, hashKey, hashVictim } from './key-hash.ts'
import type { Packet } from './packet.ts'
import { ROW_MASK, RowIndex, TAG_MASK } from './row-index.ts'
import { spoofBits } from './spoof.ts'
import { synProfileHigh, synProfileLow } from './syn-profile.ts'
import { matchTools } from './tools.ts'

/**
 * Flows in memory: rows in order of first appearance, in blocks that become record batches, and hash indexes that find
 * the row of a key.
 *
 * Each index holds the keys of one interval, and the four latest are kept: packets come nearly in order of time, so an
 * index of a few thousand keys stays in the processor's cache where one of a million would miss it at every packet. A
 * packet that is late by more gets a row of its own kind, which changes no sum: several rows may have one key.
 */
const INDEXES = 4

/** Before any time that a packet can have. */
const NO_INTERVAL = -2 * INTERVAL_SECONDS

/** Low bits of the block and row: a block holds 2¹⁶ rows. */
const BLOCK_SHIFT = 16
const BLOCK_MASK = FLOWS_PER_RECORD_BATCH - 1

interface FlowTableOptions {
  /** Rows at which the table is full; at most FLOWS_PER_BATCH_MAX. */
  readonly flowsMax?: number
}

/** Words of the key that plain IPv4 packets do not have; what does not apply is 0. */
class WideKey {
  src0 = 0
  src1 = 0
  src2 = 0
  dstHigh = 0
  victim0 = 0
  victim1 = 0
  victim2 = 0
  victim3 = 0
}

/** Rows from `row` on, up to the next run, are of the interval that starts at this Unix second. */
interface IntervalRun {
  readonly row: number
  readonly start: number
}

export class FlowTable {
  readonly flowsMax: number
  #rowCount = 0
  #blocks: FlowBlock[] = []
  #indexes = Array.from({ length: INDEXES }, () => new RowIndex())
  #index: RowIndex = this.#indexes[0]!
  /** Unix seconds of the start of the interval that #index is for. */
  #intervalStart = NO_INTERVAL
  #runs: IntervalRun[] = []
  /** Start of the last run; the next row opens another when it is not #intervalStart. */
  #runStart = NO_INTERVAL
  #wide = new WideKey()
  #scratch = new FlowScratch()
  #intervals = new BigInt64Array(FLOWS_PER_RECORD_BATCH)

  constructor({ flowsMax = FLOWS_PER_BATCH_MAX }: FlowTableOptions = {}) {
    if (!(flowsMax >= 1 && flowsMax <= FLOWS_PER_BATCH_MAX)) {
      throw new TelescopeError('INTERNAL', `flow table: ${flowsMax} flows is not in 1 to ${FLOWS_PER_BATCH_MAX}`)
    }
    this.flowsMax = flowsMax
  }

  get rowCount(): number {
    return this.#rowCount
  }

  /** True when the next `add` needs an emptied table. */
  get isFull(): boolean {
    return this.#rowCount >= this.flowsMax
  }

  /** Start of the interval of the latest packet, Unix seconds; below zero at first and after `clear`. */
  get intervalStart(): number {
    return this.#intervalStart
  }

  /** Record batches in order, each valid until the next is asked for, `add` or `clear`. */
  *recordBatches(): Generator<{ readonly columns: readonly FlowColumn[]; readonly rowCount: number }> {
    for (let first = 0; first < this.#rowCount; first += FLOWS_PER_RECORD_BATCH) {
      const rowCount = Math.min(this.#rowCount - first, FLOWS_PER_RECORD_BATCH)
      this.#fillIntervals(first, rowCount)
      const block = this.#blocks[first >>> BLOCK_SHIFT]!
      yield { columns: block.columns(rowCount, this.#intervals, this.#scratch), rowCount }
    }
  }

  /** Packets in all rows. */
  countPackets(): number {
    let packets = 0
    for (let row = 0; row < this.#rowCount; row++)
      packets += this.#blocks[row >>> BLOCK_SHIFT]!.packetCount[row & BLOCK_MASK]!
    return packets
  }

  /** Empties the table and keeps its memory for the next rows. */
  clear(): void {
    const used = Math.ceil(this.#rowCount / FLOWS_PER_RECORD_BATCH)
    for (const block of this.#blocks.slice(0, used)) block.clear()
    for (const index of this.#indexes) index.reset()
    this.#rowCount = 0
    this.#runs = []
    this.#runStart = NO_INTERVAL
    this.#intervalStart = NO_INTERVAL
  }

  /**
   * Counts a packet without drop reason into its flow. The table must not be full, and Unix microseconds of the time
   * must be an exact number from 0 on.
   * @param dstIndexHigh upper 32 bits of the destination index, unsigned
   * @param dstIndexLow lower 32 bits, unsigned
   */
  add(packet: Packet, dstIndexHigh: number, dstIndexLow: number): void {
    if (!(packet.seconds >= this.#intervalStart && packet.seconds < this.#intervalStart + INTERVAL_SECONDS)) {
      this.#openInterval(packet.seconds)
    }
    const second = packet.seconds - this.#intervalStart
    const trafficClass = classify(packet)
    const isScan = trafficClass === CLASS_SCAN
    const isScanSyn = isScan && packet.protocol === PROTOCOL.tcp
    const isIpv6 = packet.ipVersion === 6
    const hasVictim = trafficClass === CLASS_BACKSCATTER && packet.quotedVersion !== 0
    const header =
      packet.protocol |
      (packet.ttl << HEADER_TTL_SHIFT) |
      ((packet.tcpFlags < 0 ? 0 : packet.tcpFlags) << HEADER_FLAGS_SHIFT) |
      (trafficClass << HEADER_CLASS_SHIFT) |
      (isIpv6 ? HEADER_IPV6 : 0) |
      (hasVictim ? HEADER_VICTIM : 0)
    const signs =
      matchTools(packet) |
      (spoofBits(packet) << SIGN_SPOOF_SHIFT) |
      (packet.isFragment << SIGN_FRAGMENT_SHIFT) |
      (packet.udpProbe << SIGNS_PROBE_SHIFT) |
      (backscatterSlot(second, trafficClass) << SIGNS_SLOT_SHIFT)
    this.addKey(
      second,
      packet.src3 | 0,
      dstIndexLow | 0,
      header,
      servicePort(packet, trafficClass) | (peerPort(packet, trafficClass) << 16),
      signs,
      isScanSyn ? synProfileLow(packet) | 0 : 0,
      isScanSyn ? synProfileHigh(packet) | 0 : 0,
      packet.ipLength,
      isScan && packet.srcPort > 0 ? packet.srcPort : 0,
      isIpv6 || hasVictim ? this.#setWide(packet, dstIndexHigh, isIpv6, hasVictim) : null,
    )
  }

  /**
   * Counts a packet of the interval of the latest packet into its flow, from the words of its key (see FlowBlock), all
   * signed.
   * @param second of the interval, 0 to 59
   * @param srcPort 0 when the flow is no scan
   * @param wide null for an IPv4 packet without victim
   */
  addKey(
    second: number,
    src: number,
    dstIndex: number,
    header: number,
    ports: number,
    signs: number,
    synLow: number,
    synHigh: number,
    ipLength: number,
    srcPort: number,
    wide: WideKey | null,
  ): void {
    let sum = hashKey(src, dstIndex, header, ports, synLow, synHigh)
    if (wide !== null) sum += hashWideKey(wide)
    const hash = finishHash(sum | 0)
    const index = this.#index
    const { slots, firstRow } = index
    const slotMask = slots.length - 1
    let at = hash & slotMask
    for (;;) {
      const slot = slots[at]!
      if ((slot & ROW_MASK) <= firstRow) {
        index.used++
        break
      }
      if (((slot ^ hash) & TAG_MASK) === 0) {
        const row = (slot & ROW_MASK) - 1
        const block = this.#blocks[row >>> BLOCK_SHIFT]!
        const place = row & BLOCK_MASK
        if (
          block.srcLow[place * 2] === src &&
          block.ports[place] === ports &&
          block.header[place] === header &&
          block.dstIndex[place * 2] === dstIndex &&
          block.signs[place] === signs &&
          block.synProfile[place * 2] === synLow &&
          block.synProfile[place * 2 + 1] === synHigh &&
          (wide === null || isWideRow(block, place, wide))
        ) {
          if (update(block, place, ipLength, second)) return
          // The row has as many packets as it can hold: the key goes on in a new row, which takes its place here.
          break
        }
      }
      at = (at + 1) & slotMask
    }
    const row = this.#rowCount++
    slots[at] = (row + 1) | (hash & TAG_MASK)
    if (this.#runStart !== this.#intervalStart) this.#openRun(row)
    const block = this.#blocks[row >>> BLOCK_SHIFT] ?? this.#addBlock()
    const place = row & BLOCK_MASK
    block.srcLow[place * 2] = src
    block.dstIndex[place * 2] = dstIndex
    block.synProfile[place * 2] = synLow
    block.synProfile[place * 2 + 1] = synHigh
    block.header[place] = header
    block.ports[place] = ports
    block.signs[place] = signs
    block.byteCount[place] = ipLength
    block.srcPortSample[place] = srcPort
    block.packetCount[place] = 1
    block.firstSecond[place] = second
    block.portsUsed |= ports
    block.signsUsed |= signs
    if (wide !== null) setWideRow(block, place, wide)
    if (index.used * 2 > slots.length) this.#growIndex(index)
  }

  #openInterval(seconds: number): void {
    const number = Math.floor(seconds / INTERVAL_SECONDS)
    this.#intervalStart = number * INTERVAL_SECONDS
    this.#index = this.#indexes[number % INDEXES]!
    this.#index.open(number, this.#rowCount)
  }

  #openRun(row: number): void {
    this.#runStart = this.#intervalStart
    this.#runs.push({ row, start: this.#intervalStart })
  }

  #setWide(packet: Packet, dstIndexHigh: number, isIpv6: boolean, hasVictim: boolean): WideKey {
    const wide = this.#wide
    wide.src0 = isIpv6 ? packet.src0 | 0 : 0
    wide.src1 = isIpv6 ? packet.src1 | 0 : 0
    wide.src2 = packet.src2 | 0
    wide.dstHigh = dstIndexHigh | 0
    wide.victim0 = hasVictim ? packet.quotedDst0 | 0 : 0
    wide.victim1 = hasVictim ? packet.quotedDst1 | 0 : 0
    wide.victim2 = hasVictim ? packet.quotedDst2 | 0 : 0
    wide.victim3 = hasVictim ? packet.quotedDst3 | 0 : 0
    return wide
  }

  #addBlock(): FlowBlock {
    const block = new FlowBlock()
    this.#blocks.push(block)
    return block
  }

  #growIndex(index: RowIndex): void {
    index.grow()
    for (const [at, { row: first, start }] of this.#runs.entries()) {
      if (start !== this.#intervalStart) continue
      const end = this.#runs[at + 1]?.row ?? this.#rowCount
      for (let row = Math.max(first, index.firstRow); row < end; row++) {
        const block = this.#blocks[row >>> BLOCK_SHIFT]!
        const place = row & BLOCK_MASK
        // A full row must not be found before the one that goes on for it.
        if (isFull(block, place)) continue
        index.putAtEnd(row, hashRow(block, place))
      }
    }
  }

  #fillIntervals(first: number, rowCount: number): void {
    for (const [at, { row, start }] of this.#runs.entries()) {
      const end = this.#runs[at + 1]?.row ?? this.#rowCount
      if (end <= first || row >= first + rowCount) continue
      const from = Math.max(row - first, 0)
      this.#intervals.fill(BigInt(start) * BigInt(MICROSECONDS), from, Math.min(end - first, rowCount))
    }
  }
}

function hashWideKey(wide: WideKey): number {
  return (
    hashIpv6(wide.src0, wide.src1, wide.src2, wide.dstHigh) +
    hashVictim(wide.victim0, wide.victim1, wide.victim2, wide.victim3)
  )
}

/** The hash of a row's key, again. */
function hashRow(block: FlowBlock, place: number): number {
  const low = place * 2
  const high = low + 1
  const header = block.header[place]!
  const { srcLow, dstIndex, synProfile, ports, wide } = block
  let sum = hashKey(srcLow[low]!, dstIndex[low]!, header, ports[place]!, synProfile[low]!, synProfile[high]!)
  if (wide !== null && (header & (HEADER_IPV6 | HEADER_VICTIM)) !== 0) {
    sum += hashIpv6(wide.srcHigh[high]!, wide.srcHigh[low]!, srcLow[high]!, dstIndex[high]!)
    sum += hashVictim(wide.victimHigh[high]!, wide.victimHigh[low]!, wide.victimLow[high]!, wide.victimLow[low]!)
  }
  return finishHash(sum | 0)
}

function isWideRow(block: FlowBlock, place: number, key: WideKey): boolean {
  const low = place * 2
  const high = low + 1
  const wide = block.wide!
  return (
    block.srcLow[high] === key.src2 &&
    block.dstIndex[high] === key.dstHigh &&
    wide.srcHigh[low] === key.src1 &&
    wide.srcHigh[high] === key.src0 &&
    wide.victimLow[low] === key.victim3 &&
    wide.victimLow[high] === key.victim2 &&
    wide.victimHigh[low] === key.victim1 &&
    wide.victimHigh[high] === key.victim0
  )
}

function setWideRow(block: FlowBlock, place: number, key: WideKey): void {
  const low = place * 2
  const high = low + 1
  const wide = block.widen(low)
  block.srcLow[high] = key.src2
  block.dstIndex[high] = key.dstHigh
  wide.srcHigh[low] = key.src1
  wide.srcHigh[high] = key.src0
  wide.victimLow[low] = key.victim3
  wide.victimLow[high] = key.victim2
  wide.victimHigh[low] = key.victim1
  wide.victimHigh[high] = key.victim0
}

function isFull(block: FlowBlock, place: number): boolean {
  return block.packetCount[place] === PACKETS_PER_FLOW_MAX
}

/** @returns false when the row cannot take the packet: its counters are full */
function update(block: FlowBlock, place: number, ipLength: number, second: number): boolean {
  const bytes = block.byteCount[place]! + ipLength
  if (isFull(block, place) || bytes >= 2 ** 32) return false
  block.packetCount[place]!++
  block.byteCount[place] = bytes
  const first = block.firstSecond[place]!
  const last = first + block.durationSeconds[place]!
  if (second < first) {
    block.firstSecond[place] = second
    block.durationSeconds[place] = last - second
  } else if (second > last) block.durationSeconds[place] = second - first
  return true
}
