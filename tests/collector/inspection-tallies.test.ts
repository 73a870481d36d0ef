import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AddressTally } from '../../collector/address-tally.ts'
import { Packet } from '../../collector/packet.ts'
import { PortTally } from '../../collector/port-tally.ts'
import { SourceEvidence } from '../../collector/source-evidence.ts'
import { rebucket, TimeHistogram } from '../../collector/time-histogram.ts'
import { CLASS_BACKSCATTER, CLASS_SCAN, PROTOCOL } from '../../schemas/protocol.ts'
import { TOOLS, type ToolName } from '../../schemas/tool.ts'
import { isEvidence } from '../../schemas/tool-evidence.ts'

// Goal: the bounded tallies behind `inspect` count exactly what a plain Map counts. Method: random input (fast-check
// prints the seed of a failure), and cases at the bounds.

type Address = readonly [number, number, number, number]

const ipv4 = (low: number): Address => [0, 0, 0xffff, low]
const word = fc.integer({ min: 0, max: 0xffff_ffff })
/** Few words, so that addresses repeat and share parts. */
const fewWords = fc.constantFrom(0, 1, 0xffff, 0xffff_ffff, 0x2001_0db8)
const address: fc.Arbitrary<Address> = fc.oneof(
  word.map(ipv4),
  fc.integer({ min: 0, max: 40 }).map(ipv4),
  fc.tuple(fewWords, fewWords, fewWords, fewWords),
)

function add(tally: AddressTally, [word0, word1, word2, word3]: Address, packets?: number): number {
  return tally.add(word0, word1, word2, word3, packets)
}

/** Address to packets, in order of first appearance. */
function contents(tally: AddressTally): [string, number][] {
  return Array.from({ length: tally.rowCount }, (_, row) => {
    const words = ([0, 1, 2, 3] as const).map(index => tally.word(row, index))
    return [words.join(), tally.packets[row]!]
  })
}

function plainCount(addresses: readonly Address[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const words of addresses) counts.set(words.join(), (counts.get(words.join()) ?? 0) + 1)
  return [...counts]
}

describe('address tally', () => {
  test('counts as a Map does, in order of first appearance', () => {
    fc.assert(
      fc.property(fc.array(address, { maxLength: 300 }), addresses => {
        const tally = new AddressTally(2 ** 16)
        for (const words of addresses) add(tally, words)
        expect(contents(tally)).toEqual(plainCount(addresses))
        for (const [text, packets] of plainCount(addresses)) {
          const [word0, word1, word2, word3] = text.split(',').map(Number) as unknown as Address
          expect(tally.packetsOf(word0, word1, word2, word3)).toBe(packets)
        }
      }),
    )
  })

  test('grows over many addresses of both families, one of them late', () => {
    const addresses = Array.from({ length: 9000 }, (_, at): Address => {
      return at < 3000 || at % 3 > 0 ? ipv4((at * 2_654_435_761) >>> 0) : [0x2001_0db8, 0, at, at]
    })
    const tally = new AddressTally(2 ** 16)
    for (const words of [...addresses, ...addresses.slice(0, 10)]) add(tally, words)
    expect(contents(tally)).toEqual(plainCount([...addresses, ...addresses.slice(0, 10)]))
    expect([tally.rowCount, tally.isCapped]).toEqual([9000, false])
  })

  test('when full it goes on counting the addresses that it has, and says so', () => {
    const tally = new AddressTally(2)
    expect([1, 2, 3, 1, 3].map(low => add(tally, ipv4(low)))).toEqual([0, 1, -1, 0, -1])
    expect([tally.rowCount, tally.otherPackets, tally.isCapped]).toEqual([2, 2, true])
    expect(tally.top(5).map(row => [tally.text(row), tally.packets[row]])).toEqual([
      ['0.0.0.1', 2],
      ['0.0.0.2', 1],
    ])
    expect(tally.packetsOf(0, 0, 0xffff, 3)).toBe(0)
  })

  test('top: largest first, the earlier among equals', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 100 }), lows => {
        const tally = new AddressTally(64)
        for (const low of lows) add(tally, ipv4(low))
        const rows = Array.from({ length: tally.rowCount }, (_, row) => row)
        const expected = rows.sort((a, b) => tally.packets[b]! - tally.packets[a]! || a - b).slice(0, 7)
        expect(tally.top(7)).toEqual(expected)
      }),
    )
  })

  test('two joined are one of all', () => {
    fc.assert(
      fc.property(fc.array(address), fc.array(address), (first, second) => {
        const [one, other] = [new AddressTally(2 ** 16), new AddressTally(2 ** 16)]
        for (const words of first) add(one, words)
        for (const words of second) add(other, words)
        one.merge(other)
        expect(contents(one)).toEqual(plainCount([...first, ...second]))
      }),
    )
  })

  test('text of both families', () => {
    const tally = new AddressTally(4)
    add(tally, ipv4(0xcb00_7109))
    add(tally, [0x2001_0db8, 0, 0, 9])
    expect([tally.text(0), tally.text(1)]).toEqual(['203.0.113.9', '2001:db8::9'])
    expect([tally.isIpv4(0), tally.isIpv4(1)]).toEqual([true, false])
  })
})

