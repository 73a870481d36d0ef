import { describe, expect, it } from 'vitest'
import { backscatterSlot, classify, peerPort, servicePort } from '../../collector/classify.ts'
import { TRAFFIC_CLASSES, type TrafficClass } from '../../schemas/protocol.ts'
import { ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { decodeFrame } from '../support/read-packets.ts'

// Class, service port and peer port of single packets, each row with the words of the definition that it holds.

const FIN = 1
const SYN = 2
const RST = 4
const PSH = 8
const ACK = 16
const URG = 32
const ECE = 64
const CWR = 128

const tcp4 = (flags: number) => ipv4({}, tcp({ srcPort: 80, dstPort: 40_000, flags }))
const udp4 = (from: number, to: number) => ipv4({ protocol: 17 }, udp(from, to))
const icmp4 = (type: number, code = 0) => ipv4({ protocol: 1 }, icmp(type, code))
const icmp6 = (type: number) => ipv6({ next: 58 }, icmp(type, 0))
const SCAN: readonly [TrafficClass, number, number] = ['scan', 40_000, 0]
const REPLY: readonly [TrafficClass, number, number] = ['backscatter', 80, 40_000]
const OTHER: readonly [TrafficClass, number, number] = ['other', 40_000, 0]

interface Case {
  readonly why: string
  readonly packet: Uint8Array
  readonly expected: readonly [TrafficClass, number, number]
}

const CASES: readonly Case[] = [
  { why: 'SYN without ACK is a scan', packet: tcp4(SYN), expected: SCAN },
  { why: 'SYN with ECN set-up flags is a scan', packet: tcp4(SYN | ECE | CWR), expected: SCAN },
  { why: 'SYN with FIN is still SYN without ACK', packet: tcp4(SYN | FIN), expected: SCAN },
  { why: 'SYN+ACK is backscatter, its service is the source port', packet: tcp4(SYN | ACK), expected: REPLY },
  { why: 'RST is backscatter', packet: tcp4(RST), expected: REPLY },
  { why: 'RST+ACK too: under "other" it would stand at the wrong port', packet: tcp4(RST | ACK), expected: REPLY },
  { why: 'any RST, with SYN as well', packet: tcp4(RST | SYN), expected: REPLY },
  { why: 'ACK alone is other', packet: tcp4(ACK), expected: OTHER },
  { why: 'FIN is other', packet: tcp4(FIN), expected: OTHER },
  { why: 'NULL is other', packet: tcp4(0), expected: OTHER },
  { why: 'XMAS is other', packet: tcp4(FIN | PSH | URG), expected: OTHER },
  { why: 'UDP that is not backscatter is a scan', packet: udp4(40_000, 53), expected: ['scan', 53, 0] },
  { why: 'UDP from 53 is backscatter to any port', packet: udp4(53, 53), expected: ['backscatter', 53, 53] },
  { why: 'reflector port to an ephemeral port', packet: udp4(123, 32_768), expected: ['backscatter', 123, 32_768] },
  { why: 'reflector port to a lower port is a scan', packet: udp4(123, 32_767), expected: ['scan', 32_767, 0] },
  { why: 'memcached', packet: udp4(11_211, 65_535), expected: ['backscatter', 11_211, 65_535] },
  { why: 'a port that is no reflector', packet: udp4(8080, 50_000), expected: ['scan', 50_000, 0] },
  ...[0, 3, 4, 5, 11, 12, 14, 16, 18].map(type => ({
    why: `ICMP type ${type} is backscatter, its service type * 256 + code`,
    packet: icmp4(type, 1),
    expected: ['backscatter', type * 256 + 1, 0] as const,
  })),
  ...[8, 13, 15, 17].map(type => ({
    why: `ICMP request ${type}`,
    packet: icmp4(type),
    expected: ['scan', type * 256, 0] as const,
  })),
  ...[9, 10, 42].map(type => ({
    why: `ICMP type ${type} is neither`,
    packet: icmp4(type),
    expected: ['other', type * 256, 0] as const,
  })),
  { why: 'ICMPv6 echo request', packet: icmp6(128), expected: ['scan', 128 * 256, 0] },
  { why: 'ICMPv6 echo reply', packet: icmp6(129), expected: ['backscatter', 129 * 256, 0] },
  { why: 'ICMPv6 error', packet: icmp6(1), expected: ['backscatter', 256, 0] },
  { why: 'ICMPv6 error, the last number', packet: icmp6(127), expected: ['backscatter', 127 * 256, 0] },
  { why: 'ICMPv6 neighbour discovery', packet: icmp6(135), expected: ['other', 135 * 256, 0] },
  { why: 'IPv6 SYN', packet: ipv6({}, tcp({ dstPort: 22 })), expected: ['scan', 22, 0] },
  { why: 'another protocol has no port', packet: ipv4({ protocol: 47 }, hex('00000800')), expected: ['other', 0, 0] },
  {
    why: 'a later fragment shows no port',
    packet: ipv4({ protocol: 17, fragment: 100 }, hex('0102030405060708')),
    expected: ['other', 0, 0],
  },
]

describe('traffic class', () => {
  it.each(CASES)('$why', ({ packet: bytes, expected }) => {
    const packet = decodeFrame(ethernet(bytes[0]! >> 4 === 6 ? 0x86dd : 0x0800, bytes))
    const trafficClass = classify(packet)
    expect([TRAFFIC_CLASSES[trafficClass], servicePort(packet, trafficClass), peerPort(packet, trafficClass)]).toEqual(
      expected,
    )
  })

  it('backscatter has a slot of ten seconds, others have none', () => {
    expect([0, 9, 10, 59].map(second => backscatterSlot(second, 1))).toEqual([0, 0, 1, 5])
    expect(backscatterSlot(59, 0)).toBe(0)
  })
})
