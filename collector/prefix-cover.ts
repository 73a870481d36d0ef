/** Small prefixes around addresses. All addresses are 128-bit numbers, IPv4 as IPv4-mapped. */

/** A prefix with the range of positions of the addresses in it. */
export interface CoveringPrefix {
  readonly first: bigint
  /** Host bits: it holds 2 ** bits addresses. */
  readonly bits: number
  readonly from: number
  readonly to: number
}

/** What decides whether addresses lie in one prefix or in several. */
interface CoverRules {
  /** In address order, each once. */
  readonly addresses: readonly bigint[]
  /** In address order: no prefix of more than one address may hold any of these. */
  readonly excluded: readonly bigint[]
  /** How many independent arrivals there were at the addresses of the positions [from, to). */
  readonly arrivals: (from: number, to: number) => number
}

/** A prefix of which less was seen is no prefix but some addresses: two in a /24, 512 in a /16. */
const SEEN_SHARE_MIN = 1 / 128
/** A part that stayed empty is not of the prefix when chance would leave it so less often than this. */
const EMPTY_CHANCE_MIN = 1e-3
/** Sources come in groups and do not choose evenly: this much of them count as independent. */
const INDEPENDENT_SHARE = 1 / 2
/** Parts as small as one address, or this share, are not looked at: some networks filter their first and last address. */
const EMPTY_PART_MIN = 1 / 256

/**
 * The largest prefixes that the addresses are evidence for. From the smallest prefix around all of them downwards: a
 * prefix is taken when enough of it was seen, nothing excluded lies in it, and chance explains the parts of it that
 * were not seen; else its halves are looked at.
 */
export function coverWithPrefixes(rules: CoverRules): CoveringPrefix[] {
  const cover: CoveringPrefix[] = []
  const pending: (readonly [number, number])[] = rules.addresses.length === 0 ? [] : [[0, rules.addresses.length]]
  for (let range = pending.pop(); range; range = pending.pop()) {
    const prefix = smallestAround(rules.addresses, ...range)
    if (prefix.bits === 0 || isOnePrefix(prefix, rules)) cover.push(prefix)
    else {
      const middle = lowerBound(rules.addresses, prefix.first + (1n << BigInt(prefix.bits - 1)), prefix.from, prefix.to)
      pending.push([middle, prefix.to], [prefix.from, middle])
    }
  }
  return cover
}

/** Position of the first address that is not below the value; the addresses come in order. */
export function lowerBound(
  addresses: readonly bigint[],
  value: bigint,
  from = 0,
  to: number = addresses.length,
): number {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >>> 1
    if (addresses[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

function smallestAround(addresses: readonly bigint[], from: number, to: number): CoveringPrefix {
  const bits = bitLength(addresses[from]! ^ addresses[to - 1]!)
  return { first: (addresses[from]! >> BigInt(bits)) << BigInt(bits), bits, from, to }
}

function isOnePrefix(prefix: CoveringPrefix, rules: CoverRules): boolean {
  const { first, bits, from, to } = prefix
  const size = 2 ** bits
  if ((to - from) / size < SEEN_SHARE_MIN) return false
  const last = first + (1n << BigInt(bits)) - 1n
  if (lowerBound(rules.excluded, first) < lowerBound(rules.excluded, last + 1n)) return false
  const empty = largestEmptyPart(prefix, rules.addresses)
  if (empty <= Math.max(1, size * EMPTY_PART_MIN)) return true
  // Each arrival misses the part with probability 1 - empty / size; there are size / empty parts like it.
  const arrivals = rules.arrivals(from, to) * INDEPENDENT_SHARE
  return (size / empty) * Math.exp((-arrivals * empty) / size) >= EMPTY_CHANCE_MIN
}

/** Size of the largest prefix within the given one that holds no address. */
function largestEmptyPart({ first, bits, from, to }: CoveringPrefix, addresses: readonly bigint[]): number {
  // With enough of it seen, offsets fit into a number: 128 times the addresses that are followed.
  const end = 2 ** bits
  let largest = 0
  let start = 0
  for (let at = from; at <= to; at++) {
    const next = at < to ? Number(addresses[at]! - first) : end
    largest = Math.max(largest, largestAligned(start, next))
    start = next + 1
  }
  return largest
}

/** Size of the largest aligned power of two that lies in [start, end). */
function largestAligned(start: number, end: number): number {
  let size = 1
  if (end <= start) return 0
  while (Math.ceil(start / (size * 2)) * size * 2 + size * 2 <= end) size *= 2
  return size
}

function bitLength(value: bigint): number {
  if (value < 1n << 32n) return 32 - Math.clz32(Number(value))
  return value.toString(2).length
}
