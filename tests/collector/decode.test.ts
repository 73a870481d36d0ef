import { describe, expect, test } from 'vitest'
import { decode } from '../../collector/decode.ts'
import type { Packet } from '../../collector/packet.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { big, concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { decodedText, decodeFrame } from '../support/read-packets.ts'

// Goal: each header is read as its standard says, from whole and from cut frames.
// Method: frames made byte by byte; what `packets` would print of them, from ip_version on, is written out.

interface Case {
  readonly why: string
  readonly frame: Uint8Array
  readonly linkType?: number
  /** ip_version,src,dst,protocol,ip_length,ttl,ip_id,src_port,dst_port,icmp_type,icmp_code,flags,seq,window,class,tools,drop */
  readonly line: string
}

const SYN = ipv4({}, tcp())
const SYN_LINE = '4,198.51.100.7,203.0.113.9,6,40,64,4660,40000,23,,,2,16909060,1024,scan,,'
const SYN6 = ipv6({}, tcp())
const SYN6_LINE = '6,2001:db8::7,2001:db8:1::9,6,60,64,,40000,23,,,2,16909060,1024,scan,,'
const NOTHING = ',,,,,,,,,,,,,,,'

function dropped(reason: string): string {
  return `${NOTHING},${reason}`
}

const LINK_CASES: readonly Case[] = [
  { why: 'Ethernet II', frame: ethernet(0x0800, SYN), line: SYN_LINE },
  { why: 'Ethernet II with IPv6', frame: ethernet(0x86dd, SYN6), line: SYN6_LINE },
  { why: 'one 802.1Q tag', frame: ethernet(0x8100, concat(hex('0007 0800'), SYN)), line: SYN_LINE },
  {
    why: '802.1ad with 802.1Q inside',
    frame: ethernet(0x88a8, concat(hex('0064 8100 0007 86dd'), SYN6)),
    line: SYN6_LINE,
  },
  { why: 'old QinQ', frame: ethernet(0x9100, concat(hex('0064 9200 0001 0800'), SYN)), line: SYN_LINE },
  {
    why: 'sixteen tags are the most',
    frame: ethernet(0x8100, concat(...Array<Uint8Array>(15).fill(hex('00018100')), hex('00010800'), SYN)),
    line: SYN_LINE,
  },
  {
    why: 'seventeen tags: a crafted frame',
    frame: ethernet(0x8100, concat(...Array<Uint8Array>(16).fill(hex('00018100')), hex('00010800'), SYN)),
    line: dropped('not_ip'),
  },
  { why: 'VN-Tag', frame: ethernet(0x8926, concat(hex('00000000 0800'), SYN)), line: SYN_LINE },
  { why: 'E-Tag', frame: ethernet(0x893f, concat(hex('000000000000 0800'), SYN)), line: SYN_LINE },
  {
    why: 'FabricPath: a whole Ethernet header inside',
    frame: ethernet(0x8903, concat(hex('0000'), ethernet(0x0800, SYN))),
    line: SYN_LINE,
  },
  { why: 'NSH with IPv4', frame: ethernet(0x894f, concat(hex('0fc2 0101 00000000'), SYN)), line: SYN_LINE },
  {
    why: 'NSH of length zero would loop in place',
    frame: ethernet(0x894f, concat(hex('0fc0 0101'), SYN)),
    line: dropped('not_ip'),
  },
  { why: 'MPLS, two labels', frame: ethernet(0x8847, concat(hex('00010040 00020140'), SYN)), line: SYN_LINE },
  { why: 'MPLS multicast, IPv6', frame: ethernet(0x8848, concat(hex('00020140'), SYN6)), line: SYN6_LINE },
  {
    why: 'MPLS with a pseudowire inside',
    frame: ethernet(0x8847, concat(hex('00020140'), hex('00000000'))),
    line: dropped('not_ip'),
  },
  {
    why: 'MPLS stack cut before its bottom',
    frame: ethernet(0x8847, hex('00010040 0002')),
    line: dropped('link_header_truncated'),
  },
  {
    why: 'MPLS cut right behind the stack',
    frame: ethernet(0x8847, hex('00010140')),
    line: dropped('link_header_truncated'),
  },
  {
    why: 'PPPoE session',
    frame: ethernet(0x8864, concat(hex('1100 0001 002a 0021'), SYN)),
    line: SYN_LINE,
  },
  { why: 'PPPoE session, IPv6', frame: ethernet(0x8864, concat(hex('1100 0001 003e 0057'), SYN6)), line: SYN6_LINE },
  {
    why: 'PPPoE with a PPP control protocol',
    frame: ethernet(0x8864, hex('1100 0001 0004 c021')),
    line: dropped('not_ip'),
  },
  { why: '802.3 with LLC and SNAP', frame: ethernet(48, concat(hex('aaaa03 000000 0800'), SYN)), line: SYN_LINE },
  { why: '802.3 with LLC service point of IP', frame: ethernet(43, concat(hex('060603'), SYN)), line: SYN_LINE },
  { why: '802.3 with spanning tree', frame: ethernet(38, hex('424203 0000')), line: dropped('not_ip') },
  { why: 'SNAP of a vendor', frame: ethernet(48, concat(hex('aaaa03 00000c 0800'), SYN)), line: dropped('not_ip') },
  { why: 'ARP', frame: ethernet(0x0806, hex('0001080006040001')), line: dropped('not_ip') },
  { why: '13 bytes of Ethernet', frame: ethernet(0x0800, SYN).slice(0, 13), line: dropped('link_header_truncated') },
  { why: 'a tag cut', frame: ethernet(0x8100, hex('0007 08')), line: dropped('link_header_truncated') },
  { why: 'no byte at all', frame: hex(''), line: dropped('link_header_truncated') },
  { why: 'raw IP, 4 by its first nibble', frame: SYN, linkType: 101, line: SYN_LINE },
  { why: 'raw IP, 6 by its first nibble', frame: SYN6, linkType: 101, line: SYN6_LINE },
  { why: 'raw IP as BSD numbers it', frame: SYN, linkType: 12, line: SYN_LINE },
  { why: 'raw IP as OpenBSD numbers it', frame: SYN6, linkType: 14, line: SYN6_LINE },
  { why: 'raw IP of version 5', frame: hex('50000000'), linkType: 101, line: dropped('ip_version_invalid') },
  { why: 'raw IP of no bytes', frame: hex(''), linkType: 101, line: dropped('ip_header_truncated') },
  { why: 'raw IPv4', frame: SYN, linkType: 228, line: SYN_LINE },
  { why: 'raw IPv4 that holds IPv6', frame: SYN6, linkType: 228, line: dropped('ip_version_invalid') },
  { why: 'raw IPv6', frame: SYN6, linkType: 229, line: SYN6_LINE },
  {
    why: 'Linux cooked',
    frame: concat(hex('0000 0001 0006 020000000001 0000 0800'), SYN),
    linkType: 113,
    line: SYN_LINE,
  },
  {
    why: 'Linux cooked, 802.2 inside',
    frame: concat(hex('0000 0001 0006 020000000001 0000 0004 aaaa03 000000 86dd'), SYN6),
    linkType: 113,
    line: SYN6_LINE,
  },
  {
    why: 'Linux cooked with a VLAN tag',
    frame: concat(hex('0000 0001 0006 020000000001 0000 8100 0007 0800'), SYN),
    linkType: 113,
    line: SYN_LINE,
  },
  {
    why: 'Linux cooked of netlink: the field is no ethertype',
    frame: concat(hex('0000 0338 0000 0000000000000000 0800'), SYN),
    linkType: 113,
    line: dropped('not_ip'),
  },
  { why: 'Linux cooked, cut', frame: hex('0000 0001 0006'), linkType: 113, line: dropped('link_header_truncated') },
  {
    why: 'Linux cooked v2',
    frame: concat(hex('0800 0000 00000002 0001 00 06 0200000000010000'), SYN),
    linkType: 276,
    line: SYN_LINE,
  },
  { why: 'Linux cooked v2, cut', frame: hex('0800 0000'), linkType: 276, line: dropped('link_header_truncated') },
  { why: 'null, little-endian host', frame: concat(hex('02000000'), SYN), linkType: 0, line: SYN_LINE },
  { why: 'null, big-endian host', frame: concat(hex('00000002'), SYN), linkType: 0, line: SYN_LINE },
  { why: 'null, IPv6 of Darwin', frame: concat(hex('1e000000'), SYN6), linkType: 0, line: SYN6_LINE },
  { why: 'null, IPv6 of FreeBSD', frame: concat(hex('1c000000'), SYN6), linkType: 0, line: SYN6_LINE },
  { why: 'loop, IPv6 of OpenBSD', frame: concat(hex('00000018'), SYN6), linkType: 108, line: SYN6_LINE },
  { why: 'null of another family', frame: concat(hex('07000000'), SYN), linkType: 0, line: dropped('not_ip') },
  { why: 'null with bits in both halves', frame: concat(hex('02000002'), SYN), linkType: 0, line: dropped('not_ip') },
  { why: 'PPP', frame: concat(hex('0021'), SYN), linkType: 9, line: SYN_LINE },
  { why: 'PPP in HDLC framing', frame: concat(hex('ff03 0021'), SYN), linkType: 9, line: SYN_LINE },
  { why: 'PPP with a protocol field of one byte', frame: concat(hex('21'), SYN), linkType: 9, line: SYN_LINE },
  { why: 'PPP with MPLS', frame: concat(hex('0281 00020140'), SYN6), linkType: 9, line: SYN6_LINE },
  { why: 'PPP control', frame: hex('c021 0101'), linkType: 9, line: dropped('not_ip') },
  { why: 'PPP, nothing behind the framing', frame: hex('ff03'), linkType: 9, line: dropped('link_header_truncated') },
  { why: 'PPP-HDLC', frame: concat(hex('ff03 0057'), SYN6), linkType: 50, line: SYN6_LINE },
  { why: 'PPP-HDLC that is Cisco HDLC', frame: concat(hex('0f00 0800'), SYN), linkType: 50, line: SYN_LINE },
  { why: 'Cisco HDLC', frame: concat(hex('0f00 86dd'), SYN6), linkType: 104, line: SYN6_LINE },
  { why: 'PPPoE as link type', frame: concat(hex('1100 0001 002a 0021'), SYN), linkType: 51, line: SYN_LINE },
  { why: 'a link type that is not read', frame: SYN, linkType: 147, line: dropped('link_type_unsupported') },
]

