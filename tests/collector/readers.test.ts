import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { CAPTURED_LENGTH_MAX } from '../../collector/capture-parser.ts'
import { CHUNK_BYTES } from '../../collector/read-capture.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import {
  block,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  MAGIC_NANOSECONDS,
  number,
  obsoletePacket,
  type PcapOptions,
  pcap,
  pcapRecord,
  sectionHeader,
  simplePacket,
} from '../support/capture-builder.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { readPackets } from '../support/read-packets.ts'

// Goal: every form of capture that we claim to read gives the packets that are in it, and every damaged form gives
// what came before the damage and an error that says where.

const FRAME = ethernet(0x0800, ipv4({}, tcp()))
const T = 1_763_800_000

async function times(bytes: Uint8Array) {
  const { packets, result } = await readPackets(bytes)
  return { times: packets.map(({ seconds, nanoseconds }) => [seconds, nanoseconds]), error: result.error?.code ?? null }
}

describe('pcap', () => {
  const record = { frame: FRAME, seconds: T, fraction: 123_456, originalLength: 1500 }

  test.each<{ why: string; options: PcapOptions; nanoseconds: number }>([
    { why: 'little-endian, microseconds', options: {}, nanoseconds: 123_456_000 },
    { why: 'big-endian, microseconds', options: { endian: 'big' }, nanoseconds: 123_456_000 },
    { why: 'little-endian, nanoseconds', options: { magic: MAGIC_NANOSECONDS }, nanoseconds: 123_456 },
    { why: 'big-endian, nanoseconds', options: { magic: MAGIC_NANOSECONDS, endian: 'big' }, nanoseconds: 123_456 },
  ])('$why', async ({ options, nanoseconds }) => {
    const { packets, result } = await readPackets(pcap([record, { ...record, frame: FRAME.slice(0, 60) }], options))
    expect(result).toEqual({
      format: 'pcap',
      linkTypes: [1],
      packetsRead: 2,
      bytesRead: result.contentBytes,
      contentBytes: 24 + 2 * (16 + FRAME.length),
      interfaceDrops: null,
      truncated: false,
      error: null,
    })
    expect(packets[0]).toMatchObject({ index: 1, seconds: T, nanoseconds, linkType: 1, drop: -1, dstPort: 23 })
    expect(packets[1]).toMatchObject({ index: 2, capturedLength: FRAME.length, originalLength: 1500 })
  })

  test("Kuznetzov's variant has 8 bytes more in each record header", async () => {
    const extra = hex('00000001 00080000')
    const bytes = pcap(
      [
        { frame: FRAME, extra },
        { frame: FRAME, extra },
      ],
      { magic: 0xa1b2cd34 },
    )
    expect((await readPackets(bytes)).packets.map(({ dstPort }) => dstPort)).toEqual([23, 23])
  })

  test('before version 2.3 the lengths of a record are swapped', async () => {
    const swapped = { frame: FRAME, capturedLength: 1500, originalLength: FRAME.length }
    const { packets } = await readPackets(pcap([swapped, swapped], { versionMinor: 2 }))
    expect(packets.map(({ originalLength, dstPort }) => [originalLength, dstPort])).toEqual([
      [1500, 23],
      [1500, 23],
    ])
  })

  test('a link type field with the length of a frame check sequence', async () => {
    const { packets, result } = await readPackets(pcap([{ frame: FRAME }], { linkType: 0x4400_0001 }))
    expect([packets[0]?.dstPort, result.error]).toEqual([23, null])
  })

  test('a fraction of a second or more is added to the seconds', async () => {
    expect(await times(pcap([{ frame: FRAME, seconds: T, fraction: 3_000_007 }]))).toEqual({
      times: [[T + 3, 7000]],
      error: null,
    })
  })

  test('times after 2038', async () => {
    expect(await times(pcap([{ frame: FRAME, seconds: 4_294_967_295, fraction: 999_999 }]))).toEqual({
      times: [[4_294_967_295, 999_999_000]],
      error: null,
    })
  })

  test('no packets is a good capture', async () => {
    expect((await readPackets(pcap([]))).result).toMatchObject({ packetsRead: 0, truncated: false, error: null })
  })

  test('a frame of no bytes is a packet', async () => {
    const { packets, result } = await readPackets(pcap([{ frame: hex('') }, { frame: FRAME }]))
    expect([packets.map(({ drop }) => DROP_REASON_NAMES[drop]), result.error]).toEqual([
      ['link_header_truncated', undefined],
      null,
    ])
  })
})

