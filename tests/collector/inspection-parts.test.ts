import { describe, expect, test } from 'vitest'
import { BoundedTally } from '../../collector/bounded-tally.ts'
import { LikelyPrefixes } from '../../collector/likely-prefixes.ts'
import { parseAddress, parsePrefix } from '../../schemas/address.ts'

describe('bounded tally', () => {
  test('counts, largest first, the earlier among equals', () => {
    const tally = new BoundedTally<string>(10)
    for (const key of ['a', 'b', 'b', 'c', 'c', 'd']) tally.add(key)
    expect(tally.top(3)).toEqual([
      { key: 'b', count: 2 },
      { key: 'c', count: 2 },
      { key: 'a', count: 1 },
    ])
    expect([tally.keyCount, tally.isCapped]).toEqual([4, false])
  })

  test('a full tally goes on counting the keys that it has, and says that it is full', () => {
    const tally = new BoundedTally<string>(2)
    for (const key of ['a', 'b', 'c', 'a', 'c']) tally.add(key)
    expect(tally.top(5)).toEqual([
      { key: 'a', count: 2 },
      { key: 'b', count: 1 },
    ])
    expect([tally.keyCount, tally.otherCount, tally.isCapped]).toEqual([2, 2, true])
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
