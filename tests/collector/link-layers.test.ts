import { describe, expect, test } from 'vitest'
import { isLinkTypeSupported } from '../../collector/link-type.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { big, concat, ethernet, hex, ieee80211, ipv4, ipv6, little, snap, tcp } from '../support/frame-builder.ts'
import { decodedText, decodeFrame } from '../support/read-packets.ts'

// Goal: each link header below leads to the IP packet behind it, and a cut or foreign one to its drop reason.
// Method: frames made byte by byte; tests/differential/link-layers-tshark.test.ts holds such frames against tshark.

interface Case {
  readonly why: string
  readonly linkType: number
  readonly frame: Uint8Array
  /** `4`, `6`, or the drop reason. */
  readonly expected: string
  readonly originalLength?: number
}

const SYN = ipv4({}, tcp())
const SYN6 = ipv6({}, tcp())
const LINES: Readonly<Record<string, string>> = {
  4: '4,198.51.100.7,203.0.113.9,6,40,64,4660,40000,23,,,2,16909060,1024,scan,,',
  6: '6,2001:db8::7,2001:db8:1::9,6,60,64,,40000,23,,,2,16909060,1024,scan,,',
}
const NOTHING = ',,,,,,,,,,,,,,,,'

const ADDRESSES = '020000000002 020000000003 020000000001'
/** Frame control, duration, three addresses, sequence control. */
const wifi = (control: string, ...rest: Uint8Array[]) =>
  concat(hex(control), hex('0000'), hex(ADDRESSES), hex('1000'), ...rest)
const LLC_SYN = concat(snap(0x0800), SYN)
const LLC_SYN6 = concat(snap(0x86dd), SYN6)
const FCS = hex('deadbeef')

const WIFI_CASES: readonly Case[] = [
  { why: 'data from the access point', linkType: 105, frame: ieee80211(0x0800, SYN), expected: '4' },
  { why: 'data to the access point', linkType: 105, frame: wifi('0801', LLC_SYN6), expected: '6' },
  { why: 'data between stations', linkType: 105, frame: wifi('0800', LLC_SYN), expected: '4' },
  { why: 'four addresses', linkType: 105, frame: wifi('0803', hex('020000000004'), LLC_SYN), expected: '4' },
  { why: 'QoS', linkType: 105, frame: wifi('8802', hex('0000'), LLC_SYN), expected: '4' },
  { why: 'QoS with HT control', linkType: 105, frame: wifi('8882', hex('0000 00000000'), LLC_SYN), expected: '4' },
  {
    why: 'QoS with four addresses',
    linkType: 105,
    frame: wifi('8803', hex('020000000004 0000'), LLC_SYN),
    expected: '4',
  },
  { why: 'the order bit without QoS adds nothing', linkType: 105, frame: wifi('0882', LLC_SYN), expected: '4' },
  { why: 'data with an acknowledgment', linkType: 105, frame: wifi('1802', LLC_SYN), expected: '4' },
  {
    why: 'A-MSDU: the first subframe',
    linkType: 105,
    frame: wifi(
      '8802',
      hex('8000'),
      concat(hex('020000000002 020000000001'), big(LLC_SYN.length, 2), LLC_SYN),
      concat(hex('020000000002 020000000001'), big(LLC_SYN6.length, 2), LLC_SYN6),
    ),
    expected: '4',
  },
  {
    why: 'A-MSDU: a subframe ends where it says',
    linkType: 105,
    frame: wifi('8802', hex('8000'), concat(hex('020000000002 020000000001'), big(18, 2), LLC_SYN)),
    expected: 'ip_header_truncated',
  },
  {
    why: 'A-MSDU cut within the subframe header',
    linkType: 105,
    frame: wifi('8802', hex('8000 020000000002')),
    expected: 'link_header_truncated',
  },
  { why: 'encrypted', linkType: 105, frame: wifi('0842', hex('00000020 00000000'), LLC_SYN), expected: 'not_ip' },
  { why: 'null function', linkType: 105, frame: wifi('4801'), expected: 'not_ip' },
  { why: 'QoS null', linkType: 105, frame: wifi('c801', hex('0000')), expected: 'not_ip' },
  { why: 'beacon', linkType: 105, frame: wifi('8000', new Uint8Array(12)), expected: 'not_ip' },
  { why: 'acknowledgment', linkType: 105, frame: hex('d400 0000 020000000002'), expected: 'not_ip' },
  { why: 'an unknown protocol version', linkType: 105, frame: wifi('0902', LLC_SYN), expected: 'not_ip' },
  {
    why: 'a later fragment shows no header',
    linkType: 105,
    frame: concat(hex('0802 0000'), hex(ADDRESSES), hex('1100'), LLC_SYN),
    expected: 'not_ip',
  },
  { why: 'the first fragment does', linkType: 105, frame: wifi('0806', LLC_SYN), expected: '4' },
  { why: 'cut within the header', linkType: 105, frame: wifi('0802').slice(0, 23), expected: 'link_header_truncated' },
  { why: 'one byte', linkType: 105, frame: hex('08'), expected: 'link_header_truncated' },
]

