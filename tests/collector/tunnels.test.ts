import { describe, expect, test } from 'vitest'
import {
  DECAPSULATE_ERSPAN,
  DECAPSULATE_GENEVE,
  DECAPSULATE_GRE,
  DECAPSULATE_IPIP,
  DECAPSULATE_VXLAN,
  decodeOptions,
  VERIFY_CHECKSUMS,
} from '../../collector/decode-options.ts'
import { Packet } from '../../collector/packet.ts'
import { concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { decodedText, decodeFrame } from '../support/read-packets.ts'

// Goal: each tunnel is looked into when asked for and only then; what only has its number stays what it is; a header
// that the capture cuts is a drop of its own.
// Method: packets made byte by byte, as raw IP.

const IPIP = DECAPSULATE_IPIP
const GRE = DECAPSULATE_GRE
const ERSPAN = DECAPSULATE_ERSPAN
const VXLAN = DECAPSULATE_VXLAN
const GENEVE = DECAPSULATE_GENEVE
const ALL = IPIP | GRE | ERSPAN | VXLAN | GENEVE

const SYN = ipv4({}, tcp())
const SYN6 = ipv6({}, tcp())
const INNER = '4,198.51.100.7,203.0.113.9,6,40,64,4660,40000,23,,,2,16909060,1024,scan,,'
const INNER6 = '6,2001:db8::7,2001:db8:1::9,6,60,64,,40000,23,,,2,16909060,1024,scan,,'
const FRAME = ethernet(0x0800, SYN)

const outer = (protocol: number, payload: Uint8Array, fields = {}) =>
  ipv4({ src: '192.0.2.1', dst: '192.0.2.2', protocol, ttl: 9, id: 7, ...fields }, payload)
const outer6 = (next: number, payload: Uint8Array) =>
  ipv6({ src: '2001:db8:a::1', dst: '2001:db8:a::2', next }, payload)
const vxlan = (payload: Uint8Array, port = 4789) =>
  outer(17, udp(50_000, port, concat(hex('08000000 00000100'), payload)))
const geneve = (head: string, payload: Uint8Array) => outer(17, udp(50_000, 6081, concat(hex(head), payload)))

interface Case {
  readonly why: string
  readonly packet: Uint8Array
  readonly options: number
  readonly line: string
}

const ENTERED: readonly Case[] = [
  { why: 'IPv4 in IPv4', packet: outer(4, SYN), options: IPIP, line: INNER },
  { why: 'IPv6 in IPv4', packet: outer(41, SYN6), options: IPIP, line: INNER6 },
  { why: 'IPv4 in IPv6', packet: outer6(4, SYN), options: IPIP, line: INNER },
  { why: 'IPv6 in IPv6', packet: outer6(41, SYN6), options: IPIP, line: INNER6 },
  {
    why: 'IPv4 in IPv6 behind destination options (RFC 2473)',
    packet: outer6(60, concat(hex('0400 0401 04 01 0100'), SYN)),
    options: IPIP,
    line: INNER,
  },
  { why: 'GRE', packet: outer(47, concat(hex('0000 0800'), SYN)), options: GRE, line: INNER },
  {
    why: 'GRE with checksum, key and sequence number, IPv6',
    packet: outer(47, concat(hex('b000 86dd 12340000 00000001 00000002'), SYN6)),
    options: GRE,
    line: INNER6,
  },
  { why: 'GRE with a key', packet: outer(47, concat(hex('2000 0800 00000001'), SYN)), options: GRE, line: INNER },
  { why: 'GRE in IPv6', packet: outer6(47, concat(hex('0000 0800'), SYN)), options: GRE, line: INNER },
  { why: 'GRE with an Ethernet frame', packet: outer(47, concat(hex('0000 6558'), FRAME)), options: GRE, line: INNER },
  { why: 'GRE with MPLS', packet: outer(47, concat(hex('0000 8847 00010140'), SYN)), options: GRE, line: INNER },
  {
    why: 'GRE of PPTP',
    packet: outer(47, concat(hex('3001 880b 002c0001 00000005 0021'), SYN)),
    options: GRE,
    line: INNER,
  },
  {
    why: 'GRE of PPTP with an acknowledgment',
    packet: outer(47, concat(hex('3081 880b 002c0001 00000005 00000004 ff03 0021'), SYN)),
    options: GRE,
    line: INNER,
  },
  { why: 'ERSPAN type I', packet: outer(47, concat(hex('0000 88be'), FRAME)), options: ERSPAN, line: INNER },
  {
    why: 'ERSPAN type II',
    packet: outer(47, concat(hex('1000 88be 00000001 1001 0001 00000000'), FRAME)),
    options: ERSPAN,
    line: INNER,
  },
  {
    why: 'ERSPAN type III',
    packet: outer(47, concat(hex('1000 22eb 00000001 2001 0001 00000000 0000 8000'), FRAME)),
    options: ERSPAN,
    line: INNER,
  },
  {
    why: 'ERSPAN type III with a platform subheader',
    packet: outer(47, concat(hex('1000 22eb 00000001 2001 0001 00000000 0000 8001 1122334455667788'), FRAME)),
    options: ERSPAN,
    line: INNER,
  },
  { why: 'VXLAN', packet: vxlan(FRAME), options: VXLAN, line: INNER },
  {
    why: 'VXLAN with reserved bits, which a receiver ignores, and a VLAN tag inside',
    packet: outer(
      17,
      udp(50_000, 4789, concat(hex('ff123456 00000100'), ethernet(0x8100, concat(hex('0007 86dd'), SYN6)))),
    ),
    options: VXLAN,
    line: INNER6,
  },
  { why: 'GENEVE with an Ethernet frame', packet: geneve('0000 6558 00000100', FRAME), options: GENEVE, line: INNER },
  {
    why: 'GENEVE with options, IPv6',
    packet: geneve('0200 86dd 00000100 0102 8001 aabbccdd', SYN6),
    options: GENEVE,
    line: INNER6,
  },
  { why: 'a tunnel in a tunnel', packet: vxlan(ethernet(0x0800, outer(4, SYN))), options: VXLAN | IPIP, line: INNER },
  {
    why: 'a first fragment: the packet inside is cut',
    packet: outer(4, ipv4({ totalLength: 1500 }, tcp()), { fragment: 0x2000 }),
    options: IPIP,
    line: INNER.replace(',40,64', ',1500,64'),
  },
  {
    why: 'what the inner packet has not is empty',
    packet: outer(4, ipv4({ protocol: 50 }, new Uint8Array(20))),
    options: IPIP,
    line: '4,198.51.100.7,203.0.113.9,50,40,64,4660,,,,,,,,other,,',
  },
  {
    why: 'inner header cut',
    packet: outer(4, SYN).slice(0, 30),
    options: IPIP,
    line: '4,,,6,40,64,4660,,,,,,,,,,ip_header_truncated',
  },
  { why: 'ARP inside', packet: vxlan(ethernet(0x0806, hex('0001'))), options: VXLAN, line: `${','.repeat(16)}not_ip` },
]

const outerLine = (protocol: number, length: number, ports = ',', drop = '') =>
  `4,192.0.2.1,192.0.2.2,${protocol},${length},9,7,${ports},,,,,,${drop === '' ? (protocol === 17 ? 'scan' : 'other') : ''},,${drop}`

const STAYING: readonly Case[] = [
  {
    why: 'protocol 4 with nothing inside, as nmap -sO sends it',
    packet: outer(4, hex('')),
    options: ALL,
    line: outerLine(4, 20),
  },
  { why: 'protocol 4 with IPv6 inside', packet: outer(4, SYN6), options: ALL, line: outerLine(4, 80) },
  { why: 'protocol 41 with noise inside', packet: outer(41, hex('00ff')), options: ALL, line: outerLine(41, 22) },
  { why: 'a later fragment', packet: outer(4, SYN, { fragment: 5 }), options: ALL, line: outerLine(4, 60) },
  { why: 'GRE of three bytes', packet: outer(47, hex('000008')), options: ALL, line: outerLine(47, 23) },
  {
    why: 'GRE with source routing',
    packet: outer(47, concat(hex('4000 0800'), SYN)),
    options: ALL,
    line: outerLine(47, 64),
  },
  { why: 'GRE of version 2', packet: outer(47, concat(hex('0002 0800'), SYN)), options: ALL, line: outerLine(47, 64) },
  { why: 'GRE keepalive: no ethertype', packet: outer(47, hex('0000 0000')), options: ALL, line: outerLine(47, 24) },
  {
    why: 'GRE that ends within its key',
    packet: outer(47, hex('2000 0800 0000')),
    options: ALL,
    line: outerLine(47, 26),
  },
  {
    why: 'GRE of PPTP that only acknowledges',
    packet: outer(47, hex('2081 880b 00000001 00000004')),
    options: ALL,
    line: outerLine(47, 32),
  },
  {
    why: 'GRE of PPTP without a key',
    packet: outer(47, concat(hex('1001 880b 00000001 0021'), SYN)),
    options: ALL,
    line: outerLine(47, 70),
  },
  {
    why: 'version 1 with an ethertype of version 0',
    packet: outer(47, concat(hex('3001 0800 00000001 00000001'), SYN)),
    options: ALL,
    line: outerLine(47, 72),
  },
  {
    why: 'ERSPAN type II of another version',
    packet: outer(47, concat(hex('1000 88be 00000001 2001 0001 00000000'), FRAME)),
    options: ALL,
    line: outerLine(47, 90),
  },
  {
    why: 'ERSPAN type III with a frame that is no Ethernet',
    packet: outer(47, concat(hex('1000 22eb 00000001 2001 0001 00000000 0000 8800'), FRAME)),
    options: ALL,
    line: outerLine(47, 94),
  },
  {
    why: 'ERSPAN type III that ends within its subheader',
    packet: outer(47, hex('1000 22eb 00000001 2001 0001 00000000 0000 8001 11223344')),
    options: ALL,
    line: outerLine(47, 44),
  },
  {
    why: 'a probe of the VXLAN port',
    packet: outer(17, udp(9, 4789)),
    options: ALL,
    line: outerLine(17, 28, '9,4789'),
  },
  {
    why: 'VXLAN without an identifier',
    packet: outer(17, udp(9, 4789, concat(hex('00000000 00000100'), FRAME))),
    options: ALL,
    line: outerLine(17, 90, '9,4789'),
  },
  {
    why: 'an answer from the VXLAN port',
    packet: outer(17, udp(4789, 9, concat(hex('08000000 00000100'), FRAME))),
    options: ALL,
    line: outerLine(17, 90, '4789,9'),
  },
  {
    why: 'GENEVE of version 1',
    packet: geneve('4000 6558 00000100', FRAME),
    options: ALL,
    line: outerLine(17, 90, '50000,6081'),
  },
  {
    why: 'GENEVE control',
    packet: geneve('0080 6558 00000100', FRAME),
    options: ALL,
    line: outerLine(17, 90, '50000,6081'),
  },
  {
    why: 'GENEVE whose options are longer than the packet',
    packet: geneve('3f00 6558 00000100', FRAME),
    options: ALL,
    line: outerLine(17, 90, '50000,6081'),
  },
  {
    why: 'VXLAN within ICMP is quoted, not carried',
    packet: outer(1, icmp(8, 0, vxlan(FRAME))),
    options: ALL,
    line: '4,192.0.2.1,192.0.2.2,1,118,9,7,,,8,0,,,,scan,,',
  },
]

const GRE_TAGGED = outer(47, concat(hex('3000 0800 00000001 00000002'), SYN))

const CUT: readonly Case[] = [
  {
    why: 'IP in IP',
    packet: outer(4, SYN).slice(0, 20),
    options: ALL,
    line: outerLine(4, 60, ',', 'tunnel_header_truncated'),
  },
  {
    why: 'GRE',
    packet: GRE_TAGGED.slice(0, 22),
    options: ALL,
    line: outerLine(47, 72, ',', 'tunnel_header_truncated'),
  },
  {
    why: 'GRE key',
    packet: GRE_TAGGED.slice(0, 31),
    options: ALL,
    line: outerLine(47, 72, ',', 'tunnel_header_truncated'),
  },
  {
    why: 'ERSPAN',
    packet: outer(47, concat(hex('1000 88be 00000001 1001 0001 00000000'), FRAME)).slice(0, 34),
    options: ALL,
    line: outerLine(47, 90, ',', 'tunnel_header_truncated'),
  },
  {
    why: 'VXLAN',
    packet: vxlan(FRAME).slice(0, 35),
    options: ALL,
    line: outerLine(17, 90, '50000,4789', 'tunnel_header_truncated'),
  },
  {
    why: 'UDP before VXLAN',
    packet: vxlan(FRAME).slice(0, 24),
    options: ALL,
    line: outerLine(17, 90, '50000,4789', 'tunnel_header_truncated'),
  },
  {
    why: 'GENEVE options',
    packet: geneve('0200 86dd 00000100 0102 8001 aabbccdd', SYN6).slice(0, 40),
    options: ALL,
    line: outerLine(17, 104, '50000,6081', 'tunnel_header_truncated'),
  },
]

function decodedWith(packet: Uint8Array, options: number): Packet {
  return decodeFrame(packet, 101, packet.length, options)
}

describe('a tunnel that is looked into', () => {
  test.each(ENTERED)('$why', ({ packet, options, line }) => {
    expect(decodedText(decodedWith(packet, options))).toBe(line)
    expect(decodedText(decodedWith(packet, ALL))).toBe(line)
  })

  test.each(ENTERED)('not when it is not asked for: $why', ({ packet, options }) => {
    const plain = decodedText(decodedWith(packet, 0))
    expect(plain).toMatch(/^(4,192\.0\.2\.1,192\.0\.2\.2|6,2001:db8:a::1,2001:db8:a::2),(4|41|47|17),/)
    const first = [IPIP, GRE, ERSPAN, VXLAN, GENEVE].find(option => (options & option) !== 0 && option !== IPIP) ?? IPIP
    expect(decodedText(decodedWith(packet, ALL & ~first))).toBe(plain)
  })
})

describe('what only has the number of a tunnel stays what it is', () => {
  test.each(STAYING)('$why', ({ packet, options, line }) => {
    expect(decodedText(decodedWith(packet, options))).toBe(line)
    expect(decodedText(decodedWith(packet, 0))).toBe(line)
  })
})

describe('a capture that ends within the header of a tunnel', () => {
  test.each(CUT)('$why', ({ packet, options, line }) => {
    expect(decodedText(decodedWith(packet, options))).toBe(line)
  })
})

test('eight tunnels in one another are looked into, and no more', () => {
  const nested = (depth: number): Uint8Array => (depth === 0 ? SYN : outer(4, nested(depth - 1), { id: depth }))
  expect(decodedText(decodedWith(nested(8), IPIP))).toBe(INNER)
  expect(decodedText(decodedWith(nested(9), IPIP))).toBe(outerLine(4, 60).replace(',9,7,', ',9,1,'))
})

test('the packet inside leaves nothing of the one outside, nor of the places in the bytes', () => {
  const packet = decodedWith(outer6(60, concat(hex('0400 0401 04 01 0100'), SYN)), IPIP)
  const { capturedLength, originalLength } = packet
  const alone = decodedWith(SYN, IPIP)
  expect(packet).toEqual(Object.assign(new Packet(), alone, { capturedLength, originalLength }))
  const cut = decodedWith(vxlan(FRAME).slice(0, 35), VXLAN)
  expect([cut.ipOffset, cut.payloadOffset, cut.payloadEnd, cut.payloadType]).toEqual([0, 0, 0, 0])
})

describe('the options of a command', () => {
  test.each([
    { why: 'none', values: {}, bits: 0 },
    { why: 'one tunnel', values: { decapsulate: 'gre' }, bits: GRE },
    { why: 'all', values: { decapsulate: 'ipip,gre,erspan,vxlan,geneve' }, bits: ALL },
    { why: 'checksums', values: { 'verify-checksums': true }, bits: VERIFY_CHECKSUMS },
    { why: 'both', values: { decapsulate: 'vxlan', 'verify-checksums': true }, bits: VXLAN | VERIFY_CHECKSUMS },
  ])('$why', ({ values, bits }) => {
    expect(decodeOptions(values, 'packets')).toBe(bits)
  })

  test.each(['', 'GRE', 'gre,', 'gre, vxlan', 'teredo', 'toString'])('not "%s"', list => {
    const wrong = list.split(',').find(name => !['gre', 'vxlan'].includes(name))
    expect(() => decodeOptions({ decapsulate: list }, 'inspect')).toThrowError(
      expect.objectContaining({
        code: 'USAGE',
        message: `inspect: --decapsulate "${wrong}" is no tunnel that is read; there are ipip, gre, erspan, vxlan, geneve`,
      }),
    )
  })
})
