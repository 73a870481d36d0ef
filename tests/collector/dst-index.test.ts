import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DROP_FROM_TELESCOPE, DROP_NONE, DROP_NOT_FOR_TELESCOPE } from '../../collector/drop.ts'
import { DstIndex } from '../../collector/dst-index.ts'
import { Packet } from '../../collector/packet.ts'
import { createPermutation, SHUFFLE_SIZE_MAX } from '../../collector/permutation.ts'
import { isIpv4, parseAddress, parseTelescope } from '../../schemas/address.ts'

// The destination index: a bijection of the telescope's addresses, another one under another key, nothing outside.

const KEY = new Uint8Array(32).fill(7)
const OTHER_KEY = Uint8Array.from(KEY, (byte, index) => (index === 31 ? byte ^ 1 : byte))

function packetTo(address: string | bigint): Packet {
  const value = typeof address === 'string' ? parseAddress(address) : address
  const packet = new Packet()
  packet.ipVersion = isIpv4(value) ? 4 : 6
  const word = (shift: bigint): number => Number((value >> shift) & 0xffff_ffffn)
  packet.dst0 = word(96n)
  packet.dst1 = word(64n)
  packet.dst2 = word(32n)
  packet.dst3 = word(0n)
  return packet
}

function indexOf(index: DstIndex, address: string | bigint): bigint | null {
  return index.find(packetTo(address)) ? (BigInt(index.high) << 32n) | BigInt(index.low) : null
}

function image(key: Uint8Array, size: number): number[] {
  const permutation = createPermutation(key, size).place
  return Array.from({ length: size }, (_, offset) => permutation(offset))
}

describe('permutation', () => {
  it('is a bijection of [0, size) for any size and key', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.uint8Array({ minLength: 32, maxLength: 32 }), (size, key) => {
        expect(image(key, size).sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, index) => index))
      }),
      { numRuns: 50 },
    )
  })

  it.each([SHUFFLE_SIZE_MAX, SHUFFLE_SIZE_MAX + 1, 475_136])('is a bijection of %i addresses', size => {
    const seen = new Uint8Array(size)
    const permutation = createPermutation(KEY, size).place
    for (let offset = 0; offset < size; offset++) seen[permutation(offset)]!++
    expect(seen.every(count => count === 1)).toBe(true)
  })

  it('reaches all of 2³² without leaving it', () => {
    const permutation = createPermutation(KEY, 2 ** 32).place
    const places = [0, 1, 2 ** 31, 2 ** 32 - 1].map(permutation)
    expect(new Set(places).size).toBe(4)
    for (const place of places) expect(place >= 0 && place < 2 ** 32 && Number.isInteger(place)).toBe(true)
  })

  it.each([256, 70_000])('is the same under the same key and another under a key of one bit more (%i)', size => {
    const first = image(KEY, size)
    const other = image(OTHER_KEY, size)
    expect(image(KEY, size)).toEqual(first)
    // Of n places a random permutation keeps one on average.
    expect(first.filter((place, offset) => place === other[offset]).length).toBeLessThan(10)
    expect(first.filter((place, offset) => place === offset).length).toBeLessThan(10)
  })

  it('every place is about equally likely for an offset, over keys', () => {
    const counts = new Array<number>(8).fill(0)
    for (let number = 0; number < 4000; number++) {
      const key = new Uint8Array(32)
      new DataView(key.buffer).setUint32(0, number)
      counts[createPermutation(key, 8).place(3)]!++
    }
    // Chi-square with 7 degrees of freedom: above 24.3 once in a thousand.
    const chiSquare = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0)
    expect(chiSquare).toBeLessThan(24.3)
  })
})

