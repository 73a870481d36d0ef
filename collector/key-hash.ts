import { randomFillSync } from 'node:crypto'

/** Words that a key can have. */
const WORDS_MAX = 16

/**
 * Multilinear hashing of 16-bit halves with two independent sets of random multipliers (Lemire and Kaser 2014,
 * "multilinear", K = 32): two different keys agree in all 32 bits with probability 2⁻³², whoever chose them. So nobody
 * can aim packets at one chain of the index. It decides nothing that is written: rows are in order of appearance.
 */
export class KeyHash {
  #multipliers = randomFillSync(new Int32Array(WORDS_MAX * 4))
  #first = 0
  #second = 0

  start(): void {
    this.#first = 0
    this.#second = 0
  }

  /** @param place of the word in the key, 0 to 15; words that are left out count as 0 */
  add(place: number, word: number): void {
    const multipliers = this.#multipliers
    const low = word & 0xffff
    const high = word >>> 16
    const at = place * 4
    this.#first = (this.#first + Math.imul(low, multipliers[at]!) + Math.imul(high, multipliers[at + 1]!)) | 0
    this.#second = (this.#second + Math.imul(low, multipliers[at + 2]!) + Math.imul(high, multipliers[at + 3]!)) | 0
  }

  /** 32 bits, signed. */
  value(): number {
    // Only the upper halves of the sums are as good as random.
    return (this.#first & 0xffff_0000) | (this.#second >>> 16)
  }
}
