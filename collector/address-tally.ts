import { randomFillSync } from 'node:crypto'
import { formatIpv4, formatIpv6Groups } from '../schemas/address.ts'

const ROWS_FIRST = 1024
/** The upper three words of an IPv4-mapped address (RFC 4291 section 2.5.5.2). */
const MAPPED_WORD2 = 0xffff
const UPPER_WORDS = 3
/** Drawn anew in each process, so that nobody can choose addresses that meet in one slot. */
const SEEDS = randomFillSync(new Int32Array(2))
const SEED_BEFORE = SEEDS[0]!
const SEED_BETWEEN = SEEDS[1]!

/**
 * Counts packets by address, IPv4 and IPv6, in bounded memory: open addressing over typed arrays, 20 bytes an IPv4
 * address. Rows are in order of first appearance. After `rowsMax` distinct addresses new ones are only counted
 * together; the counts of those that have a row stay exact.
 */
export class AddressTally {
  rowCount = 0
  /** Packets of addresses that found no room. */
  otherPackets = 0
  /** By row. */
  packets = new Float64Array(ROWS_FIRST)
  private readonly rowsMax: number
  /** Row + 1; 0 is an empty slot. Twice the rows there is room for, so that searches stay short. */
  private slots = new Int32Array(ROWS_FIRST * 2)
  private lows = new Uint32Array(ROWS_FIRST)
  /** Three words a row above the lowest; null while all addresses are IPv4. */
  private uppers: Uint32Array | null = null

  constructor(rowsMax: number) {
    this.rowsMax = rowsMax
  }

  /** True when some addresses were not counted one by one; `rowCount` is then the least number there can be. */
  get isCapped(): boolean {
    return this.otherPackets > 0
  }

  /**
   * Counts packets of an address, given as four unsigned words, IPv4 as IPv4-mapped (as Packet has it).
   * @returns its row; -1 when there was no room
   */
  add(word0: number, word1: number, word2: number, word3: number, packets = 1): number {
    const isIpv4 = word0 === 0 && word1 === 0 && word2 === MAPPED_WORD2
    let at = hash(isIpv4 ? word3 : fold(word0, word1, word2, word3)) & (this.slots.length - 1)
    for (let slot = this.slots[at]!; slot !== 0; slot = this.slots[at]!) {
      if (this.lows[slot - 1] === word3 && this.hasUpper(slot - 1, isIpv4, word0, word1, word2)) {
        this.packets[slot - 1]! += packets
        return slot - 1
      }
      at = (at + 1) & (this.slots.length - 1)
    }
    if (this.rowCount === this.rowsMax) {
      this.otherPackets += packets
      return -1
    }
    return this.addRow(at, isIpv4, word0, word1, word2, word3, packets)
  }

  /**
   * Counts all that another tally has; its rows come in their order.
   * @param onRow called with the row of each address here, and with its row there; not for those without room
   */
  merge(other: AddressTally, onRow?: (row: number, from: number) => void): void {
    this.otherPackets += other.otherPackets
    for (let from = 0; from < other.rowCount; from++) {
      const [word0, word1, word2] = [other.word(from, 0), other.word(from, 1), other.word(from, 2)]
      const row = this.add(word0, word1, word2, other.word(from, 3), other.packets[from]!)
      if (row >= 0) onRow?.(row, from)
    }
  }

  /** Packets of an address; 0 when it has no row. */
  packetsOf(word0: number, word1: number, word2: number, word3: number): number {
    const isIpv4 = word0 === 0 && word1 === 0 && word2 === MAPPED_WORD2
    let at = hash(isIpv4 ? word3 : fold(word0, word1, word2, word3)) & (this.slots.length - 1)
    for (let slot = this.slots[at]!; slot !== 0; slot = this.slots[at]!) {
      const row = slot - 1
      if (this.lows[row] === word3 && this.hasUpper(row, isIpv4, word0, word1, word2)) return this.packets[row]!
      at = (at + 1) & (this.slots.length - 1)
    }
    return 0
  }

