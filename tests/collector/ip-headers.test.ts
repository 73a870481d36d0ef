import { describe, expect, test } from 'vitest'
import type { Packet } from '../../collector/packet.ts'
import { concat, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { decodedText, decodeFrame } from '../support/read-packets.ts'

// Goal: what can stand between the IP header and the transport, and in the quotation of an ICMP error, is read as far
// as it says what it is.

const other6 = (protocol: number, length: number) =>
  `6,2001:db8::7,2001:db8:1::9,${protocol},${length},64,,,,,,,,,other,,`

describe('headers behind IPv6', () => {
  test.each([
    { why: 'ESP: the rest is encrypted', packet: ipv6({ next: 50 }, new Uint8Array(24)), line: other6(50, 64) },
    { why: 'no next header', packet: ipv6({ next: 59 }, hex('')), line: other6(59, 40) },
    { why: 'no next header, and bytes all the same', packet: ipv6({ next: 59 }, tcp()), line: other6(59, 60) },
    { why: 'for experiments: nobody else knows its form', packet: ipv6({ next: 253 }, tcp()), line: other6(253, 60) },
    { why: 'the other one', packet: ipv6({ next: 254 }, tcp()), line: other6(254, 60) },
    {
      why: 'ESP behind hop-by-hop options',
      packet: ipv6({ next: 0 }, concat(hex('3200 0104 00000000'), new Uint8Array(16))),
      line: other6(50, 64),
    },
    {
      why: 'a later fragment of a packet with destination options',
      packet: ipv6({ next: 44 }, concat(hex('3c00 0058 12345678'), tcp())),
      line: other6(60, 68),
    },
    {
      why: 'host identity protocol and shim6 with a packet behind them',
      packet: ipv6({ next: 139 }, concat(hex('8c00 0000 00000000 0600 8000 00000000'), tcp())),
      line: '6,2001:db8::7,2001:db8:1::9,6,76,64,,40000,23,,,2,16909060,1024,scan,,',
    },
    {
      why: 'IPv4: authentication is a protocol, nothing behind it is read',
      packet: ipv4({ protocol: 51 }, concat(hex('0604 0000'), new Uint8Array(20), tcp())),
      line: '4,198.51.100.7,203.0.113.9,51,64,64,4660,,,,,,,,other,,',
    },
  ])('$why', ({ packet, line }) => {
    expect(decodedText(decodeFrame(packet, 101))).toBe(line)
  })

  test('an atomic fragment is whole; a second fragment header does not make a fragment whole', () => {
    const isFragment = (headers: string) => decodeFrame(ipv6({ next: 44 }, concat(hex(headers), tcp())), 101).isFragment
    expect(isFragment('0600 0000 12345678')).toBe(0)
    expect(isFragment('0600 0001 12345678')).toBe(1)
    expect(isFragment('2c00 0001 12345678 0600 0000 12345678')).toBe(1)
  })

  test('a jumbogram beyond the capture keeps its length', () => {
    const packet = decodeFrame(ipv6({ next: 0, payloadLength: 0 }, concat(hex('1100 c204 00100000'), udp(53, 9))), 101)
    expect([packet.ipLength, packet.srcPort]).toEqual([40 + 0x10_0000, 53])
  })
})

describe('the packet quoted in an ICMPv6 error', () => {
  const quoted = (next: number, payload: Uint8Array, type = 1): Packet =>
    decodeFrame(ipv6({ next: 58 }, icmp(type, 0, ipv6({ dst: '2001:db8:f::1', next }, payload))), 101)
  const seen = ({ quotedVersion, quotedDst3, quotedProtocol, quotedSrcPort, quotedDstPort }: Packet) => [
    quotedVersion,
    quotedDst3,
    quotedProtocol,
    quotedSrcPort,
    quotedDstPort,
  ]

  test.each([
    { why: 'packet too big', next: 17, payload: udp(5, 53), type: 2, expected: [6, 1, 17, 5, 53] },
    { why: 'time exceeded', next: 6, payload: tcp({ srcPort: 5 }), type: 3, expected: [6, 1, 6, 5, 23] },
    { why: 'parameter problem', next: 6, payload: tcp({ srcPort: 5 }), type: 4, expected: [6, 1, 6, 5, 23] },
    {
      why: 'behind hop-by-hop and destination options',
      next: 0,
      payload: concat(hex('3c00 0104 00000000 1100 0104 00000000'), udp(5, 53)),
      expected: [6, 1, 17, 5, 53],
    },
    {
      why: 'a first fragment',
      next: 44,
      payload: concat(hex('1100 0001 12345678'), udp(5, 53)),
      expected: [6, 1, 17, 5, 53],
    },
    {
      why: 'a later fragment has no ports',
      next: 44,
      payload: concat(hex('1100 0058 12345678'), udp(5, 53)),
      expected: [6, 1, 17, -1, -1],
    },
    {
      why: 'authentication header',
      next: 51,
      payload: concat(hex('0604 0000'), new Uint8Array(20), tcp({ srcPort: 5 })),
      expected: [6, 1, 6, 5, 23],
    },
    { why: 'ESP', next: 50, payload: new Uint8Array(8), expected: [6, 1, 50, -1, -1] },
    {
      why: 'quotation that ends within an extension header',
      next: 60,
      payload: hex('1100 01'),
      expected: [6, 1, 60, -1, -1],
    },
    {
      why: 'quotation that ends behind one',
      next: 60,
      payload: hex('1100 0104 00000000'),
      expected: [6, 1, 17, -1, -1],
    },
    {
      why: 'one that claims more than is quoted',
      next: 60,
      payload: concat(hex('11ff 0104 00000000'), udp(5, 53)),
      expected: [6, 1, 17, -1, -1],
    },
    {
      why: 'more extension headers than anyone sends',
      next: 60,
      payload: concat(...Array<Uint8Array>(64).fill(hex('3c00 0104 00000000')), hex('1100 0104 00000000'), udp(5, 53)),
      expected: [6, 1, 60, -1, -1],
    },
  ])('$why', ({ next, payload, type, expected }) => {
    expect(seen(quoted(next, payload, type))).toEqual(expected)
  })
})