const IPV4_CASES: readonly Case[] = [
  {
    why: 'options are skipped',
    frame: ipv4({ options: hex('94040000') }, tcp()),
    line: SYN_LINE.replace(',40,64', ',44,64'),
  },
  { why: 'padding behind the total length is not the packet', frame: concat(SYN, hex('ffffffffffff')), line: SYN_LINE },
  {
    why: 'UDP with 2 bytes in the packet and padding behind it: ports are not there',
    frame: concat(ipv4({ protocol: 17 }, hex('1234')), hex('0000 0000 0000')),
    line: '4,198.51.100.7,203.0.113.9,17,22,64,4660,,,,,,,,,,transport_truncated',
  },
  {
    why: 'first fragment: ports are there',
    frame: ipv4({ fragment: 0x2000 }, tcp()),
    line: SYN_LINE,
  },
  {
    why: 'later fragment: nothing behind the IP header is a TCP header',
    frame: ipv4({ fragment: 0x0003 }, tcp()),
    line: '4,198.51.100.7,203.0.113.9,6,40,64,4660,,,,,,,,other,,',
  },
  {
    why: 'total length zero: cut into segments later, reaches to the end of the frame',
    frame: ipv4({ totalLength: 0 }, tcp()),
    line: SYN_LINE,
  },
  {
    why: 'total length below the header: nothing behind it is believed',
    frame: ipv4({ totalLength: 19 }, tcp()),
    line: '4,,,,19,,,,,,,,,,,,ip_header_invalid',
  },
  { why: 'header length below 20', frame: ipv4({ headerWords: 4 }, tcp()), line: '4,,,,,,,,,,,,,,,,ip_header_invalid' },
  {
    why: 'version 6 behind the IPv4 ethertype',
    frame: ipv4({ version: 6 }, tcp()),
    line: dropped('ip_version_invalid'),
  },
  {
    why: 'total length beyond the capture: what is there is used',
    frame: ipv4({ totalLength: 1500 }, tcp()),
    line: SYN_LINE.replace(',40,64', ',1500,64'),
  },
  {
    why: 'options cut by the capture',
    frame: ipv4({ options: new Uint8Array(40) }, tcp()).slice(0, 30),
    line: '4,198.51.100.7,203.0.113.9,6,80,64,4660,,,,,,,,,,ip_header_truncated',
  },
  {
    why: 'header cut behind the source',
    frame: SYN.slice(0, 17),
    line: '4,198.51.100.7,,6,40,64,4660,,,,,,,,,,ip_header_truncated',
  },
  { why: 'header cut behind the TTL', frame: SYN.slice(0, 9), line: '4,,,,40,64,4660,,,,,,,,,,ip_header_truncated' },
  { why: 'header cut behind its first byte', frame: SYN.slice(0, 1), line: '4,,,,,,,,,,,,,,,,ip_header_truncated' },
  { why: 'no header at all', frame: hex(''), line: dropped('ip_header_truncated') },
  {
    why: '0.0.0.0 is an address',
    frame: ipv4({ src: '0.0.0.0', dst: '255.255.255.255' }, tcp()),
    line: SYN_LINE.replace('198.51.100.7,203.0.113.9', '0.0.0.0,255.255.255.255'),
  },
  {
    why: 'a protocol without ports',
    frame: ipv4({ protocol: 47 }, hex('00000800')),
    line: '4,198.51.100.7,203.0.113.9,47,24,64,4660,,,,,,,,other,,',
  },
]