describe('pcapng', () => {
  test.each(['little', 'big'] as const)('%s-endian: section, interface, all three packet blocks', async endian => {
    const { packets, result } = await readPackets(
      concat(
        sectionHeader(endian),
        interfaceDescription({ snapLength: 58 }, endian),
        block(0x0000_0bad, hex('010203'), endian),
        enhancedPacket({ frame: FRAME, originalLength: 1500 }, endian),
        obsoletePacket({ frame: FRAME }, endian),
        simplePacket(FRAME, FRAME.length, endian),
        simplePacket(concat(FRAME, hex('eeeeeeee')), 1500, endian),
        interfaceStatistics(0, 7, endian),
      ),
    )
    expect(result).toMatchObject({ format: 'pcapng', packetsRead: 4, interfaceDrops: 7, error: null })
    expect(
      packets.map(({ index, seconds, capturedLength, originalLength, dstPort }) => [
        index,
        seconds,
        capturedLength,
        originalLength,
        dstPort,
      ]),
    ).toEqual([
      [1, T, 54, 1500, 23],
      [2, T, 54, 54, 23],
      [3, -1, 54, 54, 23],
      [4, -1, 58, 1500, 23],
    ])
    expect(DROP_REASON_NAMES[packets[2]!.drop]).toBe('time_invalid')
  })

  const atResolution = (resolution: number | undefined, timestamp: bigint, offsetSeconds?: number) =>
    concat(
      sectionHeader(),
      interfaceDescription({
        ...(resolution === undefined ? {} : { resolution }),
        ...(offsetSeconds === undefined ? {} : { offsetSeconds }),
      }),
      enhancedPacket({ frame: FRAME, timestamp }),
    )

  test.each([
    {
      why: 'microseconds by default',
      resolution: undefined,
      timestamp: 1_763_800_000_123_456n,
      expected: [T, 123_456_000],
    },
    { why: 'milliseconds', resolution: 3, timestamp: 1_763_800_000_123n, expected: [T, 123_000_000] },
    { why: 'seconds', resolution: 0, timestamp: 1_763_800_000n, expected: [T, 0] },
    { why: 'nanoseconds', resolution: 9, timestamp: 1_763_800_000_123_456_789n, expected: [T, 123_456_789] },
    {
      why: 'picoseconds are rounded down',
      resolution: 12,
      timestamp: 18_000_000_123_456_789_999n,
      expected: [18_000_000, 123_456_789],
    },
    { why: 'halves of halves', resolution: 0x82, timestamp: BigInt(T) * 4n + 3n, expected: [T, 750_000_000] },
    { why: '2⁻³²', resolution: 0xa0, timestamp: (BigInt(T) << 32n) + (1n << 31n), expected: [T, 500_000_000] },
    { why: '10⁻¹²⁷ is legal and useless', resolution: 127, timestamp: 2n ** 64n - 1n, expected: [0, 0] },
    {
      why: 'the largest timestamp',
      resolution: 6,
      timestamp: 2n ** 64n - 1n,
      expected: [18_446_744_073_709, 551_615_000],
    },
    {
      why: 'the largest of nanoseconds',
      resolution: 9,
      timestamp: 2n ** 64n - 1n,
      expected: [18_446_744_073, 709_551_615],
    },
    { why: 'offset', resolution: 6, timestamp: 5n, offsetSeconds: T, expected: [T, 5000] },
    { why: 'offset below zero', resolution: 6, timestamp: 5n, offsetSeconds: -10, expected: [-10, 5000] },
  ])('time: $why', async ({ resolution, timestamp, offsetSeconds, expected }) => {
    expect(await times(atResolution(resolution, timestamp, offsetSeconds))).toEqual({ times: [expected], error: null })
  })

  test('a time before 1970 joins no interval', async () => {
    const { packets } = await readPackets(atResolution(6, 5n, -10))
    expect(DROP_REASON_NAMES[packets[0]!.drop]).toBe('time_invalid')
  })

  test('interfaces with their own link type and clock; a new section forgets them', async () => {
    const { packets, result } = await readPackets(
      concat(
        sectionHeader(),
        interfaceDescription(),
        interfaceDescription({ linkType: 101, resolution: 9 }),
        enhancedPacket({ frame: ipv4({}, tcp()), interfaceId: 1, timestamp: 1_763_800_000_000_000_001n }),
        enhancedPacket({ frame: FRAME }),
        interfaceStatistics(1, 2),
        interfaceStatistics(1, 3),
        sectionHeader('big'),
        interfaceDescription({ linkType: 228 }, 'big'),
        enhancedPacket({ frame: ipv4({}, tcp()) }, 'big'),
        interfaceStatistics(0, 4, 'big'),
      ),
    )
    expect(packets.map(({ linkType, nanoseconds, dstPort }) => [linkType, nanoseconds, dstPort])).toEqual([
      [101, 1, 23],
      [1, 0, 23],
      [228, 0, 23],
    ])
    expect(result).toMatchObject({ linkTypes: [1, 101, 228], interfaceDrops: 3 + 4, error: null })
  })

  test('a packet of an interface that was not described is counted, and reading goes on', async () => {
    const { packets, result } = await readPackets(
      concat(
        sectionHeader(),
        interfaceDescription(),
        enhancedPacket({ frame: FRAME, interfaceId: 9 }),
        enhancedPacket({ frame: FRAME }),
      ),
    )
    expect(packets.map(({ drop, linkType }) => [DROP_REASON_NAMES[drop], linkType])).toEqual([
      ['interface_unknown', -1],
      [undefined, 1],
    ])
    expect(result).toMatchObject({
      packetsRead: 2,
      truncated: false,
      error: { code: 'CAPTURE_INTERFACE_UNKNOWN', offset: 52 },
    })
  })
})