/** A radiotap header of which only `fields` follow the present words. */
const radiotap = (present: string, fields: string) => {
  const body = hex(present + fields)
  return concat(hex('0000'), little(4 + body.length, 2), body)
}
/** Says that it is longer than the frame, so that only the end of the frame bounds the TCP options. */
const SHORT = ipv4({ totalLength: 1500 }, tcp({ options: hex('020405b4'), headerWords: 7 }))

const MONITOR_CASES: readonly Case[] = [
  {
    why: 'radiotap without flags',
    linkType: 127,
    frame: concat(radiotap('00000000', ''), ieee80211(0x0800, SYN)),
    expected: '4',
  },
  {
    why: 'radiotap with flags behind the timer',
    linkType: 127,
    frame: concat(radiotap('03000000', '1122334455667788 10'), ieee80211(0x86dd, SYN6), FCS),
    expected: '6',
  },
  {
    why: 'radiotap with two present words: the timer is aligned',
    linkType: 127,
    frame: concat(
      radiotap('03000080 00000000', '00000000 1122334455667788 20'),
      wifi('8802', hex('0000 0000'), LLC_SYN),
    ),
    expected: '4',
  },
  {
    why: 'radiotap: the header is padded',
    linkType: 127,
    frame: concat(radiotap('02000000', '20'), wifi('8802', hex('0000 0000'), LLC_SYN)),
    expected: '4',
  },
  {
    why: 'radiotap: not padded without the flag',
    linkType: 127,
    frame: concat(radiotap('02000000', '00'), wifi('8802', hex('0000 0000'), LLC_SYN)),
    expected: 'not_ip',
  },
  {
    why: 'radiotap of another version',
    linkType: 127,
    frame: concat(hex('0100 0800 00000000'), ieee80211(0x0800, SYN)),
    expected: 'not_ip',
  },
  { why: 'radiotap of length 7', linkType: 127, frame: hex('0000 0700 00000000'), expected: 'not_ip' },
  { why: 'radiotap cut', linkType: 127, frame: hex('0000 0900 02000000'), expected: 'link_header_truncated' },
  { why: 'radiotap of 3 bytes', linkType: 127, frame: hex('0000 08'), expected: 'link_header_truncated' },
  {
    why: 'Prism',
    linkType: 119,
    frame: concat(hex('44000000 90000000'), new Uint8Array(136), ieee80211(0x0800, SYN)),
    expected: '4',
  },
  { why: 'Prism cut', linkType: 119, frame: new Uint8Array(143), expected: 'link_header_truncated' },
  {
    why: 'AVS under the number of Prism',
    linkType: 119,
    frame: concat(hex('80211001 00000040'), new Uint8Array(56), ieee80211(0x0800, SYN)),
    expected: '4',
  },
  {
    why: 'AVS',
    linkType: 163,
    frame: concat(hex('80211001 00000040'), new Uint8Array(56), ieee80211(0x86dd, SYN6)),
    expected: '6',
  },
  { why: 'AVS of length 4', linkType: 163, frame: hex('80211001 00000004'), expected: 'not_ip' },
  { why: 'AVS cut', linkType: 163, frame: hex('80211001 00000009'), expected: 'link_header_truncated' },
  {
    why: 'PPI with the common field, frame with check sequence',
    linkType: 192,
    frame: concat(
      hex('0000 2000 69000000 0200 1400 0000000000000000 0100'),
      new Uint8Array(10),
      ieee80211(0x0800, SYN),
      FCS,
    ),
    expected: '4',
  },
  {
    why: 'PPI with Ethernet',
    linkType: 192,
    frame: concat(hex('0000 0800 01000000'), ethernet(0x0800, SYN)),
    expected: '4',
  },
  { why: 'PPI with USB', linkType: 192, frame: hex('0000 0800 bd000000'), expected: 'link_type_unsupported' },
  { why: 'PPI of length 7', linkType: 192, frame: hex('0000 0700 01000000'), expected: 'not_ip' },
  { why: 'PPI cut', linkType: 192, frame: hex('0000 0900 01000000'), expected: 'link_header_truncated' },
]

