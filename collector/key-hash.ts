import { randomFillSync } from 'node:crypto'

/**
 * Multilinear hashing of 16-bit halves with two independent sets of random multipliers (Lemire and Kaser 2014,
 * "multilinear", K = 32): two different keys agree in all 32 bits with probability 2⁻³², whoever chose them. So nobody
 * can aim packets at one chain of the index. It decides nothing that is written: rows are in order of appearance.
 *
 * Each hash is of four words; the hashes of the parts of a key, each with multipliers of its own, are joined by xor.
 */
type HashMultipliers = Int32Array

/** Fresh random multipliers for four words. */
export function createHashMultipliers(): HashMultipliers {
  return randomFillSync(new Int32Array(16))
}

/** 32 bits, signed. */
export function hashWords(multipliers: HashMultipliers, a: number, b: number, c: number, d: number): number {
  const m = multipliers
  const first =
    Math.imul(a & 0xffff, m[0]!) +
    Math.imul(a >>> 16, m[1]!) +
    Math.imul(b & 0xffff, m[2]!) +
    Math.imul(b >>> 16, m[3]!) +
    Math.imul(c & 0xffff, m[4]!) +
    Math.imul(c >>> 16, m[5]!) +
    Math.imul(d & 0xffff, m[6]!) +
    Math.imul(d >>> 16, m[7]!)
  const second =
    Math.imul(a & 0xffff, m[8]!) +
    Math.imul(a >>> 16, m[9]!) +
    Math.imul(b & 0xffff, m[10]!) +
    Math.imul(b >>> 16, m[11]!) +
    Math.imul(c & 0xffff, m[12]!) +
    Math.imul(c >>> 16, m[13]!) +
    Math.imul(d & 0xffff, m[14]!) +
    Math.imul(d >>> 16, m[15]!)
  // Only the upper halves of the sums are as good as random.
  return (first & 0xffff_0000) | ((second >>> 16) & 0xffff)
}
