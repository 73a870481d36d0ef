import { Keystream } from './keystream.ts'

/** A keyed bijection of [0, size): maps an offset to its place. Pure, constant time per call but for cycle-walking. */
export interface Permutation {
  readonly place: (offset: number) => number
  /** All places by offset, where the size allows a table: quicker than the function. */
  readonly places: Uint16Array | null
}

/** Up to here the whole permutation is a table; above, the table would cost more than the Feistel network's. */
export const SHUFFLE_SIZE_MAX = 65_536

/**
 * A permutation of [0, size) that only the key decides.
 * @param size 1 to 2³²
 */
export function createPermutation(key: Uint8Array, size: number): Permutation {
  if (size > SHUFFLE_SIZE_MAX) return { place: createFeistel(key, size), places: null }
  const places = createShuffle(key, size)
  return { place: offset => places[offset]!, places }
}

/** Fisher–Yates: every one of the size! permutations is equally likely over keys. */
function createShuffle(key: Uint8Array, size: number): Uint16Array {
  const stream = new Keystream(key, `hirundo dst_index shuffle ${size}`)
  const places = Uint16Array.from({ length: size }, (_, offset) => offset)
  for (let last = size - 1; last > 0; last--) {
    const other = stream.nextBelow(last + 1)
    const place = places[last]!
    places[last] = places[other]!
    places[other] = place
  }
  return places
}

/**
 * Four rounds of random functions suffice for large domains (Luby and Rackoff 1988); on domains as small as ours
 * attacks have reached the 8 rounds of FF3 (Durak and Vaudenay 2017). 12 leaves room and costs 12 loads.
 */
const ROUNDS = 12

/**
 * A balanced Feistel network over the smallest even number of bits that holds `size`, walking on while the result is
 * outside [0, size) (Black and Rogaway 2002): at most 4 steps on average. The round functions are tables filled from
 * the keystream, at most 2¹⁶ entries each, so there is no cipher in the packet path.
 */
function createFeistel(key: Uint8Array, size: number): Permutation['place'] {
  const halfBits = Math.ceil(Math.log2(size) / 2)
  const halfSize = 2 ** halfBits
  const mask = halfSize - 1
  const stream = new Keystream(key, `hirundo dst_index feistel ${size}`)
  const tables = Uint16Array.from({ length: ROUNDS * halfSize }, () => stream.nextUint32() & mask)
  return offset => {
    let value = offset
    do {
      let left = Math.floor(value / halfSize)
      let right = value & mask
      for (let base = 0; base < tables.length; base += halfSize) {
        const next = left ^ tables[base + right]!
        left = right
        right = next
      }
      value = left * halfSize + right
    } while (value >= size)
    return value
  }
}
