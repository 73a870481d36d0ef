import { FLOWS_PER_BATCH_MAX, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { PACKETS_PER_FLOW_MAX } from '../schemas/flow.ts'
import { CLASS_BACKSCATTER, CLASS_SCAN, PROTOCOL } from '../schemas/protocol.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { backscatterSlot, classify, peerPort, servicePort } from './classify.ts'
import { FlowBlock, SIGN_FRAGMENT_SHIFT, SIGN_SPOOF_SHIFT } from './flow-block.ts'
import { finishHash, hashIpv6, hashKey, hashVictim } from './key-hash.ts'
import type { Packet } from './packet.ts'
import { RowIndex } from './row-index.ts'
import { spoofBits } from './spoof.ts'
import { synProfileHigh, synProfileLow } from './syn-profile.ts'
import { matchTools } from './tools.ts'

/**
 * Flows in memory: rows in order of first appearance, in blocks of columns that become record batches as they are, and
 * hash indexes that find the row of a key.
 *
 * Each index holds the keys of one interval, and the four latest are kept: packets come nearly in order of time, so an
 * index of a few thousand keys stays in the processor's cache where one of a million would miss it at every packet. A
 * packet that is late by more gets a row of its own kind, which changes no sum: several rows may have one key.
 */
const INDEXES = 4

/** Low bits of the block and row: a block holds 2¹⁶ rows. */
const BLOCK_SHIFT = 16
const BLOCK_MASK = FLOWS_PER_RECORD_BATCH - 1

interface FlowTableOptions {
  /** Rows at which the table is full; at most FLOWS_PER_BATCH_MAX. */
  readonly flowsMax?: number
}

/** The IP version in the header word of the key. */
const IPV4_HEADER = 4 << 16
/** Third word of an IPv4-mapped address. */
const IPV4_MAPPED = 0xffff

/** The key of the packet at hand, in words for hashing and comparing; src and victim are read from the packet. */
class FlowKey {
  trafficClass = 0
  dstHigh = 0
  dstLow = 0
  /** Bits 0-7 protocol, 8-15 TTL, 16-18 IP version, 20-21 class, 24-26 slot. */
  header = 0
  /** Service port, peer port in the upper half. */
  ports = 0
  tcpFlags = 0
  signs = 0
  synLow = 0
  synHigh = 0
  hasVictim = false
}

export class FlowTable {
  readonly flowsMax: number
  #rowCount = 0
  #blocks: FlowBlock[] = []
  #indexes = Array.from({ length: INDEXES }, () => new RowIndex())
  #index: RowIndex = this.#indexes[0]!
  /** Unix seconds of the start of the interval that #index is for. */
  #intervalStart = Number.NEGATIVE_INFINITY
  #startLow = 0
  #startHigh = 0
  #key = new FlowKey()

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

  /** Blocks with rows, in order, and how many rows each has; valid until the next `add` or `clear`. */
  *blocks(): Generator<{ readonly block: FlowBlock; readonly rowCount: number }> {
    for (let first = 0; first < this.#rowCount; first += FLOWS_PER_RECORD_BATCH) {
      const rowCount = Math.min(this.#rowCount - first, FLOWS_PER_RECORD_BATCH)
      yield { block: this.#blocks[first >>> BLOCK_SHIFT]!, rowCount }
    }
  }

  /** Empties the table and keeps its memory for the next rows. */
  clear(): void {
    for (const { block, rowCount } of this.blocks()) block.clear(rowCount)
    for (const index of this.#indexes) index.reset()
    this.#rowCount = 0
    this.#intervalStart = Number.NEGATIVE_INFINITY
  }

  /**
   * Counts a packet without drop reason into its flow. The table must not be full, and Unix microseconds of the time
   * must be an exact number from 0 on.
   * @param dstIndexHigh upper 32 bits of the destination index, unsigned
   * @param dstIndexLow lower 32 bits, unsigned
   */
  add(packet: Packet, dstIndexHigh: number, dstIndexLow: number): void {
    let second = packet.seconds - this.#intervalStart
    if (!(second >= 0 && second < INTERVAL_SECONDS)) {
      this.#openInterval(packet.seconds)
      second = packet.seconds - this.#intervalStart
    }
    this.#setKey(packet, second, dstIndexHigh, dstIndexLow)
    const hash = this.#hashKey(packet)
    const index = this.#index
    for (let row = index.find(hash); row >= 0; row = index.findNext()) {
      const block = this.#blocks[row >>> BLOCK_SHIFT]!
      const at = row & BLOCK_MASK
      if (!this.#isRow(block, at, packet)) continue
      if (this.#update(block, at, packet.ipLength, this.#key.signs, second)) return
      // The row has as many packets as it can hold: the key goes on in a new row, which takes its place in the index.
      break
    }
    const row = this.#rowCount++
    index.put(row, hash)
    this.#insert(row, hash, packet, second)
    if (index.isCrowded) this.#growIndex(index)
  }

  /** Start of the interval of the latest packet, Unix seconds; minus infinity at first and after `clear`. */
  get intervalStart(): number {
    return this.#intervalStart
  }

  /**
   * Counts an IPv4 packet that is no fragment and has no victim into its flow; what `add` does, from values at hand. It
   * must be of the interval of the latest packet. All numbers are 32 bits, signed or not; the columns make no difference.
   * @param second of the interval, 0 to 59
   * @param header as in the key: protocol, TTL << 8, class << 20, slot << 24
   * @param ports service port, peer port in the upper half
   * @param srcPort 0 when the flow is no scan
   */
  addPlain(
    second: number,
    src: number,
    dstIndex: number,
    header: number,
    ports: number,
    tcpFlags: number,
    signs: number,
    synLow: number,
    synHigh: number,
    ipLength: number,
    srcPort: number,
  ): void {
    const hash = finishHash(hashKey(src, dstIndex, header | IPV4_HEADER, ports, tcpFlags, signs, synLow, synHigh))
    const index = this.#index
    for (let row = index.find(hash); row >= 0; row = index.findNext()) {
      const block = this.#blocks[row >>> BLOCK_SHIFT]!
      const at = row & BLOCK_MASK
      if (!isPlainRow(block, at, src, dstIndex, header, ports, tcpFlags, signs, synLow, synHigh)) continue
      if (this.#update(block, at, ipLength, signs, second)) return
      break
    }
    const row = this.#rowCount++
    index.put(row, hash)
    const block = this.#blockOf(row)
    const at = row & BLOCK_MASK
    const low = at * 2
    const high = low + 1
    block.hashes[at] = hash
    block.signs[at] = signs
    block.intervalStart[low] = this.#startLow
    block.intervalStart[high] = this.#startHigh
    block.ipVersion[at] = 4
    block.srcLow[low] = src
    block.srcLow[high] = IPV4_MAPPED
    block.dstIndex[low] = dstIndex
    block.protocol[at] = header
    block.servicePort[at] = ports
    block.trafficClass[at] = (header >>> 20) & 3
    block.tcpFlags[at] = tcpFlags
    block.ttl[at] = header >>> 8
    block.synProfile[low] = synLow
    block.synProfile[high] = synHigh
    block.packetCount[at] = 1
    block.byteCount[at] = ipLength
    block.firstSecond[at] = second
    block.srcPortSample[at] = srcPort
    if (ports > 0xffff || ports < 0) block.peerPort[at] = ports >>> 16
    if (header >>> 24 !== 0) block.slot[at] = header >>> 24
    if (signs !== 0) countSigns(block, at, signs)
    if (index.isCrowded) this.#growIndex(index)
  }

  #openInterval(seconds: number): void {
    const number = Math.floor(seconds / INTERVAL_SECONDS)
    this.#intervalStart = number * INTERVAL_SECONDS
    const microseconds = this.#intervalStart * MICROSECONDS
    this.#startLow = microseconds % 2 ** 32
    this.#startHigh = Math.floor(microseconds / 2 ** 32)
    this.#index = this.#indexes[number % INDEXES]!
    this.#index.open(number, this.#rowCount)
  }

  #setKey(packet: Packet, second: number, dstIndexHigh: number, dstIndexLow: number): void {
    const key = this.#key
    const trafficClass = classify(packet)
    key.trafficClass = trafficClass
    key.dstHigh = dstIndexHigh
    key.dstLow = dstIndexLow
    key.header =
      packet.protocol |
      (packet.ttl << 8) |
      (packet.ipVersion << 16) |
      (trafficClass << 20) |
      (backscatterSlot(second, trafficClass) << 24)
    key.ports = servicePort(packet, trafficClass) | (peerPort(packet, trafficClass) << 16)
    key.tcpFlags = packet.tcpFlags < 0 ? 0 : packet.tcpFlags
    key.signs =
      matchTools(packet) | (spoofBits(packet) << SIGN_SPOOF_SHIFT) | (packet.isFragment << SIGN_FRAGMENT_SHIFT)
    const isScanSyn = trafficClass === CLASS_SCAN && packet.protocol === PROTOCOL.tcp
    key.synLow = isScanSyn ? synProfileLow(packet) : 0
    key.synHigh = isScanSyn ? synProfileHigh(packet) : 0
    key.hasVictim = trafficClass === CLASS_BACKSCATTER && packet.quotedVersion !== 0
  }

  #hashKey(packet: Packet): number {
    const key = this.#key
    let sum = hashKey(packet.src3, key.dstLow, key.header, key.ports, key.tcpFlags, key.signs, key.synLow, key.synHigh)
    if (packet.ipVersion === 6) sum += hashIpv6(packet.src0, packet.src1, packet.src2, key.dstHigh)
    if (key.hasVictim) {
      const { quotedDst0, quotedDst1, quotedDst2, quotedDst3 } = packet
      sum += hashVictim(quotedDst0, quotedDst1, quotedDst2, quotedDst3)
    }
    return finishHash(sum | 0)
  }

  #isRow(block: FlowBlock, at: number, packet: Packet): boolean {
    const key = this.#key
    const low = at * 2
    const high = low + 1
    return (
      block.srcLow[low] === packet.src3 &&
      block.dstIndex[low] === key.dstLow &&
      block.servicePort[at] === (key.ports & 0xffff) &&
      block.protocol[at] === packet.protocol &&
      block.ttl[at] === packet.ttl &&
      block.ipVersion[at] === packet.ipVersion &&
      block.trafficClass[at] === key.trafficClass &&
      block.tcpFlags[at] === key.tcpFlags &&
      block.signs[at] === key.signs &&
      block.synProfile[low] === key.synLow &&
      block.synProfile[high] === key.synHigh &&
      block.peerPort[at] === key.ports >>> 16 &&
      block.slot[at] === key.header >>> 24 &&
      block.srcLow[high] === packet.src2 &&
      block.srcHigh[low] === packet.src1 &&
      block.srcHigh[high] === packet.src0 &&
      block.dstIndex[high] === key.dstHigh &&
      block.victimLow[low] === (key.hasVictim ? packet.quotedDst3 : 0) &&
      block.victimLow[high] === (key.hasVictim ? packet.quotedDst2 : 0) &&
      block.victimHigh[low] === (key.hasVictim ? packet.quotedDst1 : 0) &&
      block.victimHigh[high] === (key.hasVictim ? packet.quotedDst0 : 0)
    )
  }

  #insert(row: number, hash: number, packet: Packet, second: number): void {
    const block = this.#blockOf(row)
    const key = this.#key
    const at = row & BLOCK_MASK
    const low = at * 2
    const high = low + 1
    block.hashes[at] = hash
    block.signs[at] = key.signs
    block.intervalStart[low] = this.#startLow
    block.intervalStart[high] = this.#startHigh
    block.ipVersion[at] = packet.ipVersion
    block.srcLow[low] = packet.src3
    block.srcLow[high] = packet.src2
    block.dstIndex[low] = key.dstLow
    block.protocol[at] = packet.protocol
    block.servicePort[at] = key.ports
    block.trafficClass[at] = key.trafficClass
    block.tcpFlags[at] = key.tcpFlags
    block.ttl[at] = packet.ttl
    block.synProfile[low] = key.synLow
    block.synProfile[high] = key.synHigh
    block.packetCount[at] = 1
    block.byteCount[at] = packet.ipLength
    block.firstSecond[at] = second
    countSigns(block, at, key.signs)
    // What is zero in nearly every row is zero already.
    if (key.trafficClass === CLASS_SCAN) {
      if (packet.srcPort > 0) block.srcPortSample[at] = packet.srcPort
    } else if (key.trafficClass === CLASS_BACKSCATTER) {
      block.peerPort[at] = key.ports >>> 16
      block.slot[at] = key.header >>> 24
      if (key.hasVictim) {
        block.victimLow[low] = packet.quotedDst3
        block.victimLow[high] = packet.quotedDst2
        block.victimHigh[low] = packet.quotedDst1
        block.victimHigh[high] = packet.quotedDst0
      }
    }
    if (packet.ipVersion === 6) {
      block.srcHigh[low] = packet.src1
      block.srcHigh[high] = packet.src0
      block.dstIndex[high] = key.dstHigh
    }
  }

  /** @returns false when the row cannot take the packet: its counters are full */
  #update(block: FlowBlock, at: number, ipLength: number, signs: number, second: number): boolean {
    const bytes = block.byteCount[at]! + ipLength
    if (block.packetCount[at] === PACKETS_PER_FLOW_MAX || bytes >= 2 ** 32) return false
    block.packetCount[at]!++
    block.byteCount[at] = bytes
    const first = block.firstSecond[at]!
    const last = first + block.durationSeconds[at]!
    if (second < first) {
      block.firstSecond[at] = second
      block.durationSeconds[at] = last - second
    } else if (second > last) block.durationSeconds[at] = second - first
    countSigns(block, at, signs)
    return true
  }

  #blockOf(row: number): FlowBlock {
    const block = this.#blocks[row >>> BLOCK_SHIFT]
    if (block) return block
    const added = new FlowBlock()
    this.#blocks.push(added)
    return added
  }

  #growIndex(index: RowIndex): void {
    index.grow()
    for (let row = index.firstRow; row < this.#rowCount; row++) {
      const block = this.#blocks[row >>> BLOCK_SHIFT]!
      const at = row & BLOCK_MASK
      // Rows of other intervals lie between. A full row must not be found before the one that goes on for it.
      if (block.intervalStart[at * 2] !== this.#startLow || block.intervalStart[at * 2 + 1] !== this.#startHigh)
        continue
      if (block.packetCount[at] === PACKETS_PER_FLOW_MAX) continue
      index.putAtEnd(row, block.hashes[at]!)
    }
  }
}