describe('damage', () => {
  const good = pcap([{ frame: FRAME }, { frame: FRAME }])
  const goodNg = concat(sectionHeader(), interfaceDescription(), enhancedPacket({ frame: FRAME }))

  const damaged = (
    name: string,
    bytes: Uint8Array,
    code: string | null,
    packetsRead: number,
    offset: number | null,
  ) => ({
    name,
    bytes,
    code,
    packetsRead,
    offset,
  })

  test.each([
    damaged('an empty file', hex(''), 'CAPTURE_EMPTY', 0, 0),
    damaged('text', new TextEncoder().encode('hello, world\n'), 'CAPTURE_FORMAT_UNKNOWN', 0, 0),
    damaged('three bytes of a pcap', good.slice(0, 3), 'CAPTURE_FORMAT_UNKNOWN', 0, 0),
    damaged('23 bytes of a pcap', good.slice(0, 23), 'CAPTURE_TRUNCATED', 0, 23),
    damaged('cut in a record header', good.slice(0, -60), 'CAPTURE_TRUNCATED', 1, 104),
    damaged('cut in a frame', good.slice(0, -1), 'CAPTURE_TRUNCATED', 1, 163),
    damaged('version 1.4', pcap([{ frame: FRAME }], { versionMajor: 1 }), 'CAPTURE_VERSION_UNSUPPORTED', 0, 4),
    damaged('reserved bits in the link type', pcap([], { linkType: 0x0030_0000 }), 'CAPTURE_HEADER_INVALID', 0, 20),
    damaged(
      'a record of the largest length',
      pcap([{ frame: concat(FRAME, new Uint8Array(CAPTURED_LENGTH_MAX - FRAME.length)) }]),
      null,
      1,
      null,
    ),
    damaged(
      'a record one byte longer',
      concat(good, pcapRecord({ frame: FRAME, capturedLength: CAPTURED_LENGTH_MAX + 1 }), good),
      'CAPTURE_RECORD_INVALID',
      2,
      164,
    ),
    damaged(
      'a length of 2³²-1',
      concat(good, pcapRecord({ frame: FRAME, capturedLength: 0xffff_ffff })),
      'CAPTURE_RECORD_INVALID',
      2,
      164,
    ),
    damaged('pcapng cut in a block', goodNg.slice(0, -1), 'CAPTURE_TRUNCATED', 0, goodNg.length - 1),
    damaged('pcapng cut in its first block', goodNg.slice(0, 20), 'CAPTURE_TRUNCATED', 0, 20),
    damaged('pcapng 2.0', sectionHeader('big', 2), 'CAPTURE_VERSION_UNSUPPORTED', 0, 0),
    damaged('pcapng 1.2 means 1.0', concat(sectionHeader('little', 1, 2)), null, 0, null),
    damaged(
      'a byte-order magic of neither order',
      hex('0a0d0d0a 1c000000 11223344 0100'),
      'CAPTURE_HEADER_INVALID',
      0,
      0,
    ),
    damaged(
      'a block length of 0',
      concat(goodNg, hex('06000000 00000000 00000000')),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'a block length of 2³²-1',
      concat(goodNg, hex('06000000 ffffffff 00000000')),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'two lengths of a block that differ',
      concat(goodNg, hex('05000000 10000000 00000000 14000000'), goodNg),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'a packet longer than its block',
      concat(goodNg, enhancedPacket({ frame: FRAME, capturedLength: 57 })),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'an enhanced packet block too short',
      concat(goodNg, block(6, hex('00'))),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'a packet block too short',
      concat(goodNg, block(2, hex('00'))),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'a simple packet longer than its block',
      concat(goodNg, simplePacket(FRAME, 99)),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'an interface description too short',
      concat(goodNg, block(1, hex('0100'))),
      'CAPTURE_RECORD_INVALID',
      1,
      goodNg.length,
    ),
    damaged(
      'a packet block before any interface',
      concat(sectionHeader(), simplePacket(FRAME)),
      'CAPTURE_INTERFACE_UNKNOWN',
      1,
      28,
    ),
  ])('$name', async ({ bytes, code, packetsRead, offset }) => {
    const { packets, result } = await readPackets(bytes)
    expect({ code: result.error?.code ?? null, packets: packets.length, offset: result.error?.offset ?? null }).toEqual(
      {
        code,
        packets: packetsRead,
        offset,
      },
    )
    expect(result.truncated).toBe(code === 'CAPTURE_TRUNCATED')
    expect(result.packetsRead).toBe(packetsRead)
  })

  test.each([
    { name: 'bzip2', bytes: hex('425a68393141592653'), says: 'bzip2 -d' },
    { name: 'lz4', bytes: hex('04224d186440a7000000'), says: 'lz4 -d' },
    { name: 'text', bytes: new TextEncoder().encode('index,time\n'), says: 'text' },
    { name: 'gzip within gzip', bytes: gzipSync(gzipSync(good)), says: 'it is gzip within a compression' },
  ])('says what to do with $name', async ({ bytes, says }) => {
    const { result } = await readPackets(bytes)
    expect(result.error).toMatchObject({ code: 'CAPTURE_FORMAT_UNKNOWN', message: expect.stringContaining(says) })
  })

  test('a link type that is not read: packets are counted, and the error names it', async () => {
    const { packets, result } = await readPackets(pcap([{ frame: FRAME }, { frame: FRAME }], { linkType: 147 }))
    expect(packets.map(({ drop }) => DROP_REASON_NAMES[drop])).toEqual([
      'link_type_unsupported',
      'link_type_unsupported',
    ])
    expect(result.error).toMatchObject({
      code: 'LINK_TYPE_UNSUPPORTED',
      message: expect.stringContaining('147 (private use)'),
    })
  })

  test('one readable interface beside an unreadable one is no error', async () => {
    const { result } = await readPackets(
      concat(
        sectionHeader(),
        interfaceDescription({ linkType: 147 }),
        interfaceDescription(),
        enhancedPacket({ frame: FRAME }),
        enhancedPacket({ frame: FRAME, interfaceId: 1 }),
      ),
    )
    expect(result.error).toBeNull()
  })

  test('more interfaces than a section may have end the reading', async () => {
    const many = Array<Uint8Array>(65_537).fill(interfaceDescription())
    const { result } = await readPackets(concat(sectionHeader(), ...many))
    expect(result.error).toMatchObject({ code: 'CAPTURE_RECORD_INVALID', message: expect.stringContaining('65536') })
  })

  test('a block larger than the buffer is read, one above the limit is not', async () => {
    const large = (bytes: number) => block(0x0bad, new Uint8Array(bytes))
    const around = (bytes: number) => concat(goodNg, large(bytes), enhancedPacket({ frame: FRAME }))
    expect((await readPackets(around(16 * 1024 * 1024 - 12))).result).toMatchObject({ packetsRead: 2, error: null })
    expect((await readPackets(around(16 * 1024 * 1024 - 8))).result).toMatchObject({
      packetsRead: 1,
      error: { code: 'CAPTURE_RECORD_INVALID' },
    })
  })
})

