import { randomFillSync } from 'node:crypto'
import { FLOWS_PER_BATCH_MAX, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { CLASS_BACKSCATTER, CLASS_SCAN, PROTOCOL } from '../schemas/protocol.ts'
import { INTERVAL_SECONDS } from '../schemas/time.ts'
import { backscatterSlot, classify, peerPort, servicePort } from './classify.ts'
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
  ROW_KEY_WORDS,
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
import type { Packet } from './packet.ts'
import { spoofBits } from './spoof.ts'
import { synProfileHigh, synProfileLow } from './syn-profile.ts'
import { matchTools } from './tools.ts'

/**
 * Flows in memory: an open-addressing hash table whose slots name rows, and rows of 32-bit words in blocks. Rows are
 * in order of first appearance. Rows are interleaved rather than one array a column, because a lookup compares all
 * key words of one row: two cache lines instead of sixteen.
 *
 * Blocks hold as many rows as a record batch, so that growing copies nothing and a block becomes a record batch.
 */

/** A slot: bits 0-19 row, bits 20-31 part of the hash, which spares most comparisons with other rows. */
const ROW_BITS = 20
const ROW_MASK = 2 ** ROW_BITS - 1
const EMPTY = -1
const SLOTS_FIRST = 2 ** 12

/** Rows whose packets differ in their signs: past this the table counts as full, so that memory stays bounded. */
const EXTRAS_MAX = 2 ** 18
const EXTRAS_FIRST = 2 ** 8
const HAS_EXTRAS = 0x8000_0000 | 0

/** Key words as 16-bit halves, each with two random multipliers. */
const HASH_TERMS = ROW_KEY_WORDS * 2

export interface FlowTableOptions {
  /** Keys at which the table is full; at most FLOWS_PER_BATCH_MAX. */
  readonly flowsMax?: number
}

export class FlowTable {
  readonly flowsMax: number
  #rowCount = 0
  #blocks: Int32Array[] = []
  #slots = new Int32Array(SLOTS_FIRST).fill(EMPTY)
  #extras = new Int32Array(EXTRAS_FIRST * SIGN_COUNT)
  #extraCount = 0
  /**
   * Multilinear hashing of 16-bit halves with two independent sets of random multipliers (Lemire and Kaser 2014,
   * "multilinear", K = 32): two different keys agree in all 32 bits with probability 2⁻³², whoever chose them. So no
   * sender can aim packets at one chain. It decides nothing that is written: rows are in order of appearance.
   */
  #multipliers = randomFillSync(new Int32Array(HASH_TERMS * 2))
  /** Key of the packet at hand. */
  #key = new Int32Array(ROW_KEY_WORDS)

  constructor({ flowsMax = FLOWS_PER_BATCH_MAX }: FlowTableOptions = {}) {
    if (!(flowsMax >= 1 && flowsMax <= FLOWS_PER_BATCH_MAX && flowsMax < ROW_MASK)) {
      throw new TelescopeError('INTERNAL', `flow table: ${flowsMax} flows is not in 1 to ${FLOWS_PER_BATCH_MAX}`)
    }
    this.flowsMax = flowsMax
  }

  get rowCount(): number {
    return this.#rowCount
  }

  /** True when the next `add` needs an emptied table. */
  get isFull(): boolean {
    return this.#rowCount >= this.flowsMax || this.#extraCount >= EXTRAS_MAX
  }

  /**
   * Counts a packet without drop reason into its flow. The table must not be full. The time must be at or after 1970
   * and the interval number must fit 32 bits.
   * @param dstIndexHigh upper 32 bits of the destination index, unsigned
   * @param dstIndexLow lower 32 bits, unsigned
   */
  add(packet: Packet, dstIndexHigh: number, dstIndexLow: number): void {
    const interval = Math.floor(packet.seconds / INTERVAL_SECONDS)
    const second = packet.seconds - interval * INTERVAL_SECONDS
    const trafficClass = classify(packet)
    this.#setKey(packet, interval, second, trafficClass, dstIndexHigh | 0, dstIndexLow | 0)
    const signs = matchTools(packet) | (spoofBits(packet) << SIGN_SPOOF_SHIFT) | (packet.isFragment << SIGN_FRAGMENT)

    const hash = this.#hash(this.#key, 0)
    const slots = this.#slots
    const slotMask = slots.length - 1
    for (let at = hash & slotMask; ; at = (at + 1) & slotMask) {
      const slot = slots[at]!
      if (slot === EMPTY) {
        slots[at] = this.#rowCount | (hash & ~ROW_MASK)
        this.#insert(packet, second, trafficClass, signs)
        return
      }
      if (((slot ^ hash) & ~ROW_MASK) === 0 && this.#isRow(slot & ROW_MASK)) {
        this.#update(slot & ROW_MASK, packet, second, signs)
        return
      }
    }
  }

  /** Rows of a block as unsigned words, valid until `clear`; null past the last block. */
  block(index: number): { words: Uint32Array; rowCount: number } | null {
    const rowCount = Math.min(this.#rowCount - index * FLOWS_PER_RECORD_BATCH, FLOWS_PER_RECORD_BATCH)
    if (rowCount <= 0) return null
    return { words: new Uint32Array(this.#blocks[index]!.buffer), rowCount }
  }

  /** Counters of the rows whose packets differ in their signs, SIGN_COUNT a row, valid until `clear`. */
  get extras(): Uint32Array {
    return new Uint32Array(this.#extras.buffer)
  }

  /** Empties the table and keeps its memory for the next rows. */
  clear(): void {
    // A table that was once large and now holds little must not pay for its size at every flush.
    if (this.#slots.length > SLOTS_FIRST && this.#rowCount * 16 < this.#slots.length) {
      this.#slots = new Int32Array(SLOTS_FIRST)
    }
    this.#slots.fill(EMPTY)
    this.#rowCount = 0
    this.#extraCount = 0
  }

  #setKey(
    packet: Packet,
    interval: number,
    second: number,
    trafficClass: number,
    dstIndexHigh: number,
    dstIndexLow: number,
  ): void {
    const key = this.#key
    key[ROW_INTERVAL] = interval
    key[ROW_SRC] = packet.src0
    key[ROW_SRC + 1] = packet.src1
    key[ROW_SRC + 2] = packet.src2
    key[ROW_SRC + 3] = packet.src3
    key[ROW_DST_INDEX_HIGH] = dstIndexHigh
    key[ROW_DST_INDEX_LOW] = dstIndexLow
    key[ROW_HEADER] =
      packet.protocol |
      (packet.ttl << HEADER_TTL_SHIFT) |
      (packet.ipVersion << HEADER_VERSION_SHIFT) |
      (trafficClass << HEADER_CLASS_SHIFT) |
      (backscatterSlot(second, trafficClass) << HEADER_SLOT_SHIFT)
    key[ROW_PORTS] = servicePort(packet, trafficClass) | (peerPort(packet, trafficClass) << 16)
    key[ROW_TCP_FLAGS] = packet.tcpFlags < 0 ? 0 : packet.tcpFlags
    if (trafficClass === CLASS_SCAN && packet.protocol === PROTOCOL.tcp) {
      key[ROW_SYN_PROFILE_LOW] = synProfileLow(packet)
      key[ROW_SYN_PROFILE_HIGH] = synProfileHigh(packet)
    } else {
      key[ROW_SYN_PROFILE_LOW] = 0
      key[ROW_SYN_PROFILE_HIGH] = 0
    }
    const hasVictim = trafficClass === CLASS_BACKSCATTER && packet.quotedVersion !== 0
    key[ROW_VICTIM] = hasVictim ? packet.quotedDst0 : 0
    key[ROW_VICTIM + 1] = hasVictim ? packet.quotedDst1 : 0
    key[ROW_VICTIM + 2] = hasVictim ? packet.quotedDst2 : 0
    key[ROW_VICTIM + 3] = hasVictim ? packet.quotedDst3 : 0
  }

  #hash(words: Int32Array, offset: number): number {
    const multipliers = this.#multipliers
    let first = 0
    let second = 0
    for (let index = 0, term = 0; index < ROW_KEY_WORDS; index++, term += 4) {
      const word = words[offset + index]!
      if (word === 0) continue
      const low = word & 0xffff
      const high = word >>> 16
      first = (first + Math.imul(low, multipliers[term]!) + Math.imul(high, multipliers[term + 1]!)) | 0
      second = (second + Math.imul(low, multipliers[term + 2]!) + Math.imul(high, multipliers[term + 3]!)) | 0
    }
    // Only the upper halves of the sums are as good as random.
    return (first & 0xffff_0000) | (second >>> 16)
  }

  #isRow(row: number): boolean {
    const words = this.#blocks[Math.trunc(row / FLOWS_PER_RECORD_BATCH)]!
    const key = this.#key
    const offset = (row % FLOWS_PER_RECORD_BATCH) * ROW_WORDS
    for (let index = 0; index < ROW_KEY_WORDS; index++) if (words[offset + index] !== key[index]) return false
    return true
  }

  #insert(packet: Packet, second: number, trafficClass: number, signs: number): void {
    const row = this.#rowCount++
    const blockIndex = Math.trunc(row / FLOWS_PER_RECORD_BATCH)
    if (blockIndex === this.#blocks.length) this.#blocks.push(new Int32Array(FLOWS_PER_RECORD_BATCH * ROW_WORDS))
    const words = this.#blocks[blockIndex]!
    const offset = (row % FLOWS_PER_RECORD_BATCH) * ROW_WORDS
    const key = this.#key
    for (let index = 0; index < ROW_KEY_WORDS; index++) words[offset + index] = key[index]!
    const portSample = trafficClass === CLASS_SCAN && packet.srcPort > 0 ? packet.srcPort : 0
    words[offset + ROW_PACKET_COUNT] = 1
    words[offset + ROW_BYTES_LOW] = packet.ipLength
    words[offset + ROW_BYTES_HIGH] = 0
    words[offset + ROW_NOTES] = second | (second << 8) | (portSample << 16)
    words[offset + ROW_SIGNS] = signs
    if (this.#rowCount * 2 > this.#slots.length) this.#growSlots()
  }

  #update(row: number, packet: Packet, second: number, signs: number): void {
    const words = this.#blocks[Math.trunc(row / FLOWS_PER_RECORD_BATCH)]!
    const offset = (row % FLOWS_PER_RECORD_BATCH) * ROW_WORDS
    words[offset + ROW_PACKET_COUNT]!++
    const bytes = (words[offset + ROW_BYTES_LOW]! >>> 0) + packet.ipLength
    words[offset + ROW_BYTES_LOW] = bytes
    if (bytes >= 2 ** 32) words[offset + ROW_BYTES_HIGH]!++
    const notes = words[offset + ROW_NOTES]!
    const first = Math.min(notes & 0xff, second)
    const last = Math.max((notes >>> 8) & 0xff, second)
    words[offset + ROW_NOTES] = (notes & ~0xffff) | first | (last << 8)
    if (words[offset + ROW_SIGNS] !== signs) this.#countSigns(words, offset, signs)
  }

  /** Counts the signs of a packet in a flow whose packets do not all agree; packet_count includes it already. */
  #countSigns(words: Int32Array, offset: number, signs: number): void {
    const before = words[offset + ROW_SIGNS]!
    let extra = before & ~HAS_EXTRAS
    if ((before & HAS_EXTRAS) === 0) {
      extra = this.#extraCount++
      if (this.#extraCount * SIGN_COUNT > this.#extras.length) {
        const grown = new Int32Array(this.#extras.length * 2)
        grown.set(this.#extras)
        this.#extras = grown
      }
      words[offset + ROW_SIGNS] = extra | HAS_EXTRAS
      const earlier = words[offset + ROW_PACKET_COUNT]! - 1
      for (let sign = 0; sign < SIGN_COUNT; sign++) {
        this.#extras[extra * SIGN_COUNT + sign] = ((before >>> sign) & 1) * earlier
      }
    }
    for (let sign = 0; sign < SIGN_COUNT; sign++) this.#extras[extra * SIGN_COUNT + sign]! += (signs >>> sign) & 1
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(EMPTY)
    const slotMask = slots.length - 1
    for (let row = 0; row < this.#rowCount; row++) {
      const words = this.#blocks[Math.trunc(row / FLOWS_PER_RECORD_BATCH)]!
      const hash = this.#hash(words, (row % FLOWS_PER_RECORD_BATCH) * ROW_WORDS)
      let at = hash & slotMask
      while (slots[at] !== EMPTY) at = (at + 1) & slotMask
      slots[at] = row | (hash & ~ROW_MASK)
    }
    this.#slots = slots
  }
}
