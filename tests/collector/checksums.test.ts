import { describe, expect, test } from 'vitest'
import { DECAPSULATE_IPIP, DECAPSULATE_VXLAN, VERIFY_CHECKSUMS } from '../../collector/decode-options.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp, withChecksums } from '../support/frame-builder.ts'
import { decodeFrame } from '../support/read-packets.ts'

// Goal: with --verify-checksums a wrong checksum, and nothing else, is a drop reason.
// Method: packets with right checksums by the builder's own arithmetic, each byte of them changed in turn.

function dropOf(packet: Uint8Array, options = VERIFY_CHECKSUMS, originalLength = packet.length): string {
  return DROP_REASON_NAMES[decodeFrame(packet, 101, originalLength, options).drop] ?? ''
}

const DATA = hex('0102030405')
const GOOD: Readonly<Record<string, Uint8Array>> = {
  'TCP in IPv4': withChecksums(ipv4({}, concat(tcp({ options: hex('020405b4') }), DATA))),
  'UDP in IPv4': withChecksums(ipv4({ protocol: 17 }, udp(53, 40_000, DATA))),
  'ICMP in IPv4': withChecksums(ipv4({ protocol: 1 }, icmp(8, 0, DATA))),
  'TCP in IPv6': withChecksums(ipv6({}, concat(tcp(), DATA))),
  'UDP in IPv6': withChecksums(ipv6({ next: 17 }, udp(53, 40_000, DATA))),
  'ICMPv6 in IPv6': withChecksums(ipv6({ next: 58 }, icmp(128, 0, DATA))),
}
const BAD_TCP = ipv4({}, tcp())
const BAD_TRANSPORT = withBadTransport(GOOD['TCP in IPv4']!)

function withBadTransport(packet: Uint8Array): Uint8Array {
  const bad = packet.slice()
  bad[bad.length - 1]! ^= 0x10
  return bad
}

describe.each(Object.entries(GOOD))('%s', (_, packet) => {
  test('a right one is kept, a wrong one only when it is verified', () => {
    expect(dropOf(packet)).toBe('')
    expect(dropOf(withBadTransport(packet))).toBe('transport_checksum_invalid')
    expect(dropOf(withBadTransport(packet), 0)).toBe('')
  })

  test('one changed byte is always found, but where it changes what the packet is', () => {
    const isV4 = packet[0]! >> 4 === 4
    for (let at = 0; at < packet.length; at++) {
      const changed = packet.slice()
      changed[at]! ^= 0x01
      const drop = dropOf(changed)
      if (isV4 && at >= 1 && at < 20 && at !== 2 && at !== 3) expect([at, drop]).toEqual([at, 'ip_checksum_invalid'])
      // Of the UDP length, one that cannot be leaves nothing to judge.
      const isUdpLength = packet[isV4 ? 9 : 6] === 17 && [4, 5].includes(at - (isV4 ? 20 : 40))
      if (at >= (isV4 ? 20 : 40) && !isUdpLength) expect([at, drop]).toEqual([at, 'transport_checksum_invalid'])
    }
  })
})