describe('gzip', () => {
  const plain = pcap(Array.from({ length: 500 }, () => ({ frame: concat(FRAME, new Uint8Array(randomBytes(64))) })))

  test('one member', async () => {
    const { result } = await readPackets(gzipSync(plain))
    expect(result).toMatchObject({ format: 'pcap (gzip)', packetsRead: 500, contentBytes: plain.length, error: null })
  })

  test('many members, cut anywhere', async () => {
    const members = Array.from({ length: 1000 }, (_, index) =>
      gzipSync(plain.subarray((index * plain.length) / 1000, ((index + 1) * plain.length) / 1000)),
    )
    const { result } = await readPackets(concat(...members))
    expect(result).toMatchObject({ packetsRead: 500, contentBytes: plain.length, error: null })
  })

  test('cut short: all that was compressed before the cut is read', async () => {
    const whole = gzipSync(plain)
    const { packets, result } = await readPackets(whole.subarray(0, whole.length / 2))
    expect(packets.length).toBeGreaterThan(200)
    expect(packets.length).toBeLessThan(300)
    expect(result).toMatchObject({
      truncated: true,
      error: { code: 'COMPRESSION_INVALID', offset: result.contentBytes },
    })
  })

  test('damaged: at most a sixteenth of what came before is lost', async () => {
    const whole = gzipSync(plain)
    // The checksum behind the last byte of content is wrong.
    whole[whole.length - 8]! ^= 1
    const { packets, result } = await readPackets(whole)
    expect(packets.length).toBeGreaterThanOrEqual(500 * (15 / 16) - 1)
    expect(result).toMatchObject({ truncated: true, error: { code: 'COMPRESSION_INVALID' } })
  })

  test('nothing but the magic', async () => {
    const { result } = await readPackets(hex('1f8b'))
    expect(result.error).toMatchObject({ code: 'COMPRESSION_INVALID' })
  })

  test('nothing inside', async () => {
    expect((await readPackets(gzipSync(hex('')))).result.error).toMatchObject({ code: 'CAPTURE_EMPTY' })
  })

  test('a bomb is stopped soon after the first MiB', async () => {
    const record = pcapRecord({ frame: new Uint8Array(65_000) })
    const bomb = gzipSync(concat(pcap([]), Buffer.alloc(64 * 1024 * 1024, record)))
    const { result } = await readPackets(bomb)
    expect(result.error).toMatchObject({ code: 'COMPRESSION_BOMB' })
    expect(result.contentBytes).toBeLessThan(8 * 1024 * 1024)
  })

  test('a small capture that compresses very well is no bomb', async () => {
    const { result } = await readPackets(gzipSync(pcap(Array(10_000).fill({ frame: FRAME }))))
    expect(result).toMatchObject({ packetsRead: 10_000, error: null })
  })

  test('more content than allowed', async () => {
    const { result } = await readPackets(gzipSync(plain), { contentBytesMax: plain.length - 1 })
    expect(result.error).toMatchObject({ code: 'COMPRESSION_BOMB' })
  })
})

