import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { udpProbe } from '../../collector/udp-probe.ts'
import { UDP_PROBE_NAMES, UDP_PROBES, type UdpProbeName, udpProbeNumber } from '../../schemas/udp-probe.ts'
import { ROOT } from '../support/external.ts'
import { big, concat, ethernet, hex, ipv4, ipv6, udp } from '../support/frame-builder.ts'
import { decodeFrame } from '../support/read-packets.ts'
import { NOT_PROBE_CASES, PROBE_CASES } from '../support/udp-probe-cases.ts'

// Goal: each probe is named by the bytes of its document and by those of real tools, near misses are not, and no bytes
// make a rule read past what was captured. Method: through the decoder, as the collector sees the packets.

const SEED = 20_261_126

function named(port: number, payload: Uint8Array): UdpProbeName {
  const packet = decodeFrame(ethernet(0x0800, ipv4({ protocol: 17 }, udp(40_000, port, payload))))
  return UDP_PROBE_NAMES[packet.udpProbe]!
}

describe('UDP probes', () => {
  it.each(PROBE_CASES)('$expected: $why', ({ port, payload, expected }) => expect(named(port, payload)).toBe(expected))

  it.each(NOT_PROBE_CASES)('none: $why', ({ port, payload }) => expect(named(port, payload)).toBe('none'))

  it('have a case for every row, and a number each', () => {
    expect(UDP_PROBES.filter(({ name }) => !PROBE_CASES.some(({ expected }) => expected === name))).toEqual([])
    expect(new Set(UDP_PROBE_NAMES).size).toBe(UDP_PROBE_NAMES.length)
    expect(UDP_PROBE_NAMES.length).toBeLessThan(256)
    expect(UDP_PROBE_NAMES[0]).toBe('none')
  })

  it('are named over IPv6 too', () => {
    const { payload, port } = PROBE_CASES.find(({ expected }) => expected === 'ntp-client')!
    const packet = decodeFrame(ethernet(0x86dd, ipv6({ next: 17 }, udp(40_000, port, payload))))
    expect(packet.udpProbe).toBe(udpProbeNumber('ntp-client'))
  })
})

describe('what was not captured', () => {
  const frame = ethernet(0x0800, ipv4({ protocol: 17 }, udp(40_000, 123, hex('e3'.padEnd(96, '0')))))
  const HEADERS = 14 + 20 + 8

  it.each([
    { why: 'ports only', bytes: HEADERS - 4, expected: 'none' },
    { why: 'the header only', bytes: HEADERS, expected: 'none' },
    { why: 'one byte of 48: the mode is there', bytes: HEADERS + 1, expected: 'ntp-client' },
  ])('$why', ({ bytes, expected }) => {
    const packet = decodeFrame(frame.slice(0, bytes), 1, frame.length)
    expect([packet.drop, packet.dstPort, UDP_PROBE_NAMES[packet.udpProbe]]).toEqual([-1, 123, expected])
  })

  it('padding behind the UDP length is no payload', () => {
    const datagram = concat(big(40_000, 2), big(123, 2), big(8, 2), hex('0000'), hex('e3'.padEnd(96, '0')))
    expect(decodeFrame(ethernet(0x0800, ipv4({ protocol: 17 }, datagram))).udpProbe).toBe(udpProbeNumber('empty'))
  })

  it('a UDP length below 8 leaves what was captured', () => {
    const datagram = concat(big(40_000, 2), big(123, 2), big(0, 2), hex('0000'), hex('e3'.padEnd(96, '0')))
    expect(decodeFrame(ethernet(0x0800, ipv4({ protocol: 17 }, datagram))).udpProbe).toBe(udpProbeNumber('ntp-client'))
  })

  it('a later fragment has no payload of its own, and the probe of the packet before is gone', () => {
    const packet = decodeFrame(frame)
    expect(packet.udpProbe).toBe(udpProbeNumber('ntp-client'))
    expect(decodeFrame(ethernet(0x0800, ipv4({ protocol: 17, fragment: 5 }, hex('e3'.padEnd(96, '0'))))).udpProbe).toBe(
      0,
    )
  })
})