const HOST_CASES: readonly Case[] = [
  {
    why: 'NFLOG of a little-endian host',
    linkType: 239,
    frame: concat(hex('02000000 0800 0100 08000100 0500 0a00 00 000000'), little(4 + SYN.length, 2), hex('0900'), SYN),
    expected: '4',
  },
  {
    why: 'NFLOG of a big-endian host, IPv6',
    linkType: 239,
    frame: concat(hex('0a000000 0008 0001 86dd0001'), big(4 + SYN6.length, 2), hex('0009'), SYN6),
    expected: '6',
  },
  {
    why: 'NFLOG: the packet ends with its attribute',
    linkType: 239,
    frame: concat(hex('02000000'), little(4 + 19, 2), hex('0900'), SYN),
    expected: 'ip_header_truncated',
  },
  { why: 'NFLOG of a bridge', linkType: 239, frame: concat(hex('07000000 2c00 0900'), SYN), expected: 'not_ip' },
  { why: 'NFLOG without a packet', linkType: 239, frame: hex('02000000 0800 0100 08000100'), expected: 'not_ip' },
  { why: 'NFLOG, attribute of length 3', linkType: 239, frame: hex('02000000 0300 0900'), expected: 'not_ip' },
  { why: 'NFLOG cut', linkType: 239, frame: hex('02000000 0800 01'), expected: 'link_header_truncated' },
  {
    why: 'pf log',
    linkType: 117,
    frame: concat(hex('3d02'), new Uint8Array(62), SYN),
    expected: '4',
  },
  {
    why: 'pf log, IPv6 of OpenBSD',
    linkType: 117,
    frame: concat(hex('4018'), new Uint8Array(62), SYN6),
    expected: '6',
  },
  { why: 'pf log, too short', linkType: 117, frame: concat(hex('2802'), new Uint8Array(60)), expected: 'not_ip' },
  { why: 'pf log cut', linkType: 117, frame: hex('3d02'), expected: 'link_header_truncated' },
  { why: 'pf log of no bytes', linkType: 117, frame: hex(''), expected: 'link_header_truncated' },
  { why: 'IPNET', linkType: 226, frame: concat(hex('0102'), new Uint8Array(22), SYN), expected: '4' },
  { why: 'IPNET, IPv6 of Solaris', linkType: 226, frame: concat(hex('011a'), new Uint8Array(22), SYN6), expected: '6' },
  { why: 'IPNET of another family', linkType: 226, frame: concat(hex('0107'), new Uint8Array(22)), expected: 'not_ip' },
  { why: 'IPNET cut', linkType: 226, frame: new Uint8Array(23), expected: 'link_header_truncated' },
  {
    why: 'PKTAP with Ethernet',
    linkType: 258,
    frame: concat(hex('0c000000 01000000 01000000'), ethernet(0x0800, SYN)),
    expected: '4',
  },
  { why: 'PKTAP with raw IP', linkType: 258, frame: concat(hex('0c000000 01000000 0c000000'), SYN6), expected: '6' },
  {
    why: 'PKTAP with loopback',
    linkType: 258,
    frame: concat(hex('0c000000 01000000 00000000 02000000'), SYN),
    expected: '4',
  },
  { why: 'PKTAP in PKTAP', linkType: 258, frame: hex('0c000000 01000000 02010000'), expected: 'link_type_unsupported' },
  { why: 'PKTAP without a packet', linkType: 258, frame: hex('0c000000 00000000 01000000'), expected: 'not_ip' },
  { why: 'PKTAP of length 4', linkType: 258, frame: hex('04000000 01000000 01000000'), expected: 'not_ip' },
  { why: 'PKTAP cut', linkType: 258, frame: hex('0d000000 01000000 01000000'), expected: 'link_header_truncated' },
  {
    why: 'PKTAP of an impossible length',
    linkType: 258,
    frame: hex('ffffffff 01000000 01000000'),
    expected: 'link_header_truncated',
  },
  { why: 'SLIP', linkType: 8, frame: concat(new Uint8Array(16), SYN), expected: '4' },
  { why: 'SLIP cut', linkType: 8, frame: new Uint8Array(15), expected: 'link_header_truncated' },
  { why: 'PPP with direction', linkType: 204, frame: concat(hex('01 ff03 0021'), SYN), expected: '4' },
  { why: 'PPP with direction, cut', linkType: 204, frame: hex(''), expected: 'link_header_truncated' },
  { why: 'PPP of pppd', linkType: 166, frame: concat(hex('0003 0057'), SYN6), expected: '6' },
  { why: 'PPP of pppd, cut', linkType: 166, frame: hex('00'), expected: 'link_header_truncated' },
]