test('a capture of several buffers: records that lie across their ends are whole', async () => {
  const count = 40_000
  const records = Array.from({ length: count }, (_, index) => ({
    frame: ethernet(0x0800, ipv4({ id: index & 0xffff }, concat(tcp(), new Uint8Array(index % 40)))),
  }))
  const bytes = pcap(records)
  expect(bytes.length).toBeGreaterThan(3 * CHUNK_BYTES)
  const { packets, result } = await readPackets(bytes)
  expect(result).toMatchObject({ packetsRead: count, error: null })
  expect(packets.filter(({ index, ipId, drop }) => ipId !== ((index - 1) & 0xffff) || drop >= 0)).toEqual([])
})

describe('hooks', () => {
  const bytes = pcap(Array.from({ length: 50 }, (_, index) => ({ frame: FRAME, seconds: T + index })))

  test('onBytes sees the decompressed content, also what cannot be parsed', async () => {
    const content = concat(bytes, pcapRecord({ frame: FRAME, capturedLength: 0xffff_ffff }), bytes)
    for (const input of [content, gzipSync(content)]) {
      const seen: Uint8Array[] = []
      const { result } = await readPackets(input, { onBytes: chunk => void seen.push(chunk.slice()), pieceBytes: [97] })
      expect(result).toMatchObject({ packetsRead: 50, contentBytes: content.length })
      expect(Buffer.concat(seen).equals(content)).toBe(true)
    }
  })

  test('onBytes changes nothing of what is wrong: the first fault is told, not one behind it', async () => {
    const content = concat(bytes, pcapRecord({ frame: FRAME, capturedLength: 0xffff_ffff }), new Uint8Array(20_000))
    const packed = gzipSync(content, { level: 0 })
    const damaged = packed.subarray(0, packed.length - 100)
    for (const onBytes of [undefined, () => {}]) {
      const { result } = await readPackets(damaged, { ...(onBytes && { onBytes }), pieceBytes: [97] })
      expect(result).toMatchObject({ packetsRead: 50, truncated: false, error: { code: 'CAPTURE_RECORD_INVALID' } })
    }
  })

  test('an aborted signal ends the reading without an error', async () => {
    const abort = new AbortController()
    const { result } = await readPackets(bytes, {
      pieceBytes: [512],
      signal: abort.signal,
      onChunk: () => abort.abort(),
    })
    expect(result).toMatchObject({ error: null, truncated: false })
    expect(result.packetsRead).toBeLessThan(50)
  })

  test('what the consumer throws comes out', async () => {
    const boom = new Error('boom')
    const throws = () => {
      throw boom
    }
    await expect(readPackets(bytes, { onChunk: throws })).rejects.toBe(boom)
  })
})

test('numbers of the builder', () => {
  expect([...number(0x0102, 2, 'little'), ...number(0x0102, 2, 'big')]).toEqual([2, 1, 1, 2])
})
