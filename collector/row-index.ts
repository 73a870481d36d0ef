/**
 * Open addressing from the hashes of one interval's keys to rows. A slot: bits 0-19 row + 1, bits 20-31 part of the
 * hash, which spares most comparisons with other rows. A slot whose row is older than the interval counts as empty, so
 * that opening an interval clears nothing. The searching itself is in FlowTable, where it is done for every packet.
 */
export const ROW_MASK = 2 ** 20 - 1
export const TAG_MASK = ~ROW_MASK
const SLOTS_FIRST = 2 ** 12
const SLOTS_KEPT_MAX = 2 ** 16

export class RowIndex {
  /** A power of two of them. */
  slots = new Int32Array(SLOTS_FIRST)
  /** Slots in use. */
  used = 0
  /** Row number at which the interval was opened: all its rows come later. */
  firstRow = 0
  #interval = -1

  /** Makes this the index of an interval; it stays as it is when it is that already. */
  open(interval: number, rowCount: number): void {
    if (this.#interval === interval) return
    this.#interval = interval
    this.firstRow = rowCount
    this.used = 0
  }

  /** Forgets all rows, for a table whose row numbers begin anew. */
  reset(): void {
    this.#interval = -1
    this.used = 0
    // One that was once very large must not cost its size at every flush.
    if (this.slots.length > SLOTS_KEPT_MAX) this.slots = new Int32Array(SLOTS_FIRST)
    else this.slots.fill(0)
  }

  /** Puts a row behind all that may have its hash. */
  putAtEnd(row: number, hash: number): void {
    const { slots, firstRow } = this
    let at = hash & (slots.length - 1)
    while ((slots[at]! & ROW_MASK) > firstRow) at = (at + 1) & (slots.length - 1)
    slots[at] = (row + 1) | (hash & TAG_MASK)
    this.used++
  }

  /** Doubles the slots and empties them; the caller puts all rows again. */
  grow(): void {
    this.slots = new Int32Array(this.slots.length * 2)
    this.used = 0
  }
}