describe('not judged', () => {
  const twoBytesMore = (packet: Uint8Array) => concat(packet, hex('0000'))

  test.each([
    {
      why: 'a UDP checksum of zero: none was made',
      packet: withIpChecksum(ipv4({ protocol: 17 }, udp(53, 9))),
      drop: '',
    },
    { why: 'zero in IPv6 is not allowed', packet: ipv6({ next: 17 }, udp(53, 9)), drop: 'transport_checksum_invalid' },
    { why: 'but for tunnels', packet: ipv6({ next: 17 }, udp(53, 4789)), drop: '' },
    { why: 'and those of GENEVE', packet: ipv6({ next: 17 }, udp(53, 6081)), drop: '' },
    { why: 'a capture that ends before the packet', packet: BAD_TRANSPORT.slice(0, -1), drop: '' },
    { why: 'a first fragment', packet: withIpChecksum(ipv4({ fragment: 0x2000 }, tcp())), drop: '' },
    { why: 'a later fragment', packet: withIpChecksum(ipv4({ fragment: 5 }, tcp())), drop: '' },
    { why: 'but its IP header is', packet: ipv4({ fragment: 5 }, tcp()), drop: 'ip_checksum_invalid' },
    { why: 'and that of a packet cut behind it', packet: BAD_TCP.slice(0, 24), drop: 'ip_checksum_invalid' },
    { why: 'a later IPv6 fragment', packet: ipv6({ next: 44 }, concat(hex('0600 0058 12345678'), tcp())), drop: '' },
    {
      why: 'a segment before the network card cut it',
      packet: withIpChecksum(ipv4({ totalLength: 0 }, tcp())),
      drop: '',
    },
    {
      why: 'a protocol without a checksum that we know',
      packet: withIpChecksum(ipv4({ protocol: 132 }, tcp())),
      drop: '',
    },
    { why: 'a UDP length beyond the packet', packet: withIpChecksum(udpOfLength(99)), drop: '' },
    { why: 'a UDP length below its header', packet: withIpChecksum(udpOfLength(7)), drop: '' },
    {
      why: 'a UDP length below the packet: what it covers is',
      packet: twoBytesMore(GOOD['UDP in IPv4']!),
      drop: '',
    },
    { why: 'padding behind the packet', packet: twoBytesMore(GOOD['TCP in IPv4']!), drop: '' },
    {
      why: 'a source route with segments left: the pseudo-header has its last address',
      packet: ipv6({ next: 43 }, concat(hex('0602 0001 00000000'), new Uint8Array(16), tcp())),
      drop: '',
    },
    {
      why: 'but one at its end has none',
      packet: ipv6({ next: 43 }, concat(hex('0602 0000 00000000'), new Uint8Array(16), tcp())),
      drop: 'transport_checksum_invalid',
    },
    {
      why: 'a home address',
      packet: ipv6({ next: 60 }, concat(hex('0602 0102 0000 c910'), new Uint8Array(16), tcp())),
      drop: '',
    },
    {
      why: 'but other destination options change nothing',
      packet: ipv6({ next: 60 }, concat(hex('0600 0104 00000000'), tcp())),
      drop: 'transport_checksum_invalid',
    },
  ])('$why', ({ packet, drop }) => {
    expect(dropOf(packet)).toBe(drop)
  })
})

function udpOfLength(length: number): Uint8Array {
  const packet = ipv4({ protocol: 17 }, udp(53, 9))
  packet.set([length], 25)
  packet.set([0x12], 26)
  return packet
}

/** The IPv4 header right, what follows it as it is. */
function withIpChecksum(packet: Uint8Array): Uint8Array {
  return concat(withChecksums(packet).slice(0, 20), packet.slice(20))
}

describe('with tunnels', () => {
  const inner = GOOD['TCP in IPv4']!
  const both = VERIFY_CHECKSUMS | DECAPSULATE_IPIP | DECAPSULATE_VXLAN
  const vxlan = (frame: Uint8Array) => ipv6({ next: 17 }, udp(9, 4789, concat(hex('08000000 00000100'), frame)))

  test.each([
    { why: 'both right', packet: withIpChecksum(ipv4({ protocol: 4 }, inner)), drop: '' },
    { why: 'the outer header wrong', packet: ipv4({ protocol: 4 }, inner), drop: 'ip_checksum_invalid' },
    {
      why: 'the inner packet wrong',
      packet: withIpChecksum(ipv4({ protocol: 4 }, withBadTransport(inner))),
      drop: 'transport_checksum_invalid',
    },
    { why: 'UDP without one around it', packet: vxlan(ethernet(0x0800, inner)), drop: '' },
    {
      why: 'and the inner packet wrong',
      packet: vxlan(ethernet(0x0800, withBadTransport(inner))),
      drop: 'transport_checksum_invalid',
    },
  ])('$why', ({ packet, drop }) => {
    expect(dropOf(packet, both)).toBe(drop)
  })

  test('a wrong outer packet is described, not the one inside', () => {
    const packet = decodeFrame(ipv4({ protocol: 4, ttl: 9 }, inner), 101, 100, both)
    expect([packet.protocol, packet.ttl, packet.srcPort]).toEqual([4, 9, -1])
  })
})