const LAN_CASES: readonly Case[] = [
  { why: 'token ring', linkType: 6, frame: concat(hex('1040 020000000002 020000000001'), LLC_SYN), expected: '4' },
  {
    why: 'token ring with a source route',
    linkType: 6,
    frame: concat(hex('1040 020000000002 820000000001 0690 0011 0020'), LLC_SYN),
    expected: '4',
  },
  {
    why: 'token ring with a route of length zero: its two bytes are there',
    linkType: 6,
    frame: concat(hex('1040 020000000002 820000000001 0000'), LLC_SYN6),
    expected: '6',
  },
  {
    why: 'token ring, a MAC frame',
    linkType: 6,
    frame: hex('1005 020000000002 020000000001 0000'),
    expected: 'not_ip',
  },
  { why: 'token ring cut', linkType: 6, frame: hex('1040 020000000002'), expected: 'link_header_truncated' },
  {
    why: 'token ring cut within the route',
    linkType: 6,
    frame: hex('1040 020000000002 820000000001 0690 0011'),
    expected: 'link_header_truncated',
  },
  {
    why: 'token ring cut before the route',
    linkType: 6,
    frame: hex('1040 020000000002 820000000001'),
    expected: 'link_header_truncated',
  },
  { why: 'FDDI', linkType: 10, frame: concat(hex('50 020000000002 020000000001'), LLC_SYN), expected: '4' },
  {
    why: 'FDDI with a priority',
    linkType: 10,
    frame: concat(hex('57 020000000002 020000000001'), LLC_SYN6),
    expected: '6',
  },
  {
    why: 'FDDI, station management',
    linkType: 10,
    frame: concat(hex('41 020000000002 020000000001'), LLC_SYN),
    expected: 'not_ip',
  },
  { why: 'FDDI cut', linkType: 10, frame: hex('50 020000000002'), expected: 'link_header_truncated' },
  { why: 'LLC over ATM', linkType: 100, frame: LLC_SYN, expected: '4' },
  { why: 'LLC over ATM, another protocol', linkType: 100, frame: hex('fefe03 81'), expected: 'not_ip' },
  { why: 'MPLS', linkType: 219, frame: concat(hex('00010140'), SYN6), expected: '6' },
  { why: 'frame relay', linkType: 107, frame: concat(hex('0c31 03 cc'), SYN), expected: '4' },
  { why: 'frame relay with padding', linkType: 107, frame: concat(hex('0c31 03 00 8e'), SYN6), expected: '6' },
  { why: 'frame relay with SNAP', linkType: 107, frame: concat(hex('0c31 03 00 80 000000 0800'), SYN), expected: '4' },
  {
    why: 'frame relay with bridged Ethernet',
    linkType: 107,
    frame: concat(hex('0c31 03 00 80 0080c2 0007'), ethernet(0x0800, SYN)),
    expected: '4',
  },
  {
    why: 'frame relay with a bridged protocol data unit',
    linkType: 107,
    frame: concat(hex('0c31 03 00 80 0080c2 000e'), SYN),
    expected: 'not_ip',
  },
  { why: 'frame relay of Cisco', linkType: 107, frame: concat(hex('0c31 0800'), SYN), expected: '4' },
  {
    why: 'frame relay, address of four bytes',
    linkType: 107,
    frame: concat(hex('0c306063 03 cc'), SYN),
    expected: '4',
  },
  { why: 'frame relay, address of one byte', linkType: 107, frame: concat(hex('0d 03 cc'), SYN), expected: 'not_ip' },
  { why: 'frame relay, management', linkType: 107, frame: hex('0001 03 08 0075'), expected: 'not_ip' },
  { why: 'frame relay cut', linkType: 107, frame: hex('0c31 03'), expected: 'link_header_truncated' },
  {
    why: 'frame relay cut behind the padding',
    linkType: 107,
    frame: hex('0c31 03 00'),
    expected: 'link_header_truncated',
  },
  {
    why: 'frame relay cut within SNAP',
    linkType: 107,
    frame: hex('0c31 03 80 000000'),
    expected: 'link_header_truncated',
  },
  { why: 'IP over InfiniBand', linkType: 242, frame: concat(new Uint8Array(40), hex('0800 0000'), SYN), expected: '4' },
  { why: 'IP over InfiniBand, cut', linkType: 242, frame: new Uint8Array(43), expected: 'link_header_truncated' },
  {
    why: 'Broadcom switch tag',
    linkType: 281,
    frame: concat(hex('020000000002 020000000001 20000080 0800'), SYN),
    expected: '4',
  },
  {
    why: 'Broadcom switch tag before the frame',
    linkType: 282,
    frame: concat(hex('20000080'), ethernet(0x86dd, SYN6)),
    expected: '6',
  },
  { why: 'the same, cut', linkType: 282, frame: hex('200000'), expected: 'link_header_truncated' },
  {
    why: 'Marvell switch tag',
    linkType: 284,
    frame: concat(hex('020000000002 020000000001 c0080000 0800'), SYN),
    expected: '4',
  },
  {
    why: 'Marvell switch tag with ethertype',
    linkType: 285,
    frame: concat(hex('020000000002 020000000001 dada 0000 c0080000 86dd'), SYN6),
    expected: '6',
  },
  {
    why: 'switch tag cut',
    linkType: 284,
    frame: hex('020000000002 020000000001 c0080000 08'),
    expected: 'link_header_truncated',
  },
]

