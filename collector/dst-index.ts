import { createHmac, hkdfSync } from 'node:crypto'
import { countIpv4Addresses, isIpv4, type Prefix } from '../schemas/address.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { DROP_FROM_TELESCOPE, DROP_NONE, DROP_NOT_FOR_TELESCOPE } from './drop.ts'
import type { Packet } from './packet.ts'
import { createPermutation, type Permutation } from './permutation.ts'

/** A sensor has a few prefixes; the bound keeps a mistyped list from turning every packet into a long search. */
const PREFIXES_MAX = 1024

/** 2 × 64 KiB: remembers the hashes of the destinations in use. A power of two. */
const HASH_CACHE_SLOTS = 4096
const SLOT_WORDS = 6

/**
 * Where a destination lies in the keyed order of a sensor's dark addresses, so that the address itself never leaves
 * the sensor.
 *
 * IPv4: a permutation of all IPv4 addresses of the telescope, numbered in address order. IPv6: the first 64 bits of
 * HMAC-SHA-256; n distinct destinations collide anywhere with probability below n² / 2⁶⁵ (a million: 3 × 10⁻⁸).
 */
export class DstIndex {
  /** The result of the last `find` that returned true: upper and lower 32 bits, unsigned. */
  high = 0
  low = 0

  #ipv4First: Uint32Array
  #ipv4Last: Uint32Array
  /** Addresses in the prefixes before this one. */
  #ipv4Base: Float64Array
  /** The prefix that was found last: its first address (signed), how many it has, and #ipv4Base. */
  #hitFirst = 0
  #hitCount = 0
  #hitBase = 0
  #permutation: Permutation | null
  #places: Uint16Array | null
  #ipv6: readonly Ipv6Range[]
  #hmacKey: Uint8Array
  #hashCache = new Uint32Array(HASH_CACHE_SLOTS * SLOT_WORDS)

  /**
   * @param telescope disjoint, in address order, as parseTelescope returns it
   * @param key 32 bytes
   * @throws TELESCOPE_TOO_LARGE
   */
  constructor(telescope: readonly Prefix[], key: Uint8Array) {
    if (telescope.length > PREFIXES_MAX) {
      throw new TelescopeError(
        'TELESCOPE_TOO_LARGE',
        `telescope: ${telescope.length} prefixes, at most ${PREFIXES_MAX} are supported; join neighbours`,
        { prefixes: telescope.length },
      )
    }
    const ipv4 = telescope.filter(isIpv4Prefix)
    this.#ipv4First = Uint32Array.from(ipv4, prefix => Number(prefix.first & 0xffff_ffffn))
    this.#ipv4Last = Uint32Array.from(ipv4, prefix => Number(prefix.last & 0xffff_ffffn))
    this.#ipv4Base = new Float64Array(ipv4.length)
    for (let index = 1; index < ipv4.length; index++) {
      this.#ipv4Base[index] = this.#ipv4Base[index - 1]! + this.#ipv4Last[index - 1]! - this.#ipv4First[index - 1]! + 1
    }
    if (ipv4.length > 0) this.#hit(0)
    this.#permutation = ipv4.length > 0 ? createPermutation(key, countIpv4Addresses(ipv4)) : null
    this.#places = this.#permutation?.places ?? null
    this.#ipv6 = telescope.filter(prefix => !isIpv4Prefix(prefix)).map(ipv6Range)
    this.#hmacKey = new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), 'hirundo dst_index ipv6', 32))
  }

