import { hashWords } from './key-hash.ts'

/** Sums by a key of some words of 32 bits: open addressing, no deletion, rows in the order in which their keys came. */
export class KeyedSums {
  /** The key that `find` looks for. */
  readonly key: Uint32Array
  /** Of each row: the words of its key, its counts, and a sum that may be wider than 32 bits. */
  keys: Uint32Array
  counts: Uint32Array
  bytes: Float64Array
  size = 0
  readonly keyWords: number
  readonly countWords: number
  #capacity = 1024
  /** Row + 1 by the hash of its key; 0 where there is none. At most half full. */
  #index: Uint32Array

  constructor(keyWords: number, countWords: number) {
    this.keyWords = keyWords
    this.countWords = countWords
    this.key = new Uint32Array(keyWords)
    this.keys = new Uint32Array(this.#capacity * keyWords)
    this.counts = new Uint32Array(this.#capacity * countWords)
    this.bytes = new Float64Array(this.#capacity)
    this.#index = new Uint32Array(this.#capacity * 2)
  }

  /** @returns row of `key`; a new one has sums of 0. Afterwards the arrays may be others. */
  find(): number {
    const { key } = this
    const words = this.keyWords
    const mask = this.#index.length - 1
    let slot = hashWords(key, 0, words) & mask
    for (let found = this.#index[slot]!; found !== 0; found = this.#index[slot]!) {
      const start = (found - 1) * words
      let word = 0
      while (word < words && this.keys[start + word] === key[word]) word++
      if (word === words) return found - 1
      slot = (slot + 1) & mask
    }
    const row = this.size++
    this.keys.set(key, row * words)
    this.#index[slot] = row + 1
    if (this.size === this.#capacity) this.#grow()
    return row
  }

  #grow(): void {
    this.#capacity *= 2
    this.keys = grown(this.keys, this.#capacity * this.keyWords)
    this.counts = grown(this.counts, this.#capacity * this.countWords)
    this.bytes = grown(this.bytes, this.#capacity)
    this.#index = new Uint32Array(this.#capacity * 2)
    const mask = this.#index.length - 1
    for (let row = 0; row < this.size; row++) {
      let slot = hashWords(this.keys, row * this.keyWords, this.keyWords) & mask
      while (this.#index[slot] !== 0) slot = (slot + 1) & mask
      this.#index[slot] = row + 1
    }
  }
}

function grown<T extends Uint32Array | Float64Array>(array: T, length: number): T {
  const larger = new (array.constructor as new (length: number) => T)(length)
  larger.set(array)
  return larger
}