describe('evidence by source', () => {
  const bit = (name: ToolName): number => 1 << TOOLS.findIndex(tool => tool.name === name)
  const packet = new Packet()

  function addPacket(sources: SourceEvidence, [word0, word1, word2, word3]: Address, tools: number): void {
    packet.src0 = word0
    packet.src1 = word1
    packet.src2 = word2
    packet.src3 = word3
    sources.add(packet, tools)
  }

  /** What must be told of each source, from a plain loop; `chance` has tests of its own. */
  function plainEvidence(packets: readonly (readonly [Address, number])[]) {
    const counts = new Map<string, { packets: number; matches: number[] }>()
    for (const [words, tools] of packets) {
      const count = counts.get(words.join()) ?? { packets: 0, matches: TOOLS.map(() => 0) }
      counts.set(words.join(), count)
      count.packets++
      TOOLS.forEach((_, at) => {
        if ((tools >> at) % 2 === 1) count.matches[at]!++
      })
    }
    return Array.from(counts, ([source, { packets: all, matches }]) => {
      const matched = TOOLS.map(({ name }, at) => `${name} ${matches[at]}/${all}`)
      return { source, tools: matched.filter((_, at) => isEvidence(TOOLS[at]!, matches[at]!, all)).sort() }
    })
  }

  const toldEvidence = (sources: SourceEvidence) =>
    contents(sources.addresses).map(([source], row) => ({
      source,
      tools: sources
        .tools(row)
        .map(({ name, matched, packets }) => `${name} ${matched}/${packets}`)
        .sort(),
    }))

  test('k, n and the chance of each tool that cannot be chance', () => {
    const sources = new SourceEvidence(10)
    for (let at = 0; at < 4; at++) addPacket(sources, ipv4(1), bit('masscan') | bit('masscan-profile'))
    for (let at = 0; at < 3; at++) addPacket(sources, ipv4(2), at === 0 ? bit('zmap') : 0)
    addPacket(sources, [0x2001_0db8, 0, 0, 1], bit('mirai'))
    expect([0, 1, 2].map(row => sources.tools(row))).toEqual([
      [
        { name: 'masscan', matched: 4, packets: 4, chance: expect.closeTo(2 ** -64, 30) },
        { name: 'masscan-profile', matched: 4, packets: 4, chance: null },
      ],
      // One match at 2^-16 in three packets is not enough.
      [],
      [{ name: 'mirai', matched: 1, packets: 1, chance: expect.closeTo(2 ** -32, 20) }],
    ])
  })

  test('equals a plain loop past the room that it starts with; sources without room have none', () => {
    const sources = new SourceEvidence(3000)
    const packets = Array.from({ length: 20_000 }, (_, at): [Address, number] => [
      ipv4((at * 7919) % 4001),
      at % 3 === 0 ? bit('mirai') : 0,
    ])
    for (const [words, tools] of packets) addPacket(sources, words, tools)
    expect([sources.addresses.rowCount, sources.addresses.isCapped]).toEqual([3000, true])
    const plain = plainEvidence(packets).slice(0, 3000)
    expect(toldEvidence(sources)).toEqual(plain)
    expect(plain.filter(({ tools }) => tools.length > 0).length).toBeGreaterThan(1000)
  })

  test('two joined are one of all', () => {
    const packets = fc.array(
      fc.tuple(address, fc.oneof(fc.constant(0), fc.integer({ max: 2 ** TOOLS.length - 1, min: 0 }))),
    )
    fc.assert(
      fc.property(packets, packets, (first, second) => {
        const [one, other] = [new SourceEvidence(2 ** 16), new SourceEvidence(2 ** 16)]
        for (const [words, tools] of first) addPacket(one, words, tools)
        for (const [words, tools] of second) addPacket(other, words, tools)
        one.merge(other)
        expect(toldEvidence(one)).toEqual(plainEvidence([...first, ...second]))
      }),
    )
  })

  test('joined past the room of the first: matches go to the source that has them, or to none', () => {
    const [one, other] = [new SourceEvidence(2), new SourceEvidence(9)]
    addPacket(one, ipv4(1), 0)
    for (const low of [7, 8, 1]) addPacket(other, ipv4(low), low === 7 ? 0 : bit('mirai'))
    one.merge(other)
    expect(toldEvidence(one)).toEqual([
      { source: ipv4(1).join(), tools: ['mirai 1/2'] },
      { source: ipv4(7).join(), tools: [] },
    ])
    expect(one.addresses.otherPackets).toBe(1)
  })
})