  /** One of the four words of a row's address, 0 the most significant. */
  word(row: number, index: 0 | 1 | 2 | 3): number {
    if (index === 3) return this.lows[row]!
    if (this.uppers !== null) return this.uppers[row * UPPER_WORDS + index]!
    return index === 2 ? MAPPED_WORD2 : 0
  }

  isIpv4(row: number): boolean {
    return this.word(row, 2) === MAPPED_WORD2 && this.word(row, 1) === 0 && this.word(row, 0) === 0
  }

  text(row: number): string {
    if (this.isIpv4(row)) return formatIpv4(this.word(row, 3))
    const words = [this.word(row, 0), this.word(row, 1), this.word(row, 2), this.word(row, 3)]
    return formatIpv6Groups(words.flatMap(word => [word >>> 16, word & 0xffff]))
  }

  /** Rows with the largest counts, largest first, the earlier among equals. */
  top(limit: number): number[] {
    const best: number[] = []
    for (let row = 0; row < this.rowCount; row++) {
      const packets = this.packets[row]!
      if (best.length === limit && packets <= this.packets[best[limit - 1]!]!) continue
      let at = best.length
      while (at > 0 && this.packets[best[at - 1]!]! < packets) at--
      best.splice(at, 0, row)
      if (best.length > limit) best.pop()
    }
    return best
  }

  private hasUpper(row: number, isIpv4: boolean, word0: number, word1: number, word2: number): boolean {
    const uppers = this.uppers
    if (uppers === null) return isIpv4
    const at = row * UPPER_WORDS
    return uppers[at] === word0 && uppers[at + 1] === word1 && uppers[at + 2] === word2
  }

  private addRow(
    slot: number,
    isIpv4: boolean,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    packets: number,
  ): number {
    const isFull = this.rowCount === this.lows.length
    if (isFull) this.grow()
    const row = this.rowCount++
    this.lows[row] = word3
    this.packets[row] = packets
    if (!isIpv4) this.uppers ??= mappedUppers(this.lows.length)
    if (this.uppers !== null) {
      this.uppers[row * UPPER_WORDS] = word0
      this.uppers[row * UPPER_WORDS + 1] = word1
      this.uppers[row * UPPER_WORDS + 2] = word2
    }
    // Growing moved the empty slot that the search had found.
    if (isFull) this.putSlot(row)
    else this.slots[slot] = row + 1
    return row
  }

  private grow(): void {
    const rows = this.lows.length * 2
    this.lows = enlarged(this.lows, new Uint32Array(rows))
    this.packets = enlarged(this.packets, new Float64Array(rows))
    if (this.uppers !== null) this.uppers = enlarged(this.uppers, mappedUppers(rows))
    this.slots = new Int32Array(rows * 2)
    for (let row = 0; row < rows / 2; row++) this.putSlot(row)
  }

  private putSlot(row: number): void {
    const low = this.lows[row]!
    const key = this.isIpv4(row) ? low : fold(this.word(row, 0), this.word(row, 1), this.word(row, 2), low)
    let at = hash(key) & (this.slots.length - 1)
    while (this.slots[at] !== 0) at = (at + 1) & (this.slots.length - 1)
    this.slots[at] = row + 1
  }
}

function mappedUppers(rows: number): Uint32Array<ArrayBuffer> {
  const uppers = new Uint32Array(rows * UPPER_WORDS)
  for (let at = 2; at < uppers.length; at += UPPER_WORDS) uppers[at] = MAPPED_WORD2
  return uppers
}

function enlarged<Words extends Uint32Array | Float64Array>(old: Words, larger: Words): Words {
  larger.set(old)
  return larger
}

function hash(word: number): number {
  const first = Math.imul(word ^ SEED_BEFORE, 0x2c1b3c6d)
  const second = Math.imul(first ^ (first >>> 15) ^ SEED_BETWEEN, 0x297a2d39)
  return second ^ (second >>> 15)
}

function fold(word0: number, word1: number, word2: number, word3: number): number {
  return hash(hash(hash(word0) ^ word1) ^ word2) ^ word3
}
