import { describe, expect, it } from 'vitest'
import { spoofBits } from '../../collector/spoof.ts'
import { SPOOF_BITS } from '../../schemas/tool.ts'
import { ethernet, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { decodeFrame } from '../support/read-packets.ts'

// Signs of a forged source, one by one; 8.8.4.4 and 2600::1 are sources without any.

const signsOf = (bytes: Uint8Array): string[] => {
  const bits = spoofBits(decodeFrame(ethernet(bytes[0]! >> 4 === 6 ? 0x86dd : 0x0800, bytes)))
  return SPOOF_BITS.filter((_, index) => (bits >>> index) & 1).map(bit => bit.name)
}
const from4 = (src: string) => ipv4({ src }, tcp())
const from6 = (src: string) => ipv6({ src }, tcp())
const flags = (value: number) => ipv4({ src: '8.8.4.4' }, tcp({ flags: value }))

const CASES: readonly [why: string, packet: Uint8Array, expected: readonly string[]][] = [
  ['an ordinary IPv4 SYN', from4('8.8.4.4'), []],
  ['an ordinary IPv6 SYN', from6('2600::1'), []],
  ...['10.1.2.3', '100.64.1.1', '127.1.1.1', '169.254.3.4', '172.31.9.9', '192.0.0.9', '192.0.2.77'].map(
    (src): [string, Uint8Array, string[]] => [`special ${src}`, from4(src), ['special_source']],
  ),
  ...['192.88.99.1', '192.168.200.1', '198.19.255.254', '198.51.100.1', '203.0.113.1', '240.1.1.1'].map(
    (src): [string, Uint8Array, string[]] => [`special ${src}`, from4(src), ['special_source']],
  ),
  ...['1.1.1.1', '100.63.1.1', '100.128.1.1', '172.15.1.1', '172.32.1.1', '192.0.1.1', '192.0.3.1', '198.17.1.1'].map(
    (src): [string, Uint8Array, string[]] => [`not special ${src}`, from4(src), []],
  ),
  ...['198.20.1.1', '198.51.101.1', '203.0.112.1', '239.1.1.1', '9.1.1.1', '11.1.1.1'].map(
    (src): [string, Uint8Array, string[]] => [`not special ${src}`, from4(src), []],
  ),
  ...['::', '::1', '::ffff:8.8.4.4', '64:ff9b::808:404', '100::1', '2001::1', '2001:1ff::1', '2001:db8::1'].map(
    (src): [string, Uint8Array, string[]] => [`special ${src}`, from6(src), ['special_source']],
  ),
  ...['2002::1', 'fc00::1', 'fdff::1', 'fe80::1', 'febf::1'].map((src): [string, Uint8Array, string[]] => [
    `special ${src}`,
    from6(src),
    ['special_source'],
  ]),
  ...['2001:200::1', '2001:db7::1', '2001:db9::1', '2003::1', 'fec0::1', 'fbff::1', '100:0:0:1::1', '64:ff9c::1'].map(
    (src): [string, Uint8Array, string[]] => [`not special ${src}`, from6(src), []],
  ),
  ['last byte 0', from4('8.8.4.0'), ['source_last_byte']],
  ['last byte 255', from4('8.8.4.255'), ['source_last_byte']],
  ['last byte of IPv6 says nothing', from6('2600::ff'), []],
  ['source = destination', ipv4({ src: '8.8.4.4', dst: '8.8.4.4' }, tcp()), ['source_is_destination']],
  ['source port 0', ipv4({ src: '8.8.4.4' }, tcp({ srcPort: 0 })), ['port_zero']],
  ['destination port 0', ipv4({ src: '8.8.4.4', protocol: 17 }, udp(9, 0)), ['port_zero']],
  ['ICMP has no port', ipv4({ src: '8.8.4.4', protocol: 1 }, icmp(8, 0)), []],
  ['first fragment', ipv4({ src: '8.8.4.4', fragment: 0x2000 }, tcp()), ['fragment_or_reserved']],
  ['reserved bit', ipv4({ src: '8.8.4.4', fragment: 0x8000 }, tcp()), ['fragment_or_reserved']],
  ['DF is ordinary', ipv4({ src: '8.8.4.4', fragment: 0x4000 }, tcp()), []],
  ['TTL 199', ipv4({ src: '8.8.4.4', ttl: 199 }, tcp()), []],
  ['TTL 200', ipv4({ src: '8.8.4.4', ttl: 200 }, tcp()), ['ttl_high']],
  // FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
  ...[2, 18, 4, 20, 16, 17, 24, 25, 48, 57, 2 | 192, 18 | 64].map((value): [string, Uint8Array, string[]] => [
    `flags ${value} are ordinary`,
    flags(value),
    [],
  ]),
  ...[0, 1, 3, 5, 6, 8, 10, 22, 32, 41, 63].map((value): [string, Uint8Array, string[]] => [
    `flags ${value} are odd`,
    flags(value),
    ['tcp_flags_odd'],
  ]),
]

describe('signs of a forged source', () => {
  it.each(CASES)('%s', (_why, packet, expected) => expect(signsOf(packet)).toEqual(expected))

  it('has a case for every row of SPOOF_BITS', () => {
    const seen = new Set(CASES.flatMap(([, , expected]) => expected))
    expect(SPOOF_BITS.filter(bit => !seen.has(bit.name))).toEqual([])
  })
})
