import { describe, expect, it } from 'vitest'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { matchTools } from '../../collector/tools.ts'
import { TOOLS, type ToolName } from '../../schemas/tool.ts'
import { ROOT } from '../support/external.ts'
import { ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { decodeFrame } from '../support/read-packets.ts'

// Tool rules on packets built for them and near misses, then on what the real tools sent.

const MSS_1460 = hex('020405b4')
const DST = 0xcb007109 // 203.0.113.9, the builder's destination
const SEQ = 0x0102_0304
const MASSCAN_ID = (DST ^ 23 ^ SEQ) & 0xffff

const named = (bits: number): string[] => TOOLS.filter((_, index) => (bits >>> index) & 1).map(tool => tool.name)
const toolsOf = (bytes: Uint8Array): string[] =>
  named(matchTools(decodeFrame(ethernet(bytes[0]! >> 4 === 6 ? 0x86dd : 0x0800, bytes))))

/** Windows and options of the seven SYNs (nmap book, "TCP/IP Fingerprinting Methods", SEQ and ECN). */
const NMAP_OS: readonly (readonly [number, string])[] = [
  [1, '03030a 01 020405b4 080affffffff00000000 0402'],
  [63, '02040578 030300 0402 080affffffff00000000 00'],
  [4, '080affffffff00000000 01 01 030305 01 02040280'],
  [4, '0402 080affffffff00000000 03030a 00'],
  [16, '02040218 0402 080affffffff00000000 03030a 00'],
  [512, '02040109 0402 080affffffff00000000'],
  [3, '03030a 01 020405b4 0402 01 01'],
]

interface Case {
  readonly why: string
  readonly packet: Uint8Array
  readonly expected: readonly ToolName[]
}

const CASES: readonly Case[] = [
  { why: 'zmap over TCP', packet: ipv4({ id: 54_321 }, tcp()), expected: ['zmap'] },
  { why: 'zmap over UDP', packet: ipv4({ id: 54_321, protocol: 17 }, udp(1, 53)), expected: ['zmap'] },
  { why: 'zmap over ICMP', packet: ipv4({ id: 54_321, protocol: 1 }, icmp(8, 0)), expected: ['zmap'] },
  { why: 'masscan by identification', packet: ipv4({ id: MASSCAN_ID }, tcp()), expected: ['masscan'] },
  { why: 'masscan rule needs all 16 bits', packet: ipv4({ id: MASSCAN_ID ^ 0x8000 }, tcp()), expected: [] },
  { why: 'masscan rule is for TCP', packet: ipv4({ id: MASSCAN_ID, protocol: 17 }, udp(1, 23)), expected: [] },
  { why: 'masscan profile', packet: ipv4({ ttl: 200 }, tcp({ window: 1024 })), expected: ['masscan-profile'] },
  { why: 'masscan profile needs the TTL', packet: ipv4({ ttl: 199 }, tcp({ window: 1024 })), expected: [] },
  { why: 'masscan profile needs a SYN', packet: ipv4({ ttl: 250 }, tcp({ window: 1024, flags: 18 })), expected: [] },
  {
    why: 'newer masscan',
    packet: ipv4({ ttl: 255 }, tcp({ window: 1025, options: MSS_1460 })),
    expected: ['masscan-profile-2023'],
  },
  {
    why: 'newer masscan has no other option',
    packet: ipv4({ ttl: 255 }, tcp({ window: 1025, options: hex('020405b4 01010402') })),
    expected: [],
  },
  { why: 'mirai', packet: ipv4({}, tcp({ seq: DST })), expected: ['mirai'] },
  { why: 'mirai needs a SYN', packet: ipv4({}, tcp({ seq: DST, flags: 16 })), expected: [] },
  { why: 'mirai is IPv4', packet: ipv6({ dst: '::cb00:7109' }, tcp({ seq: DST })), expected: [] },
  ...[1024, 2048, 3072, 4096].map(window => ({
    why: `nmap with window ${window}`,
    packet: ipv4({ ttl: 63 }, tcp({ window, options: MSS_1460 })),
    expected: ['nmap'] as const,
  })),
  { why: 'nmap needs TTL < 64', packet: ipv4({ ttl: 64 }, tcp({ options: MSS_1460 })), expected: [] },
  { why: 'nmap has another MSS', packet: ipv4({ ttl: 50 }, tcp({ options: hex('020405b0') })), expected: [] },
  {
    why: 'nmap over IPv6, whose hop limit is 255',
    packet: ipv6({ hopLimit: 255 }, tcp({ options: MSS_1460 })),
    expected: ['nmap'],
  },
  { why: 'nmap over IPv6 from afar', packet: ipv6({ hopLimit: 50 }, tcp({ options: MSS_1460 })), expected: ['nmap'] },
  {
    why: 'two rules at once',
    packet: ipv4({ id: MASSCAN_ID, ttl: 250 }, tcp()),
    expected: ['masscan', 'masscan-profile'],
  },
  {
    why: 'an ordinary SYN',
    packet: ipv4({}, tcp({ window: 64_240, options: hex('020405b4 0402 0101') })),
    expected: [],
  },
  { why: 'hping3', packet: ipv4({}, tcp({ window: 512, ack: 7 })), expected: ['hping3'] },
  { why: 'hping3 fills the acknowledgement number', packet: ipv4({}, tcp({ window: 512 })), expected: [] },
  { why: 'hping3 has window 512', packet: ipv4({}, tcp({ window: 513, ack: 7 })), expected: [] },
  { why: 'hping3 without ACK', packet: ipv4({}, tcp({ window: 512, ack: 7, flags: 18 })), expected: [] },
  { why: 'hping3 without options', packet: ipv4({}, tcp({ window: 512, ack: 7, options: MSS_1460 })), expected: [] },
  ...NMAP_OS.map(([window, options]) => ({
    why: `nmap OS detection, window ${window}, ${options}`,
    packet: ipv4({ ttl: 64 }, tcp({ window, options: hex(options) })),
    expected: ['nmap'] as const,
  })),
  ...NMAP_OS.map(([window, options]) => ({
    why: `not nmap's window for ${options}`,
    packet: ipv4({ ttl: 64 }, tcp({ window: window + 1, options: hex(options) })),
    expected: [],
  })),
  { why: 'a later fragment', packet: ipv4({ fragment: 8, id: MASSCAN_ID }, hex('0102030405060708')), expected: [] },
]

describe('tool rules', () => {
  it.each(CASES)('$why', ({ packet, expected }) => expect(toolsOf(packet)).toEqual(expected))

  it('has a case for every row of TOOLS', () => {
    expect(TOOLS.filter(tool => !CASES.some(({ expected }) => expected.includes(tool.name)))).toEqual([])
  })
})

describe('captures of real scanners', () => {
  it.each([
    ['masscan-syn-23.pcap', ['masscan', 'masscan-profile']],
    ['masscan-syn-ports.pcap', ['masscan', 'masscan-profile']],
    ['zmap-syn-23.pcap', ['zmap']],
    ['zmap-icmp.pcap', ['zmap']],
    ['zmap-udp-53.pcap', ['zmap']],
    ['nmap-syn.pcap', ['nmap']],
    ['nmap-ipv6-syn.pcap', ['nmap']],
    ['nmap-connect.pcap', []],
    ['hping3-syn.pcap', ['hping3']],
    ['masscan-new-syn.pcap', ['masscan', 'masscan-profile-2023']],
    ['made-mirai-syn.pcap', ['mirai']],
    ['made-masscan-syn.pcap', ['masscan', 'masscan-profile-2023']],
    ['nmap-ack.pcap', []],
    ['nmap-window.pcap', []],
    ['nmap-maimon.pcap', []],
    ['linux-backscatter.pcap', []],
  ])('%s: every packet fits %j', async (file, tools) => {
    const counts = new Map<string, number>()
    const { packetsRead } = await readCapture(`${ROOT}fixtures/captures/${file}`, new Packet(), packet => {
      for (const name of named(matchTools(packet))) counts.set(name, (counts.get(name) ?? 0) + 1)
    })
    expect(Object.fromEntries(counts)).toEqual(Object.fromEntries(tools.map(name => [name, packetsRead])))
  })
})