/** One more packet with these signs. */
function countSigns(block: FlowBlock, at: number, signs: number): void {
  for (let left = signs; left !== 0; left &= left - 1) block.signCounts[31 - Math.clz32(left & -left)]![at]!++
}

function isPlainRow(
  block: FlowBlock,
  at: number,
  src: number,
  dstIndex: number,
  header: number,
  ports: number,
  tcpFlags: number,
  signs: number,
  synLow: number,
  synHigh: number,
): boolean {
  const low = at * 2
  const high = low + 1
  return (
    (block.srcLow[low]! ^ src) === 0 &&
    (block.dstIndex[low]! ^ dstIndex) === 0 &&
    block.servicePort[at] === (ports & 0xffff) &&
    block.protocol[at] === (header & 0xff) &&
    block.ttl[at] === ((header >>> 8) & 0xff) &&
    block.ipVersion[at] === 4 &&
    block.trafficClass[at] === ((header >>> 20) & 3) &&
    block.tcpFlags[at] === tcpFlags &&
    block.signs[at] === signs &&
    (block.synProfile[low]! ^ synLow) === 0 &&
    (block.synProfile[high]! ^ synHigh) === 0 &&
    block.peerPort[at] === ports >>> 16 &&
    block.slot[at] === header >>> 24 &&
    (block.victimLow[low]! | block.victimLow[high]! | block.victimHigh[low]! | block.victimHigh[high]!) === 0
  )
}