describe('any bytes', () => {
  const ports = [...new Set([...PROBE_CASES, ...NOT_PROBE_CASES].map(({ port }) => port))]

  /** The probe of a payload of which only `captured` bytes lie before `end`, with these bytes behind it. */
  function cut(payload: Uint8Array, captured: number, port: number, behind: number): number {
    const bytes = concat(big(40_000, 2), big(port, 2), big(8 + payload.length, 2), hex('0000'), payload)
    const end = 8 + captured
    return udpProbe(bytes.fill(behind, end), 8, end, port)
  }

  it('behind the captured ones change nothing: every cut of every case', () => {
    for (const { payload, port } of [...PROBE_CASES, ...NOT_PROBE_CASES]) {
      for (let captured = 0; captured < payload.length && captured < 300; captured++) {
        const probe = cut(payload, captured, port, 0)
        for (const behind of [0x01, 0x41, 0xff]) expect(cut(payload, captured, port, behind)).toBe(probe)
      }
    }
  })

  it('give a number of the list, whatever they are, also with the start of a real probe', () => {
    const starts = fc.constantFrom(...[...PROBE_CASES, ...NOT_PROBE_CASES].map(({ payload }) => payload))
    const payloads = fc
      .tuple(starts, fc.nat(80), fc.uint8Array({ maxLength: 200 }))
      .map(([start, kept, rest]) => concat(start.slice(0, kept), rest))
    fc.assert(
      fc.property(
        payloads,
        fc.constantFrom(...ports),
        fc.nat(0xffff),
        fc.nat(300),
        (payload, port, length, captured) => {
          const bytes = concat(big(40_000, 2), big(port, 2), big(length, 2), hex('0000'), payload)
          const end = 8 + Math.min(captured, payload.length)
          const probe = udpProbe(bytes, 8, end, port)
          expect(Number.isInteger(probe) && probe >= 0 && probe < UDP_PROBE_NAMES.length).toBe(true)
          expect(udpProbe(concat(bytes.slice(0, end), hex('ff'.repeat(64))), 8, end, port)).toBe(probe)
        },
      ),
      { seed: SEED, numRuns: 3000 },
    )
  })
})

describe('captures of real tools', () => {
  it.each([
    ['zmap-udp-53.pcap', { '53 dns-query': 64 }],
    [
      'nmap-udp.pcap',
      {
        '53 dns-status': 16,
        '53 dns-version-bind': 16,
        '123 ntp-client': 16,
        '123 none': 16,
        '161 snmp-v1-get': 16,
        '161 snmp-v3-get': 16,
        '1900 ssdp-m-search': 16,
      },
    ],
    [
      'masscan-udp.pcap',
      {
        '53 dns-version-bind': 4,
        '69 empty': 4,
        '111 empty': 4,
        '123 ntp-monlist': 4,
        '137 netbios-status': 4,
        '161 snmp-v1-get': 4,
        '500 empty': 4,
        '1434 empty': 4,
        '1604 empty': 4,
        '1645 empty': 4,
        '1701 empty': 4,
        '1900 ssdp-m-search': 4,
        '3478 empty': 4,
        '5060 sip-options': 4,
        '5353 empty': 4,
        '5632 empty': 4,
        '5683 coap-get': 4,
        '10000 empty': 4,
        '11211 memcached-stats': 4,
      },
    ],
    [
      'nmap-udp-services.pcap',
      {
        // No row: a line end to echo, NTP mode 1, DNS STATUS to TFTP and mDNS, a DCE RPC bind, an old TeamSpeak.
        '7 none': 1,
        '17 qotd': 1,
        '19 chargen': 1,
        '53 dns-status': 1,
        '53 dns-version-bind': 1,
        '69 none': 1,
        '69 tftp-read': 1,
        '111 rpc-call': 1,
        '111 rpc-portmap-call': 1,
        '123 none': 1,
        '123 ntp-client': 1,
        '137 netbios-status': 3,
        '161 snmp-v1-get': 1,
        '161 snmp-v3-get': 1,
        '177 xdmcp-query': 1,
        '389 cldap-search': 1,
        '427 slp-request': 1,
        '443 dtls-client-hello': 1,
        '500 ike-v1': 2,
        '520 rip-request': 1,
        '623 ipmi-channel-auth': 1,
        '623 rmcp-ping': 1,
        '1194 none': 1,
        '1194 openvpn-reset': 2,
        '1434 empty': 1,
        '1645 radius-access': 1,
        '1701 l2tp-sccrq': 1,
        '1900 ssdp-m-search': 1,
        '2049 rpc-call': 2,
        '2123 gtp-echo': 1,
        '3283 apple-remote-desktop': 1,
        '3386 gtp-echo': 1,
        '3478 stun-binding': 1,
        '4500 ike-v1': 1,
        '5351 nat-pmp': 1,
        '5353 mdns-query': 3,
        '5353 none': 1,
        '5683 coap-get': 1,
        '9987 none': 1,
        '9987 teamspeak3-init': 1,
        '10001 ubiquiti-discovery': 1,
        '11211 memcached-version': 1,
        '17185 rpc-call': 2,
        '27015 source-info': 1,
        '27960 quake-status': 1,
        '50000 rpc-call': 1,
      },
    ],
  ])('%s', async (file, expected) => {
    const counts: Record<string, number> = {}
    await readCapture(`${ROOT}fixtures/captures/${file}`, new Packet(), ({ dstPort, udpProbe: probe }) => {
      const key = `${dstPort} ${UDP_PROBE_NAMES[probe]}`
      counts[key] = (counts[key] ?? 0) + 1
    })
    expect(counts).toEqual(expected)
  })
})