const TCP_CASES: readonly Case[] = [
  {
    why: 'all twelve flag bits',
    frame: ipv4({}, tcp({ flags: 0xfff })),
    line: SYN_LINE.replace(',2,16909060,1024,scan', ',4095,16909060,1024,backscatter'),
  },
  {
    why: 'sequence number with the highest bit',
    frame: ipv4({}, tcp({ seq: 0xffffffff })),
    line: SYN_LINE.replace('16909060', '4294967295'),
  },
  {
    why: 'cut behind the window',
    frame: ipv4({}, tcp()).slice(0, 36),
    line: SYN_LINE,
  },
  {
    why: 'cut behind the flags',
    frame: ipv4({}, tcp()).slice(0, 35),
    line: SYN_LINE.replace(',1024,scan', ',,scan'),
  },
  {
    why: 'cut behind the sequence number: the ports are enough for a flow',
    frame: ipv4({}, tcp()).slice(0, 28),
    line: SYN_LINE.replace(',2,16909060,1024,scan', ',,16909060,,other'),
  },
  {
    why: 'cut behind the ports',
    frame: ipv4({}, tcp()).slice(0, 24),
    line: SYN_LINE.replace(',2,16909060,1024,scan', ',,,,other'),
  },
  {
    why: 'cut within the ports',
    frame: ipv4({}, tcp()).slice(0, 23),
    line: '4,198.51.100.7,203.0.113.9,6,40,64,4660,,,,,,,,,,transport_truncated',
  },
]

