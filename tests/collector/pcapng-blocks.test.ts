import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  block,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  number,
  obsoletePacket,
  option,
  sectionHeader,
  simplePacket,
} from '../support/capture-builder.ts'
import { hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { readPackets } from '../support/read-packets.ts'

// Goal: each block type of draft-ietf-opsawg-pcapng either gives its packets and counts, or is passed over without
// harm to what comes behind it, in both byte orders.

const FRAME = ethernet(0x0800, ipv4({}, tcp()))
const ENDIANS = ['little', 'big'] as const
const UNKNOWN_COUNT = 0xffff_ffff_ffff_ffffn

type Endian = (typeof ENDIANS)[number]

const endOfOptions = hex('00000000')

function dropCount(count: number | bigint, endian: Endian): Uint8Array {
  const flags = option(2, number(1, 4, endian), endian)
  return concat(flags, option(4, number(count, 8, endian), endian), endOfOptions)
}

/** An enhanced packet with options behind the frame. */
function packetWithOptions(options: Uint8Array, endian: Endian, interfaceId = 0): Uint8Array {
  const padding = new Uint8Array((4 - (FRAME.length % 4)) % 4)
  const body = concat(
    number(interfaceId, 4, endian),
    number(0, 8, endian),
    number(FRAME.length, 4, endian),
    number(FRAME.length, 4, endian),
    FRAME,
    padding,
    options,
  )
  return block(6, body, endian)
}

function statistics(interfaceId: number, options: readonly Uint8Array[], endian: Endian): Uint8Array {
  return block(5, concat(number(interfaceId, 4, endian), number(0, 8, endian), ...options, endOfOptions), endian)
}

describe.each(ENDIANS)('%s-endian', endian => {
  const head = concat(sectionHeader(endian), interfaceDescription({}, endian))
  const packet = enhancedPacket({ frame: FRAME }, endian)

  test.each([
    { why: 'name resolution', type: 4, body: hex('0100 0700 01020304 6100 0000 0000 0000') },
    { why: 'systemd journal export', type: 9, body: new TextEncoder().encode('MESSAGE=hello\n') },
    { why: 'decryption secrets', type: 10, body: hex('544c534b 04000000 00000000') },
    { why: 'custom, copyable', type: 0x0bad, body: hex('00007ed9 0102030405060708') },
    { why: 'custom, not to be copied', type: 0x4000_0bad, body: hex('00007ed9 0102030405060708') },
    { why: 'custom without its enterprise number', type: 0x0bad, body: hex('') },
    { why: 'reserved for local use', type: 0x8000_0001, body: hex('ffffffff') },
    { why: 'of no type that is known', type: 0x1234_5678, body: hex('060000000000') },
    { why: 'of type 0', type: 0, body: hex('') },
    { why: 'statistics without a timestamp', type: 5, body: hex('00000000') },
    { why: 'statistics of an interface that was not described', type: 5, body: new Uint8Array(12).fill(1) },
  ])('a block is passed over: $why', async ({ type, body }) => {
    const { packets, result } = await readPackets(concat(head, packet, block(type, body, endian), packet))
    expect(packets.map(({ index, dstPort }) => [index, dstPort])).toEqual([
      [1, 23],
      [2, 23],
    ])
    expect(result).toMatchObject({ interfaceDrops: null, truncated: false, error: null })
  })

  test('a section header with options and a stated length', async () => {
    const body = concat(
      number(0x1a2b3c4d, 4, endian),
      number(1, 2, endian),
      number(0, 2, endian),
      number(48, 8, endian),
      option(2, new TextEncoder().encode('amd64'), endian),
      endOfOptions,
    )
    const { result } = await readPackets(
      concat(block(0x0a0d0d0a, body, endian), interfaceDescription({}, endian), packet),
    )
    expect(result).toMatchObject({ packetsRead: 1, error: null })
  })

  test('packets lost: the sum over packet blocks where no statistics speak', async () => {
    const lossy = [packetWithOptions(dropCount(3, endian), endian), packetWithOptions(dropCount(4, endian), endian)]
    expect((await readPackets(concat(head, ...lossy, packet))).result).toMatchObject({
      packetsRead: 3,
      interfaceDrops: 7,
      error: null,
    })
    // The statistics count the same packets: 12 is all, not 12 more.
    const spoken = concat(head, ...lossy, interfaceStatistics(0, 12, endian))
    expect((await readPackets(spoken)).result.interfaceDrops).toBe(12)
    const silent = concat(head, ...lossy, statistics(0, [option(4, number(9, 8, endian), endian)], endian))
    expect((await readPackets(silent)).result.interfaceDrops).toBe(7)
  })

  test('packets lost: each interface and each section by its own blocks', async () => {
    const { result } = await readPackets(
      concat(
        head,
        interfaceDescription({}, endian),
        packetWithOptions(dropCount(1, endian), endian, 0),
        packetWithOptions(dropCount(2, endian), endian, 1),
        interfaceStatistics(1, 20, endian),
        head,
        packetWithOptions(dropCount(300, endian), endian),
      ),
    )
    expect(result.interfaceDrops).toBe(1 + 20 + 300)
  })

  test('packets lost: a captured length that lies leads to no options of a block before it', async () => {
    // The frame of the first packet reads as options, and lies where 32 bits would lead to.
    const frame = dropCount(9, endian)
    const first = enhancedPacket({ frame }, endian)
    const second = enhancedPacket({ frame, capturedLength: 2 ** 32 - first.length }, endian)
    const { result } = await readPackets(concat(head, interfaceDescription({}, endian), first, second))
    expect(result).toMatchObject({ packetsRead: 1, interfaceDrops: null, error: { code: 'CAPTURE_RECORD_INVALID' } })
  })

  test('packets lost: by the interface and by the system', async () => {
    const drops = [option(5, number(10, 8, endian), endian), option(7, number(32, 8, endian), endian)]
    expect((await readPackets(concat(head, statistics(0, drops, endian)))).result.interfaceDrops).toBe(42)
  })

  test('packets lost: in the obsolete packet block, where all ones say "not known"', async () => {
    const lost = (drops: number) => {
      const bytes = obsoletePacket({ frame: FRAME }, endian)
      bytes.set(number(drops, 2, endian), 10)
      return bytes
    }
    expect((await readPackets(concat(head, lost(5), lost(0xffff), lost(2)))).result.interfaceDrops).toBe(7)
    expect((await readPackets(concat(head, lost(0xffff)))).result.interfaceDrops).toBeNull()
  })

  test.each([
    { why: 'all ones', options: dropCount(UNKNOWN_COUNT, endian) },
    { why: 'a count of four bytes', options: concat(option(4, number(7, 4, endian), endian), endOfOptions) },
    { why: 'an option longer than its block', options: concat(number(4, 2, endian), number(800, 2, endian)) },
    { why: 'behind the end of options', options: concat(endOfOptions, option(4, number(7, 8, endian), endian)) },
    { why: 'half an option', options: hex('0400') },
  ])('packets lost: not said by $why', async ({ options }) => {
    const { result } = await readPackets(concat(head, packetWithOptions(options, endian)))
    expect(result).toMatchObject({ packetsRead: 1, interfaceDrops: null, error: null })
  })

  test('a length that leaves out the padding is rounded up', async () => {
    const unaligned = block(0x0bad, hex('00007ed9 01020304'), endian)
    const length = number(unaligned.length - 1, 4, endian)
    unaligned.set(length, 4)
    unaligned.set(length, unaligned.length - 4)
    expect((await readPackets(concat(head, unaligned, packet))).result).toMatchObject({ packetsRead: 1, error: null })
  })

  test('a simple packet is cut by the snap length of the first interface', async () => {
    const bytes = concat(
      sectionHeader(endian),
      interfaceDescription({ snapLength: 40 }, endian),
      interfaceDescription({ snapLength: 20 }, endian),
      simplePacket(FRAME.subarray(0, 40), 1500, endian),
    )
    const { packets, result } = await readPackets(bytes)
    expect([packets[0]!.capturedLength, packets[0]!.originalLength, result.error]).toEqual([40, 1500, null])
  })
})

describe('reference captures', () => {
  const has = requireExternal('../shared/captures', hasSharedCaptures())

  /** What tshark shows of their statistics and packet blocks, added up. */
  const LOST: Readonly<Record<string, number>> = {
    'pcapngtest__be__test009.pcapng': 12_345,
    'pcapngtest__le__test009.pcapng': 12_345,
    'pcapngtest__le__test102.pcapng': 10 + 1 + 42,
    'pcapngtest__be__test201.pcapng': 10 + 1 + 42,
    'pcapngtest__le__test201.pcapng': 10 + 1 + 42,
    'libtrace__complex.pcapng': 10 + 1 + 42,
  }

  test.skipIf(!has)('have the packets that their list says, and the lost ones that tshark shows', async () => {
    const lines = readFileSync(`${SHARED_CAPTURES}MANIFEST.tsv`, 'utf8').trimEnd().split('\n')
    const names = lines[0]!.split('\t')
    const at = { file: names.indexOf('file'), packets: names.indexOf('packets_capinfos') }
    const listed = lines.slice(1).map(line => line.split('\t'))
    const chosen = listed.filter(cells => /^(pcapngtest|pypcapng)__|^libtrace__complex/.test(cells[at.file]!))
    expect(chosen.length).toBeGreaterThan(30)
    const ours: Record<string, number> = {}
    const theirs: Record<string, number> = {}
    for (const cells of chosen) {
      const file = cells[at.file]!
      const { result } = await readPackets(new Uint8Array(readFileSync(SHARED_CAPTURES + file)))
      if (file in LOST) expect([file, result.interfaceDrops]).toEqual([file, LOST[file]])
      // Where tshark gives up at a block whose length leaves out its padding, we read on.
      if (cells[at.packets] === 'error after 0') continue
      ours[file] = result.packetsRead
      theirs[file] = Number(cells[at.packets])
    }
    expect(ours).toEqual(theirs)
  })
})
