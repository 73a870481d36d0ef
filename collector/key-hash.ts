import { randomFillSync } from 'node:crypto'

/**
 * NH of 16-bit halves (Black, Halevi, Krawczyk, Krovetz and Rogaway 1999, UMAC), seeded anew in each process: two
 * different keys agree with probability 2⁻¹⁶ at most, whoever chose them. So nobody can aim packets at one chain of
 * the index. It decides nothing that is written: rows are in order of appearance.
 */
const SEEDS = randomFillSync(new Uint16Array(32))
const [A0, A1, A2, A3, A4, A5, A6, A7] = SEEDS as unknown as Eight
const [B0, B1, B2, B3, B4, B5, B6, B7] = SEEDS.subarray(8) as unknown as Eight
const [C0, C1, C2, C3, C4, C5, C6, C7] = SEEDS.subarray(16) as unknown as Eight
const [D0, D1, D2, D3, D4, D5, D6, D7] = SEEDS.subarray(24) as unknown as Eight
type Eight = readonly [number, number, number, number, number, number, number, number]

/** A sum over the words that every key has; sums of the parts of a key are added up, and `finishHash` comes last. */
export function hashKey(
  src: number,
  dst: number,
  header: number,
  ports: number,
  tcpFlags: number,
  signs: number,
  synLow: number,
  synHigh: number,
): number {
  return (
    (product(src, A0, A1) +
      product(dst, A2, A3) +
      product(header, A4, A5) +
      product(ports, A6, A7) +
      product(tcpFlags | (signs << 12), B0, B1) +
      product(synLow, B2, B3) +
      product(synHigh, B4, B5) +
      product(signs >>> 20, B6, B7)) |
    0
  )
}

/** What an IPv6 address adds. */
export function hashIpv6(a: number, b: number, c: number, d: number): number {
  return (product(a, C0, C1) + product(b, C2, C3) + product(c, C4, C5) + product(d, C6, C7)) | 0
}

/** What a victim adds. */
export function hashVictim(a: number, b: number, c: number, d: number): number {
  return (product(a, D0, D1) + product(b, D2, D3) + product(c, D4, D5) + product(d, D6, D7)) | 0
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