const UDP_AND_ICMP_CASES: readonly Case[] = [
  {
    why: 'UDP',
    frame: ipv4({ protocol: 17 }, udp(5353, 161)),
    line: '4,198.51.100.7,203.0.113.9,17,28,64,4660,5353,161,,,,,,scan,,',
  },
  {
    why: 'UDP with ports only',
    frame: ipv4({ protocol: 17 }, udp(5353, 161)).slice(0, 24),
    line: '4,198.51.100.7,203.0.113.9,17,28,64,4660,5353,161,,,,,,scan,,',
  },
  {
    why: 'UDP cut within the ports',
    frame: ipv4({ protocol: 17 }, udp(5353, 161)).slice(0, 23),
    line: '4,198.51.100.7,203.0.113.9,17,28,64,4660,,,,,,,,,,transport_truncated',
  },
  {
    why: 'ICMP echo request',
    frame: ipv4({ protocol: 1 }, icmp(8, 0)),
    line: '4,198.51.100.7,203.0.113.9,1,28,64,4660,,,8,0,,,,scan,,',
  },
  {
    why: 'ICMP cut behind the type',
    frame: ipv4({ protocol: 1 }, icmp(8, 0)).slice(0, 21),
    line: '4,198.51.100.7,203.0.113.9,1,28,64,4660,,,8,,,,,,,transport_truncated',
  },
  {
    why: 'ICMP of no bytes',
    frame: ipv4({ protocol: 1 }, hex('')),
    line: '4,198.51.100.7,203.0.113.9,1,20,64,4660,,,,,,,,,,transport_truncated',
  },
  {
    why: 'ICMPv6 echo request',
    frame: ipv6({ next: 58 }, icmp(128, 0)),
    line: '6,2001:db8::7,2001:db8:1::9,58,48,64,,,,128,0,,,,scan,,',
  },
]

