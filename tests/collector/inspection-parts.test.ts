import { describe, expect, test } from 'vitest'
import { BoundedTally } from '../../collector/bounded-tally.ts'
import { LikelyPrefixes } from '../../collector/likely-prefixes.ts'
import { SourceEvidence } from '../../collector/source-evidence.ts'
import { parseAddress, parsePrefix } from '../../schemas/address.ts'
import { TOOLS } from '../../schemas/tool.ts'

describe('bounded tally', () => {
  test('counts, largest first, the earlier among equals', () => {
    const tally = new BoundedTally<string>(10)
    for (const key of ['a', 'b', 'b', 'c', 'c', 'd']) tally.add(key)
    expect(tally.top(3)).toEqual([
      { key: 'b', count: 2, place: 1 },
      { key: 'c', count: 2, place: 2 },
      { key: 'a', count: 1, place: 0 },
    ])
    expect([tally.keyCount, tally.isCapped]).toEqual([4, false])
  })

  test('a full tally goes on counting the keys that it has, and says that it is full', () => {
    const tally = new BoundedTally<string>(2)
    expect(['a', 'b', 'c', 'a', 'c'].map(key => tally.add(key))).toEqual([0, 1, -1, 0, -1])
    expect(tally.top(5)).toEqual([
      { key: 'a', count: 2, place: 0 },
      { key: 'b', count: 1, place: 1 },
    ])
    expect([tally.keyCount, tally.otherCount, tally.isCapped]).toEqual([2, 2, true])
  })
})

describe('evidence by source', () => {
  const bit = (name: string): number => 1 << TOOLS.findIndex(tool => tool.name === name)

  test('k, n and the chance of each tool that cannot be chance', () => {
    const sources = new SourceEvidence<string>(10)
    for (let packet = 0; packet < 4; packet++) sources.add('both', bit('masscan') | bit('masscan-profile'))
    for (let packet = 0; packet < 3; packet++) sources.add('once', packet === 0 ? bit('zmap') : 0)
    sources.add('mirai', bit('mirai'))
    expect(sources.top(3)).toEqual([
      {
        key: 'both',
        packets: 4,
        tools: [
          { name: 'masscan', matched: 4, packets: 4, chance: expect.closeTo(2 ** -64, 30) },
          { name: 'masscan-profile', matched: 4, packets: 4, chance: null },
        ],
      },
      // One match at 2^-16 in three packets is not enough.
      { key: 'once', packets: 3, tools: [] },
      {
        key: 'mirai',
        packets: 1,
        tools: [{ name: 'mirai', matched: 1, packets: 1, chance: expect.closeTo(2 ** -32, 20) }],
      },
    ])
  })

  test('equals a plain count, past the room that it starts with, and sources without room have none', () => {
    const sources = new SourceEvidence<number>(3000)
    const plain = new Map<number, { packets: number; mirai: number }>()
    for (let packet = 0; packet < 20_000; packet++) {
      const source = (packet * 7919) % 4001
      const isMirai = packet % 3 === 0
      sources.add(source, isMirai ? bit('mirai') : 0)
      if (!plain.has(source) && plain.size === 3000) continue
      const count = plain.get(source) ?? { packets: 0, mirai: 0 }
      plain.set(source, { packets: count.packets + 1, mirai: count.mirai + (isMirai ? 1 : 0) })
    }
    const told = sources.top(5000)
    expect([sources.sourceCount, sources.isCapped, told.length]).toEqual([3000, true, 3000])
    for (const { key, packets, tools } of told) {
      expect({ packets, mirai: tools[0]?.matched ?? 0 }).toEqual(plain.get(key))
    }
  })
})

describe('likely prefixes', () => {
  const guess = (...addresses: string[]) => {
    const prefixes = new LikelyPrefixes()
    for (const text of addresses) {
      if (!text.includes('/')) prefixes.add(Number(parseAddress(text) & 0xffff_ffffn))
      else {
        const { first, last } = parsePrefix(text)
        for (let address = first; address <= last; address++) prefixes.add(Number(address & 0xffff_ffffn))
      }
    }
    return prefixes.list(8).map(({ prefix, packets, destinations }) => `${prefix} ${packets}/${destinations}`)
  }

  test.each([
    { why: 'one address', addresses: ['192.0.2.77', '192.0.2.77'], expected: ['192.0.2.77/32 2/1'] },
    { why: 'a whole /28', addresses: ['192.0.2.16/28'], expected: ['192.0.2.16/28 16/16'] },
    { why: 'a sparse /24: both halves seen', addresses: ['192.0.2.3', '192.0.2.200'], expected: ['192.0.2.0/24 2/2'] },
    { why: 'the upper half of an octet', addresses: ['203.0.113.128/25'], expected: ['203.0.113.128/25 128/128'] },
    { why: 'neighbours are joined', addresses: ['198.18.0.0/22'], expected: ['198.18.0.0/22 1024/1024'] },
    {
      why: 'neighbours that are no halves of one prefix are not',
      addresses: ['198.18.1.0/24', '198.18.2.0/24'],
      expected: ['198.18.1.0/24 256/256', '198.18.2.0/24 256/256'],
    },
    {
      why: 'halves of different size are not',
      addresses: ['198.18.0.0/24', '198.18.1.0/25'],
      expected: ['198.18.0.0/24 256/256', '198.18.1.0/25 128/128'],
    },
    { why: 'multicast and broadcast are nobody', addresses: ['224.0.0.1', '255.255.255.255'], expected: [] },
    {
      why: 'most packets first',
      addresses: ['192.0.2.1', '198.51.100.0/31'],
      expected: ['198.51.100.0/31 2/2', '192.0.2.1/32 1/1'],
    },
  ])('$why', ({ addresses, expected }) => {
    expect(guess(...addresses)).toEqual(expected)
  })
})