function check({ frame, linkType, expected, originalLength }: Case): void {
  const line = LINES[expected] ?? `${NOTHING}${expected}`
  const text = decodedText(decodeFrame(frame, linkType, originalLength))
  // A short packet inside keeps its version and length.
  if (expected === 'ip_header_truncated') expect(text).toMatch(/^4,.*,ip_header_truncated$/)
  else expect(text).toBe(line)
}

describe('IEEE 802.11', () => {
  test.each(WIFI_CASES)('$why', check)
})

describe('headers of monitor mode', () => {
  test.each(MONITOR_CASES)('$why', check)

  // Four NOPs: taken for data, they would be in the profile.
  const flagged = concat(radiotap('02000000', '10'), ieee80211(0x0800, SHORT), hex('01010101'))

  test.each([
    { why: 'a check sequence is no data', cut: 0 },
    { why: 'a cut took half of it', cut: 2 },
    { why: 'a cut took all of it and no more', cut: 4 },
  ])('$why', ({ cut }) => {
    const frame = flagged.slice(0, flagged.length - cut)
    const packet = decodeFrame(frame, 127, flagged.length)
    expect([packet.tcpOptionKinds.toString(16), packet.tcpOptionsOverflow]).toEqual(['2', 1])
  })

  test('without the flag the last four bytes are data', () => {
    const frame = concat(radiotap('02000000', '00'), ieee80211(0x0800, SHORT), hex('01010101'))
    expect(decodeFrame(frame, 127).tcpOptionKinds.toString(16)).toBe('11112')
  })
})

describe('headers of hosts', () => {
  test.each(HOST_CASES)('$why', check)
})

describe('other networks', () => {
  test.each(LAN_CASES)('$why', check)
})

test('exactly the link types that are said to be supported are decoded', () => {
  const decoded = Array.from({ length: 400 }, (_, linkType) => linkType).filter(
    linkType => DROP_REASON_NAMES[decodeFrame(hex(''), linkType).drop] !== 'link_type_unsupported',
  )
  expect(decoded).toEqual(Array.from({ length: 400 }, (_, linkType) => linkType).filter(isLinkTypeSupported))
  expect(decoded.length).toBe(36)
})