const IPV6_CASES: readonly Case[] = [
  {
    why: 'hop-by-hop, routing and destination options in a row',
    frame: ipv6({ next: 0 }, concat(hex('2b00 0104 00000000 3c00 0000 00000000 0600 0104 00000000'), tcp())),
    line: SYN6_LINE.replace(',60,64', ',84,64'),
  },
  {
    why: 'first fragment',
    frame: ipv6({ next: 44 }, concat(hex('0600 0001 12345678'), tcp())),
    line: SYN6_LINE.replace(',60,64', ',68,64'),
  },
  {
    why: 'later fragment: the protocol is known, ports are not',
    frame: ipv6({ next: 44 }, concat(hex('0600 0058 12345678'), tcp())),
    line: '6,2001:db8::7,2001:db8:1::9,6,68,64,,,,,,,,,other,,',
  },
  {
    why: 'authentication header, counted in 4-byte words',
    frame: ipv6({ next: 51 }, concat(hex('0604 0000'), new Uint8Array(20), tcp())),
    line: SYN6_LINE.replace(',60,64', ',84,64'),
  },
  {
    why: 'mobility header with nothing behind it',
    frame: ipv6({ next: 135 }, hex('3b00 0000 00000000')),
    line: '6,2001:db8::7,2001:db8:1::9,59,48,64,,,,,,,,,other,,',
  },
  {
    why: 'jumbogram: the length stands in a hop-by-hop option',
    frame: ipv6({ next: 0, payloadLength: 0 }, concat(hex('0600 c204 00011170'), tcp())),
    line: SYN6_LINE.replace(',60,64', `,${40 + 70_000},64`),
  },
  {
    why: 'extension header cut',
    frame: ipv6({ next: 0 }, concat(hex('0600 0104 00000000'), tcp())).slice(0, 44),
    line: '6,2001:db8::7,2001:db8:1::9,0,68,64,,,,,,,,,,,ip_header_truncated',
  },
  {
    why: 'extension header that claims more than there is',
    frame: ipv6({ next: 60 }, hex('06ff 0104 00000000')),
    line: '6,2001:db8::7,2001:db8:1::9,60,48,64,,,,,,,,,,,ip_header_truncated',
  },
  {
    why: 'more extension headers than anyone sends',
    frame: ipv6(
      { next: 60 },
      concat(...Array<Uint8Array>(64).fill(hex('3c00 0104 00000000')), hex('0600 0104 00000000'), tcp()),
    ),
    line: '6,2001:db8::7,2001:db8:1::9,60,580,64,,,,,,,,,,,ip_header_truncated',
  },
  { why: 'padding behind the payload length', frame: concat(SYN6, hex('ffff')), line: SYN6_LINE },
  {
    why: 'payload length zero: there is no TCP header in the packet',
    frame: ipv6({ payloadLength: 0 }, tcp()),
    line: '6,2001:db8::7,2001:db8:1::9,6,40,64,,,,,,,,,,,transport_truncated',
  },
  {
    why: 'header cut behind the source',
    frame: SYN6.slice(0, 39),
    line: '6,2001:db8::7,,6,60,64,,,,,,,,,,,ip_header_truncated',
  },
  {
    why: 'header cut behind the hop limit',
    frame: SYN6.slice(0, 8),
    line: '6,,,6,60,64,,,,,,,,,,,ip_header_truncated',
  },
  { why: 'header cut behind the version', frame: SYN6.slice(0, 3), line: '6,,,,,,,,,,,,,,,,ip_header_truncated' },
  { why: 'version 4 behind the IPv6 ethertype', frame: SYN, line: dropped('ip_version_invalid') },
  {
    why: 'the unspecified source of neighbour discovery is an address',
    frame: ipv6({ src: '::', next: 58 }, icmp(135, 0)),
    line: '6,::,2001:db8:1::9,58,48,64,,,,135,0,,,,other,,',
  },
]

