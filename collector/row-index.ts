/**
 * Open addressing from the hashes of one interval's keys to rows. A slot: bits 0-19 row + 1, bits 20-31 part of the
 * hash, which spares most comparisons with other rows. A slot whose row is older than the interval counts as empty, so
 * that opening an interval clears nothing.
 */
const ROW_MASK = 2 ** 20 - 1
const SLOTS_FIRST = 2 ** 12

export class RowIndex {
  /** Row number at which the interval was opened: all its rows come later. */
  firstRow = 0
  #interval = -1
  #slots = new Int32Array(SLOTS_FIRST)
  #used = 0
  /** Where the last search ended. */
  #at = 0
  #hash = 0

  /** Makes this the index of an interval; it stays as it is when it is that already. */
  open(interval: number, rowCount: number): void {
    if (this.#interval === interval) return
    this.#interval = interval
    this.firstRow = rowCount
    this.#used = 0
  }

  /** Forgets all rows, for a table whose row numbers begin anew. */
  reset(): void {
    this.#interval = -1
    this.#used = 0
    // One that was once large must not cost its size at every flush.
    if (this.#slots.length > SLOTS_FIRST) this.#slots = new Int32Array(SLOTS_FIRST)
    else this.#slots.fill(0)
  }

  /** The first row that may have this hash; -1 when there is none. */
  find(hash: number): number {
    this.#hash = hash
    this.#at = hash & (this.#slots.length - 1)
    return this.#search()
  }

  /** The next row after the one found last. */
  findNext(): number {
    this.#at = (this.#at + 1) & (this.#slots.length - 1)
    return this.#search()
  }

  /** Puts a row where the last search ended: at the empty slot, or in place of the row found there. */
  put(row: number, hash: number): void {
    if (this.#isEmpty(this.#slots[this.#at]!)) this.#used++
    this.#slots[this.#at] = (row + 1) | (hash & ~ROW_MASK)
  }

  /** Puts a row behind all that may have its hash. */
  putAtEnd(row: number, hash: number): void {
    for (let found = this.find(hash); found >= 0; ) found = this.findNext()
    this.put(row, hash)
  }

  /** True when searches begin to take long: half of the slots are in use. */
  get isCrowded(): boolean {
    return this.#used * 2 > this.#slots.length
  }

  /** Doubles the slots and empties them; the caller puts all rows again. */
  grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2)
    this.#used = 0
  }

  #search(): number {
    const slots = this.#slots
    const slotMask = slots.length - 1
    const hash = this.#hash
    let at = this.#at
    for (;;) {
      const slot = slots[at]!
      if (this.#isEmpty(slot)) {
        this.#at = at
        return -1
      }
      if (((slot ^ hash) & ~ROW_MASK) === 0) {
        this.#at = at
        return (slot & ROW_MASK) - 1
      }
      at = (at + 1) & slotMask
    }
  }

  #isEmpty(slot: number): boolean {
    return (slot & ROW_MASK) <= this.firstRow
  }
}
