import { formatPrefix, ipv4ToAddress } from '../schemas/address.ts'

/** Blocks of 256 addresses that are followed; a larger telescope is not guessed whole. */
const BLOCKS_MAX = 65_536
const BLOCK_BITS = 8
const WORDS_PER_BLOCK = 8
/** First address that no host has: multicast, reserved, broadcast. */
const MULTICAST_FIRST = 0xe000_0000

export interface LikelyPrefix {
  readonly prefix: string
  readonly packets: number
  /** Distinct destinations seen in it. */
  readonly destinations: number
}

interface Block {
  packets: number
  /** One bit for each address that was a destination. */
  readonly seen: Uint32Array
}

/**
 * Guesses which IPv4 prefixes a capture is of, from the destinations of its packets: the smallest prefix around the
 * destinations of each /24, neighbours joined. A guess, because an address that nobody probed looks like one that is
 * not there.
 */
export class LikelyPrefixes {
  private readonly blocks = new Map<number, Block>()

  /** @param address IPv4 destination in host byte order */
  add(address: number): void {
    if (address >= MULTICAST_FIRST) return
    const key = address >>> BLOCK_BITS
    let block = this.blocks.get(key)
    if (block === undefined) {
      if (this.blocks.size === BLOCKS_MAX) return
      block = { packets: 0, seen: new Uint32Array(WORDS_PER_BLOCK) }
      this.blocks.set(key, block)
    }
    block.packets++
    block.seen[(address >>> 5) & 7]! |= 1 << (address & 31)
  }

  /** The prefixes with most packets, most first. */
  list(limit: number): LikelyPrefix[] {
    const spans = [...this.blocks].sort(([a], [b]) => a - b).map(([key, block]) => blockSpan(key, block))
    const rows = joinNeighbours(spans).sort((a, b) => b.packets - a.packets)
    return rows.slice(0, limit).map(({ first, bits, packets, destinations }) => {
      const start = ipv4ToAddress(first)
      const last = start + (1n << BigInt(bits)) - 1n
      return { prefix: formatPrefix({ first: start, last, length: 128 - bits }), packets, destinations }
    })
  }
}

/** A prefix as its first address and the number of host bits. */
interface Span {
  readonly first: number
  readonly bits: number
  readonly packets: number
  readonly destinations: number
}

function blockSpan(key: number, { packets, seen }: Block): Span {
  let low = -1
  let high = -1
  let destinations = 0
  for (let host = 0; host < 1 << BLOCK_BITS; host++) {
    if ((seen[host >>> 5]! & (1 << (host & 31))) === 0) continue
    if (low < 0) low = host
    high = host
    destinations++
  }
  const bits = low === high ? 0 : 32 - Math.clz32(low ^ high)
  const first = ((key << BLOCK_BITS) | ((low >>> bits) << bits)) >>> 0
  return { first, bits, packets, destinations }
}

/** Joins the two halves of a prefix, again and again; the spans come in address order. */
function joinNeighbours(spans: readonly Span[]): Span[] {
  const joined: Span[] = []
  for (const span of spans) {
    joined.push(span)
    for (let a = joined.at(-2), b = joined.at(-1); a && b && areHalves(a, b); a = joined.at(-2), b = joined.at(-1)) {
      const packets = a.packets + b.packets
      joined.splice(-2, 2, { first: a.first, bits: a.bits + 1, packets, destinations: a.destinations + b.destinations })
    }
  }
  return joined
}

function areHalves(a: Span, b: Span): boolean {
  const size = 2 ** a.bits
  return a.bits === b.bits && b.first === a.first + size && a.first % (size * 2) === 0
}
