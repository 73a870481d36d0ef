import { randomFillSync } from 'node:crypto'

/**
 * NH of 16-bit halves (Black, Halevi, Krawczyk, Krovetz and Rogaway 1999, UMAC), seeded anew in each process: two
 * different keys agree with probability 2⁻¹⁶ at most, whoever chose them. So nobody can aim packets at one chain of
 * the index. It decides nothing that is written: rows are in order of appearance.
 */
const SEEDS = randomFillSync(new Uint16Array(32))
const [A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11] = SEEDS as unknown as Twelve
const [B0, B1, B2, B3, B4, B5, B6, B7] = SEEDS.subarray(12) as unknown as Eight
const [C0, C1, C2, C3, C4, C5, C6, C7] = SEEDS.subarray(20) as unknown as Eight
type Eight = readonly [number, number, number, number, number, number, number, number]
type Twelve = readonly [...Eight, number, number, number, number]

/**
 * A sum over the words that every key has; sums of the parts of a key are added up, and `finishHash` comes last. The
 * signs of a packet take no part: packets that differ in nothing else are few, and comparing tells them apart.
 */
export function hashKey(
  src: number,
  dst: number,
  header: number,
  ports: number,
  synLow: number,
  synHigh: number,
): number {
  return (
    (product(src, A0, A1) +
      product(dst, A2, A3) +
      product(header, A4, A5) +
      product(ports, A6, A7) +
      product(synLow, A8, A9) +
      product(synHigh, A10, A11)) |
    0
  )
}

/** What an IPv6 packet adds: the upper words of source and destination index. */
export function hashIpv6(src0: number, src1: number, src2: number, dstHigh: number): number {
  return (product(src0, B0, B1) + product(src1, B2, B3) + product(src2, B4, B5) + product(dstHigh, B6, B7)) | 0
}

/** What a victim adds. */
export function hashVictim(word0: number, word1: number, word2: number, word3: number): number {
  return (product(word0, C0, C1) + product(word1, C2, C3) + product(word2, C4, C5) + product(word3, C6, C7)) | 0
}

/** The hash of any words, at most sixteen: each with the seeds of its place. */
export function hashWords(words: Uint32Array, start: number, count: number): number {
  let sum = 0
  for (let word = 0; word < count; word++) {
    sum += product(words[start + word]!, SEEDS[2 * word]!, SEEDS[2 * word + 1]!)
  }
  return finishHash(sum | 0)
}

/** Spreads a sum over all 32 bits, one to one; signed. */
export function finishHash(sum: number): number {
  const mixed = Math.imul(sum ^ (sum >>> 15), 0x2c1b3c6d)
  const again = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39)
  return again ^ (again >>> 15)
}

function product(word: number, seedLow: number, seedHigh: number): number {
  return Math.imul((word + seedLow) & 0xffff, ((word >>> 16) + seedHigh) & 0xffff)
}