describe('DstIndex', () => {
  it('numbers several prefixes as one set, and finds nothing outside them', () => {
    const index = new DstIndex(parseTelescope('192.0.2.0/30,198.51.100.8/29,203.0.113.255/32'), KEY)
    const inside = [
      ...[0, 1, 2, 3].map(last => `192.0.2.${last}`),
      ...[8, 9, 10, 11, 12, 13, 14, 15].map(last => `198.51.100.${last}`),
      '203.0.113.255',
    ]
    const places = inside.map(address => Number(indexOf(index, address)))
    expect(places.toSorted((a, b) => a - b)).toEqual(inside.map((_, place) => place))
    for (const address of ['192.0.1.255', '192.0.2.4', '198.51.100.7', '198.51.100.16', '203.0.113.254', '0.0.0.0']) {
      expect(indexOf(index, address)).toBeNull()
    }
    expect(indexOf(index, '255.255.255.255')).toBeNull()
    expect(indexOf(index, '2001:db8::1')).toBeNull()
  })

  it('covers the whole of IPv4', () => {
    const index = new DstIndex(parseTelescope('0.0.0.0/0'), KEY)
    expect(indexOf(index, '0.0.0.0')).not.toBeNull()
    expect(indexOf(index, '255.255.255.255')).not.toBe(indexOf(index, '0.0.0.0'))
  })

  it('IPv6: 64 bits by key and address, the same whenever it is asked', () => {
    const index = new DstIndex(parseTelescope('2001:db8::/48,2001:db8:1::1/128'), KEY)
    const base = parseAddress('2001:db8::')
    const addresses = Array.from({ length: 20_000 }, (_, offset) => base + BigInt(offset) * 0x1_0000_0001n)
    const first = addresses.map(address => indexOf(index, address)!)
    expect(new Set(first).size).toBe(addresses.length)
    expect(first.some(value => value > 0xffff_ffffn)).toBe(true)
    expect(addresses.map(address => indexOf(index, address))).toEqual(first)
    const other = new DstIndex(parseTelescope('2001:db8::/48'), OTHER_KEY)
    expect(indexOf(other, base)).not.toBe(first[0])
    expect(indexOf(index, '2001:db8:1::1')).not.toBeNull()
    for (const address of ['2001:db8:1::', '2001:db7:ffff::', '2001:db8:1::2', '::', '203.0.113.1']) {
      expect(indexOf(index, address)).toBeNull()
    }
  })

  it('refuses more prefixes than any sensor has', () => {
    const prefixes = Array.from({ length: 1025 }, (_, n) => `10.${n >> 8}.${n & 255}.0/32`).join(',')
    expect(() => new DstIndex(parseTelescope(prefixes), KEY)).toThrow(
      expect.objectContaining({ code: 'TELESCOPE_TOO_LARGE' }),
    )
  })
})

describe('a packet with a dark address as source or victim', () => {
  const index = new DstIndex(parseTelescope('203.0.113.0/24,2001:db8:1::/64'), KEY)
  const dark = (text: string) => Number(parseAddress(text) & 0xffff_ffffn)
  const packetOf = (fields: Partial<Packet>) =>
    Object.assign(new Packet(), { ipVersion: 4, src2: 0xffff, dst2: 0xffff, dst3: dark('203.0.113.7'), ...fields })

  it.each([
    ['is kept when it comes from elsewhere', { src3: dark('198.18.0.1') }, DROP_NONE],
    ['is dropped when its source is dark', { src3: dark('203.0.113.9') }, DROP_FROM_TELESCOPE],
    ['is dropped when it is sent to itself', { src3: dark('203.0.113.7') }, DROP_FROM_TELESCOPE],
    ['is not for us at all', { src3: dark('203.0.113.9'), dst3: dark('198.18.0.1') }, DROP_NOT_FOR_TELESCOPE],
    [
      'is dropped over IPv6, too',
      {
        ipVersion: 6,
        src0: 0x20010db8,
        src1: 0x10000,
        src3: 5,
        dst0: 0x20010db8,
        dst1: 0x10000,
        dst2: 0,
        dst3: 6,
        src2: 0,
      },
      DROP_FROM_TELESCOPE,
    ],
  ])('%s', (_why, fields, drop) => {
    expect(index.dropReason(packetOf(fields))).toBe(drop)
  })

  it('forgets a quoted victim that is dark, and keeps another', () => {
    const quoting = (text: string) =>
      packetOf({ src3: dark('198.18.0.1'), quotedVersion: 4, quotedDst2: 0xffff, quotedDst3: dark(text) })
    const [ours, theirs] = [quoting('203.0.113.9'), quoting('198.18.9.9')]
    expect([index.dropReason(ours), index.dropReason(theirs)]).toEqual([DROP_NONE, DROP_NONE])
    expect([ours.quotedVersion, theirs.quotedVersion]).toEqual([0, 4])
  })
})