describe('port tally', () => {
  test('counts by protocol and port, with replies apart; ICMP by type and code', () => {
    const tally = new PortTally()
    const echo = 8 * 256
    tally.add(PROTOCOL.tcp, 23, CLASS_SCAN)
    tally.add(PROTOCOL.tcp, 23, CLASS_BACKSCATTER)
    tally.add(PROTOCOL.udp, 65_535, CLASS_SCAN)
    tally.add(PROTOCOL.icmp, echo, CLASS_SCAN)
    tally.add(PROTOCOL.icmpv6, 128 * 256 + 1, CLASS_SCAN)
    // No ports that are known here.
    tally.add(132, 9, CLASS_SCAN)
    const twice = new PortTally()
    twice.merge(tally)
    twice.merge(tally)
    expect(twice.top(9)).toEqual([
      { name: '23/tcp', packets: 4, backscatter: 2, service: 'telnet' },
      { name: '65535/udp', packets: 2, backscatter: 0, service: null },
      { name: 'icmp type 8 code 0', packets: 2, backscatter: 0, service: 'Echo' },
      { name: 'icmpv6 type 128 code 1', packets: 2, backscatter: 0, service: 'Echo Request' },
    ])
    expect(twice.top(1).map(({ name }) => name)).toEqual(['23/tcp'])
  })
})

describe('time histogram', () => {
  const DAY = 86_400_000
  const times = fc.array(
    fc.oneof(
      fc.integer({ min: 1_763_800_000_000, max: 1_763_800_002_000 }),
      fc.integer({ min: 1_763_800_000_000, max: 1_763_900_000_000 }),
      // Rare enough that most runs keep to a day.
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 9_000_000_000_000 }) },
    ),
    { minLength: 1, maxLength: 60 },
  )

  function histogram(milliseconds: readonly number[]): TimeHistogram {
    const made = new TimeHistogram()
    for (const time of milliseconds) made.add(time)
    return made
  }

  test('each bucket holds what a plain loop puts there, in any order of times', () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 2, max: 120 }), (milliseconds, bucketsMax) => {
        const series = histogram(milliseconds).series(bucketsMax)!
        const expected = new Array<number>(series.packets.length).fill(0)
        for (const time of milliseconds) expected[Math.floor((time - series.start) / series.bucketMilliseconds)]!++
        expect(series.packets).toEqual(expected)
        expect(series.packets.length).toBeLessThanOrEqual(bucketsMax)
        expect(series.packets[0]! * series.packets.at(-1)!).toBeGreaterThan(0)
        expect(series.start % series.bucketMilliseconds).toBe(0)
      }),
    )
  })

  test('two joined are one of all', () => {
    fc.assert(
      fc.property(times, times, (first, second) => {
        const joined = histogram(first)
        joined.merge(histogram(second))
        const series = joined.series(120)!
        const expected = new Array<number>(series.packets.length).fill(0)
        for (const time of [...first, ...second]) {
          expected[Math.floor((time - series.start) / series.bucketMilliseconds)]!++
        }
        expect(series.packets).toEqual(expected)
      }),
    )
  })

  test.each([
    { span: 50, bucket: 1 },
    { span: 2000, bucket: 20 },
    { span: 60_000, bucket: 500 },
    { span: 3_600_000, bucket: 30_000 },
    { span: DAY, bucket: 1_200_000 },
    { span: 35 * DAY, bucket: 28_800_000 },
    { span: 400 * DAY, bucket: 4 * DAY },
  ])('a span of $span ms is shown in buckets of $bucket ms', ({ span, bucket }) => {
    const start = 1_763_769_600_000
    const milliseconds = Array.from({ length: 5000 }, (_, at) => start + Math.floor((at * (span - 1)) / 4999))
    const series = histogram(milliseconds).series(120)!
    expect(series.bucketMilliseconds).toBe(bucket)
    expect(series.packets.reduce((sum, packets) => sum + packets, 0)).toBe(5000)
  })

  test('no packet, one packet', () => {
    expect(new TimeHistogram().series(10)).toBe(null)
    expect(histogram([5000]).series(10)).toEqual({ start: 5000, bucketMilliseconds: 1, packets: [1] })
  })

  test('rebucketing keeps the sum and does not split', () => {
    const series = { start: 0, bucketMilliseconds: 20, packets: [1, 2, 3, 4, 5, 6, 7] }
    expect(rebucket(series, 7)).toEqual(series)
    expect(rebucket(series, 3)).toEqual({ start: 0, bucketMilliseconds: 100, packets: [15, 13] })
  })
})