  /**
   * Why the addresses of a packet keep it out of the flows. No dark address may stay in what is kept: a packet whose
   * source is one is dropped, and a quoted victim that is one is forgotten.
   * @returns DROP_NONE when it joins a flow; its destination index is then in `high` and `low`
   */
  dropReason(packet: Packet): number {
    if (!this.find(packet)) return DROP_NOT_FOR_TELESCOPE
    const { src0, src1, src2, src3, quotedDst0, quotedDst1, quotedDst2, quotedDst3 } = packet
    if (this.#holds(packet.ipVersion, src0, src1, src2, src3)) return DROP_FROM_TELESCOPE
    if (
      packet.quotedVersion !== 0 &&
      this.#holds(packet.quotedVersion, quotedDst0, quotedDst1, quotedDst2, quotedDst3)
    ) {
      packet.quotedVersion = 0
    }
    return DROP_NONE
  }

  /** @param address signed or not */
  holdsIpv4(address: number): boolean {
    if ((address - this.#hitFirst) >>> 0 < this.#hitCount) return true
    return this.#ipv4First.length > 1 && this.#prefixOf(address >>> 0) >= 0
  }

  #holds(ipVersion: number, word0: number, word1: number, word2: number, word3: number): boolean {
    if (ipVersion === 4) return this.holdsIpv4(word3)
    return this.#ipv6.some(range => isWithin(range, word0, word1, word2, word3))
  }

  /**
   * Looks the destination of the packet up; the index is then in `high` and `low`.
   * @returns false when the destination is not in the telescope
   */
  find(packet: Packet): boolean {
    return packet.ipVersion === 4 ? this.#findIpv4(packet.dst3) : this.#findIpv6(packet)
  }

  /**
   * The index of an IPv4 destination; its upper half is 0.
   * @param address signed or not
   * @returns -1 when the destination is not in the telescope
   */
  placeOfIpv4(address: number): number {
    let distance = (address - this.#hitFirst) >>> 0
    // Most packets go to the prefix of the packet before.
    if (distance >= this.#hitCount) {
      const at = this.#prefixOf(address >>> 0)
      if (at < 0) return -1
      this.#hit(at)
      distance = (address - this.#hitFirst) >>> 0
    }
    const places = this.#places
    return places === null ? this.#permutation!.place(this.#hitBase + distance) : places[this.#hitBase + distance]!
  }

  #hit(at: number): void {
    this.#hitFirst = this.#ipv4First[at]! | 0
    this.#hitCount = this.#ipv4Last[at]! - this.#ipv4First[at]! + 1
    this.#hitBase = this.#ipv4Base[at]!
  }

  #findIpv4(address: number): boolean {
    const place = this.placeOfIpv4(address)
    this.high = 0
    this.low = place
    return place >= 0
  }

  /** @returns place of the prefix that holds the address, which is unsigned; -1 when none does */
  #prefixOf(address: number): number {
    const firsts = this.#ipv4First
    let low = 0
    let high = firsts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (firsts[middle]! <= address) low = middle + 1
      else high = middle
    }
    return low > 0 && address <= this.#ipv4Last[low - 1]! ? low - 1 : -1
  }

  #findIpv6(packet: Packet): boolean {
    const { dst0, dst1, dst2, dst3 } = packet
    if (!this.#ipv6.some(range => isWithin(range, dst0, dst1, dst2, dst3))) return false
    const mixed = Math.imul(dst3 ^ Math.imul(dst2 ^ Math.imul(dst1 ^ dst0, 0x9e3779b1), 0x85ebca77), 0xc2b2ae3d)
    const slot = (mixed >>> 20) * SLOT_WORDS
    const cache = this.#hashCache
    // An all-zero slot is empty: `::` is never in a telescope's use, and would only be hashed anew.
    if (
      cache[slot + 3] !== dst3 ||
      cache[slot + 2] !== dst2 ||
      cache[slot + 1] !== dst1 ||
      cache[slot] !== dst0 ||
      (dst0 | dst1 | dst2 | dst3) === 0
    ) {
      const bytes = Buffer.allocUnsafe(16)
      bytes.writeUInt32BE(dst0, 0)
      bytes.writeUInt32BE(dst1, 4)
      bytes.writeUInt32BE(dst2, 8)
      bytes.writeUInt32BE(dst3, 12)
      const digest = createHmac('sha256', this.#hmacKey).update(bytes).digest()
      cache.set([dst0, dst1, dst2, dst3, digest.readUInt32BE(0), digest.readUInt32BE(4)], slot)
    }
    this.high = cache[slot + 4]!
    this.low = cache[slot + 5]!
    return true
  }
}

function isIpv4Prefix(prefix: Prefix): boolean {
  return isIpv4(prefix.first) && prefix.length >= 96
}

/** Four words of the prefix and of its mask. */
interface Ipv6Range {
  readonly words: readonly [number, number, number, number]
  readonly masks: readonly [number, number, number, number]
}

function ipv6Range(prefix: Prefix): Ipv6Range {
  return { words: words(prefix.first), masks: words(~(prefix.first ^ prefix.last)) }
}

function words(value: bigint): [number, number, number, number] {
  const word = (shift: bigint): number => Number((value >> shift) & 0xffff_ffffn) | 0
  return [word(96n), word(64n), word(32n), word(0n)]
}

function isWithin({ words, masks }: Ipv6Range, word0: number, word1: number, word2: number, word3: number): boolean {
  return (
    (((word0 ^ words[0]) & masks[0]) |
      ((word1 ^ words[1]) & masks[1]) |
      ((word2 ^ words[2]) & masks[2]) |
      ((word3 ^ words[3]) & masks[3])) ===
    0
  )
}
