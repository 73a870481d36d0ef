import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { enhancedPacket, interfaceDescription, pcap, sectionHeader } from '../support/capture-builder.ts'
import { hasCommand, hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'
import { concat, ethernet, hex, ieee80211, ipv4, ipv6, little, snap, tcp } from '../support/frame-builder.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { COMPARED, mapRow, type OurRow, ourRow, runTshark } from '../support/tshark.ts'

// Goal: link layers of which no real capture is at hand, or none with all that the header can hold, are read as tshark
// reads them; and what tshark 4.0 does not know, tags of switch chips and PPP of pppd, as tcpdump does.
// Method: one pcapng with an interface for each frame.

const SYN = ipv4({}, tcp())
const SYN6 = ipv6({}, tcp())
const LLC_SYN = concat(snap(0x0800), SYN)
const ADDRESSES = '020000000002 020000000003 020000000001'
const wifi = (control: string, ...rest: Uint8Array[]) =>
  concat(hex(control), hex('0000'), hex(ADDRESSES), hex('1000'), ...rest)
const subframe = (payload: Uint8Array) =>
  concat(hex('020000000002 020000000001'), little(payload.length, 2).reverse(), payload)

const FRAMES: readonly { readonly why: string; readonly linkType: number; readonly frame: Uint8Array }[] = [
  { why: '802.11', linkType: 105, frame: ieee80211(0x0800, SYN) },
  { why: '802.11 to the access point, IPv6', linkType: 105, frame: wifi('0801', snap(0x86dd), SYN6) },
  { why: '802.11 with four addresses', linkType: 105, frame: wifi('0803', hex('020000000004'), LLC_SYN) },
  { why: '802.11 QoS', linkType: 105, frame: wifi('8802', hex('0000'), LLC_SYN) },
  { why: '802.11 QoS, HT control', linkType: 105, frame: wifi('8882', hex('0000 00000000'), LLC_SYN) },
  {
    why: '802.11 A-MSDU',
    linkType: 105,
    frame: wifi('8802', hex('8000'), subframe(LLC_SYN), hex('0000'), subframe(concat(snap(0x86dd), SYN6))),
  },
  { why: '802.11 encrypted', linkType: 105, frame: wifi('0842', hex('00000020 00000000'), LLC_SYN) },
  { why: '802.11 null function', linkType: 105, frame: wifi('4801') },
  {
    why: 'radiotap with timer, check sequence and padding',
    linkType: 127,
    frame: concat(
      hex('0000 1100 03000000 1122334455667788 30'),
      wifi('8802', hex('0000 0000'), LLC_SYN),
      hex('deadbeef'),
    ),
  },
  {
    why: 'radiotap with two present words',
    linkType: 127,
    frame: concat(
      hex('0000 1900 03000080 00000000 00000000 1122334455667788 20'),
      wifi('8802', hex('0000 0000'), LLC_SYN),
    ),
  },
  {
    why: 'Prism',
    linkType: 119,
    frame: concat(hex('44000000 90000000'), new Uint8Array(136), ieee80211(0x0800, SYN)),
  },
  {
    why: 'AVS',
    linkType: 163,
    frame: concat(hex('80211001 00000040'), new Uint8Array(56), ieee80211(0x0800, SYN)),
  },
  {
    why: 'PPI',
    linkType: 192,
    frame: concat(
      hex('0000 2000 69000000 0200 1400 0000000000000000 0000'),
      new Uint8Array(10),
      ieee80211(0x0800, SYN),
    ),
  },
  { why: 'token ring', linkType: 6, frame: concat(hex('1040 020000000002 020000000001'), LLC_SYN) },
  {
    why: 'token ring with a source route',
    linkType: 6,
    frame: concat(hex('1040 020000000002 820000000001 0690 0011 0020'), LLC_SYN),
  },
  { why: 'FDDI', linkType: 10, frame: concat(hex('57 020000000002 020000000001'), LLC_SYN) },
  { why: 'LLC over ATM', linkType: 100, frame: LLC_SYN },
  { why: 'frame relay', linkType: 107, frame: concat(hex('0c31 03 cc'), SYN) },
  { why: 'frame relay with padding and SNAP', linkType: 107, frame: concat(hex('0c31 03 00 80 000000 0800'), SYN) },
  {
    why: 'frame relay with bridged Ethernet',
    linkType: 107,
    frame: concat(hex('0c31 03 00 80 0080c2 0007'), ethernet(0x0800, SYN)),
  },
  { why: 'frame relay of Cisco', linkType: 107, frame: concat(hex('0c31 0800'), SYN) },
  { why: 'frame relay, address of four bytes', linkType: 107, frame: concat(hex('0c306063 03 cc'), SYN) },
  {
    why: 'NFLOG, little-endian',
    linkType: 239,
    frame: concat(hex('02000000 0800 0100 08000100 0500 0a00 00 000000'), little(4 + SYN.length, 2), hex('0900'), SYN),
  },
  { why: 'pf log', linkType: 117, frame: concat(hex('3d02'), new Uint8Array(62), SYN) },
  { why: 'IPNET, IPv6', linkType: 226, frame: concat(hex('011a 0000 0000003c'), new Uint8Array(16), SYN6) },
  { why: 'IP over InfiniBand', linkType: 242, frame: concat(new Uint8Array(40), hex('86dd 0000'), SYN6) },
]

const newFolder = temporaryFolders()

const columns = (row: Partial<OurRow>): Partial<OurRow> =>
  Object.fromEntries(COMPARED.map(column => [column, row[column]]))

async function readOurs(path: string): Promise<OurRow[]> {
  const rows: OurRow[] = []
  await readCapture(path, new Packet(), packet => void rows.push(ourRow(packet)))
  return rows
}

function written(bytes: Uint8Array, name: string): string {
  const path = join(newFolder(), name)
  writeFileSync(path, bytes)
  return path
}

describe.skipIf(!requireExternal('tshark', hasCommand('tshark')))('link layers against tshark', () => {
  let ours: OurRow[] = []
  let theirs: Partial<OurRow>[] = []

  beforeAll(async () => {
    const path = written(
      concat(
        sectionHeader(),
        ...FRAMES.map(({ linkType }) => interfaceDescription({ linkType })),
        ...FRAMES.map(({ frame }, interfaceId) => enhancedPacket({ frame, interfaceId })),
      ),
      'link-layers.pcapng',
    )
    ours = await readOurs(path)
    theirs = (await runTshark(path)).map((row, at) => mapRow(row, at + 1))
  }, 120_000)

  test.each(FRAMES.map(({ why }, at) => ({ why, at })))('$why', ({ at }) => {
    expect(theirs.length).toBe(FRAMES.length)
    expect(columns(ours[at]!)).toEqual(columns(theirs[at]!))
  })

  test('NFLOG of a big-endian host, whose order tshark takes from the file', async () => {
    const frame = concat(hex('0a000000 0008 0001 86dd0001 0040 0009'), SYN6)
    const path = written(pcap([{ frame }], { linkType: 239, endian: 'big' }), 'nflog.pcap')
    const [expected] = await runTshark(path)
    expect((await readOurs(path)).map(columns)).toEqual([columns(mapRow(expected!, 1))])
  }, 60_000)

  test('PPP with direction, a byte that tshark does not count', async () => {
    const path = written(pcap([{ frame: concat(hex('01 ff03 0021'), SYN) }], { linkType: 204 }), 'ppp.pcap')
    const [expected] = await runTshark(path)
    const { caplen, len, ...rest } = columns((await readOurs(path))[0]!)
    expect({ ...rest, caplen: '44', len: '44' }).toEqual(columns(mapRow(expected!, 1)))
    expect([caplen, len]).toEqual(['45', '45'])
  }, 60_000)
})

/** Source and destination, with ports or the ICMP type, as tcpdump prints them; null for what is no IP. */
function tcpdumpFlow(line: string): string | null {
  const match = /(\S+) > (\S+): (ICMP echo (request|reply))?/.exec(line)
  return match === null ? null : `${match[1]} ${match[2]} ${match[4] ?? ''}`
}

function ourFlow(row: OurRow): string | null {
  if (row.ip_version === '') return null
  const port = (value: string) => (value === '' ? '' : `.${value}`)
  const echo = row.protocol !== '1' ? '' : row.icmp_type === '8' ? 'request' : row.icmp_type === '0' ? 'reply' : ''
  return `${row.src}${port(row.src_port)} ${row.dst}${port(row.dst_port)} ${echo}`
}

function tcpdumpFlows(path: string): (string | null)[] {
  const text = execFileSync('tcpdump', ['-nn', '-t', '-e', '-r', path], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const lines = text.trimEnd().split('\n')
  return lines.filter(line => /^\S/.test(line)).map(tcpdumpFlow)
}

const hasTcpdump = requireExternal('tcpdump', hasCommand('tcpdump'))

describe.skipIf(!hasTcpdump)('link layers against tcpdump', () => {
  const isPresent = requireExternal('../shared/captures', hasSharedCaptures())

  test.skipIf(!isPresent).each(['tcpdump__brcm-tag.pcap', 'tcpdump__dsa.pcap'])(
    '%s',
    async file => {
      const path = SHARED_CAPTURES + file
      const expected = tcpdumpFlows(path)
      expect(expected.filter(flow => flow !== null).length).toBeGreaterThan(1)
      expect((await readOurs(path)).map(ourFlow)).toEqual(expected)
    },
    60_000,
  )

  test.each([
    { why: 'Broadcom, prepended', linkType: 282, frame: concat(hex('20000080'), ethernet(0x0800, SYN)) },
    {
      why: 'Marvell with ethertype',
      linkType: 285,
      frame: concat(hex('020000000002 020000000001 dada 0000 c0080000 0800'), SYN),
    },
    { why: 'PPP of pppd', linkType: 166, frame: concat(hex('0103 0021'), SYN) },
  ])(
    '$why',
    async ({ linkType, frame }) => {
      const path = written(pcap([{ frame }], { linkType }), 'tagged.pcap')
      expect(tcpdumpFlows(path)).toEqual(['198.51.100.7.40000 203.0.113.9.23 '])
      expect((await readOurs(path)).map(ourFlow)).toEqual(tcpdumpFlows(path))
    },
    60_000,
  )
})
