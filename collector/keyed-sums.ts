import { hashWords } from './key-hash.ts'

/** Sums by a key of some words of 32 bits: open addressing, no deletion, rows in the order in which their keys came. */
export class KeyedSums {
  readonly keyWords: number
  readonly countWords: number
  /** Of each row: the words of its key, its counts, and a sum that may be wider than 32 bits. */
  readonly keys: Uint32Array
  readonly counts: Uint32Array
  readonly bytes: Float64Array
  size = 0
  /** Row + 1 by the hash of its key; 0 where there is none. At most half full. */
  readonly #index: Uint32Array

  /** @param rowsMax keys that there can be */
  constructor(keyWords: number, countWords: number, rowsMax: number) {
    this.keyWords = keyWords
    this.countWords = countWords
    this.keys = new Uint32Array(rowsMax * keyWords)
    this.counts = new Uint32Array(rowsMax * countWords)
    this.bytes = new Float64Array(rowsMax)
    this.#index = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(1, rowsMax) * 2)))
  }

  /** @returns row of the key that stands behind the last row in `keys`; a new one has sums of 0 */
  find(): number {
    const { keys, keyWords } = this
    const index = this.#index
    const mask = index.length - 1
    const key = this.size * keyWords
    let slot = hashWords(keys, key, keyWords) & mask
    for (let found = index[slot]!; found !== 0; found = index[slot]!) {
      const start = (found - 1) * keyWords
      let word = 0
      while (word < keyWords && keys[start + word] === keys[key + word]) word++
      if (word === keyWords) return found - 1
      slot = (slot + 1) & mask
    }
    index[slot] = ++this.size
    return this.size - 1
  }
}