function check({ frame, linkType, line }: Case): void {
  expect(decodedText(decodeFrame(frame, linkType ?? 1))).toBe(line)
}

describe('link layers', () => {
  test.each(LINK_CASES)('$why', check)
})

describe('IPv4', () => {
  test.each(IPV4_CASES.map(row => ({ ...row, linkType: 228 })))('$why', check)
})

describe('IPv6', () => {
  test.each(IPV6_CASES.map(row => ({ ...row, linkType: 229 })))('$why', check)
})

describe('TCP', () => {
  test.each(TCP_CASES.map(row => ({ ...row, linkType: 228 })))('$why', check)
})

describe('UDP and ICMP', () => {
  test.each(UDP_AND_ICMP_CASES.map(row => ({ ...row, linkType: 101 })))('$why', check)
})

describe('fragments and flags of IPv4', () => {
  const fields = (fragment: number): Partial<Packet> => {
    const { isFragment, fragmentOffset, dontFragment, reservedFlag } = decodeFrame(ipv4({ fragment }, tcp()), 228)
    return { isFragment, fragmentOffset, dontFragment, reservedFlag }
  }
  const none = { isFragment: 0, fragmentOffset: 0, dontFragment: 0, reservedFlag: 0 }

  test.each([
    { why: 'no flags', fragment: 0, expected: none },
    { why: 'DF is no fragment', fragment: 0x4000, expected: { ...none, dontFragment: 1 } },
    { why: 'reserved flag is no fragment', fragment: 0x8000, expected: { ...none, reservedFlag: 1 } },
    { why: 'more fragments', fragment: 0x2000, expected: { ...none, isFragment: 1 } },
    { why: 'the last', fragment: 0x0002, expected: { ...none, isFragment: 1, fragmentOffset: 16 } },
  ])('$why', ({ fragment, expected }) => {
    expect(fields(fragment)).toEqual(expected)
  })
})

describe('TCP options of a SYN', () => {
  const summary = (options: string, flags = 2, headerWords?: number) => {
    const segment = tcp({ flags, options: hex(options), ...(headerWords === undefined ? {} : { headerWords }) })
    const packet = decodeFrame(ipv4({}, segment), 228)
    return [packet.tcpOptionKinds.toString(16), packet.tcpMss, packet.tcpWindowScale, packet.tcpOptionsOverflow]
  }

  test.each([
    { why: 'none', options: '', expected: ['0', -1, -1, 0] },
    { why: 'MSS alone', options: '020405b4', expected: ['2', 1460, -1, 0] },
    { why: 'Linux', options: '020405b4 0402080a 00000001 00000000 01030307', expected: ['31842', 1460, 7, 0] },
    { why: 'the end of the list ends it', options: '020405b4 00020405', expected: ['2', 1460, -1, 0] },
    { why: 'six fit exactly', options: '01010101 01010000', expected: ['111111', -1, -1, 0] },
    { why: 'a seventh overflows', options: '01010101 01010100', expected: ['111111', -1, -1, 1] },
    { why: 'kinds from 15 up are 15', options: '220a0000 00000000 00000000', expected: ['f', -1, -1, 0] },
    { why: 'an option longer than the list', options: '02060000', expected: ['0', -1, -1, 1] },
    { why: 'an option of length 1 would not move on', options: '02010000', expected: ['0', -1, -1, 1] },
    { why: 'an option without its length', options: '01010102', expected: ['111', -1, -1, 1] },
    { why: 'an MSS of another length is counted, not read', options: '02030500', expected: ['2', -1, -1, 0] },
    { why: 'only of a SYN', options: '020405b4', flags: 16, expected: ['0', -1, -1, 0] },
    { why: 'data offset below the header', options: '', headerWords: 4, expected: ['0', -1, -1, 1] },
    { why: 'data offset beyond the packet', options: '020405b4', headerWords: 7, expected: ['2', 1460, -1, 1] },
  ])('$why', ({ options, flags, headerWords, expected }) => {
    expect(summary(options, flags, headerWords)).toEqual(expected)
  })
})

describe('the packet quoted in an ICMP error', () => {
  const quotation = (packet: Packet) => ({
    version: packet.quotedVersion,
    words: [packet.quotedDst0, packet.quotedDst1, packet.quotedDst2, packet.quotedDst3],
    protocol: packet.quotedProtocol,
    ports: [packet.quotedSrcPort, packet.quotedDstPort],
  })
  const none = { version: 0, words: [0, 0, 0, 0], protocol: -1, ports: [-1, -1] }
  const inner = ipv4({ src: '203.0.113.9', dst: '192.0.2.1', protocol: 17 }, udp(40_000, 53))
  const victim = { version: 4, words: [0, 0, 0xffff, 0xc0000201], protocol: 17, ports: [40_000, 53] }
  const inner6 = ipv6({ src: '2001:db8:1::9', dst: '2001:db8:ffff::1' }, tcp({ srcPort: 5, dstPort: 443 }))
  const error = (type: number, quoted: Uint8Array) => ipv4({ protocol: 1 }, icmp(type, 3, quoted))

  test.each([
    { why: 'unreachable', frame: error(3, inner), expected: victim },
    { why: 'source quench', frame: error(4, inner), expected: victim },
    { why: 'redirect', frame: error(5, inner), expected: victim },
    { why: 'time exceeded', frame: error(11, inner), expected: victim },
    { why: 'parameter problem', frame: error(12, inner), expected: victim },
    { why: 'an echo reply quotes nothing', frame: error(0, inner), expected: none },
    { why: 'quoted header cut before the destination', frame: error(3, inner.slice(0, 19)), expected: none },
    { why: 'no ports quoted', frame: error(3, inner.slice(0, 20)), expected: { ...victim, ports: [-1, -1] } },
    { why: 'not IPv4', frame: error(3, ipv6({}, tcp())), expected: none },
    {
      why: 'a quoted later fragment has no ports',
      frame: error(3, ipv4({ dst: '192.0.2.1', protocol: 17, fragment: 9 }, udp(1, 2))),
      expected: { ...victim, ports: [-1, -1] },
    },
    {
      why: 'quoted options are skipped',
      frame: error(3, ipv4({ dst: '192.0.2.1', protocol: 17, options: hex('01010101') }, udp(40_000, 53))),
      expected: victim,
    },
    {
      why: 'ICMPv6 unreachable',
      frame: ipv6({ next: 58 }, icmp(1, 4, inner6)),
      expected: { version: 6, words: [0x20010db8, 0xffff0000, 0, 1], protocol: 6, ports: [5, 443] },
    },
    { why: 'an ICMPv6 echo reply quotes nothing', frame: ipv6({ next: 58 }, icmp(129, 0, inner6)), expected: none },
  ])('$why', ({ frame, expected }) => {
    expect(quotation(decodeFrame(frame, 101))).toEqual(expected)
  })
})

test('each drop reason of decoding has a case above', () => {
  const cases = [...LINK_CASES, ...IPV4_CASES, ...IPV6_CASES, ...TCP_CASES, ...UDP_AND_ICMP_CASES]
  const seen = new Set(cases.map(({ line }) => line.slice(line.lastIndexOf(',') + 1)))
  const ofReaders = new Set([
    'not_for_telescope',
    'from_telescope',
    'time_invalid',
    'interface_unknown',
    'tunnel_header_truncated',
    'ip_checksum_invalid',
    'transport_checksum_invalid',
  ])
  expect(DROP_REASON_NAMES.filter(name => !seen.has(name) && !ofReaders.has(name))).toEqual([])
})

test('a packet leaves nothing behind for the next one', () => {
  const arp = ethernet(0x0806, big(1, 8))
  const packet = decodeFrame(ipv6({ next: 44 }, concat(hex('3a00 0001 12345678'), icmp(1, 4, ipv6({}, tcp())))), 229)
  expect([packet.quotedVersion, packet.isFragment]).toEqual([6, 1])
  Object.assign(packet, { linkType: 1, capturedLength: arp.length, originalLength: arp.length })
  decode(arp, 0, arp.length, packet)
  expect(packet).toEqual(decodeFrame(arp))
})
