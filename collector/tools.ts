import { PROTOCOL, TCP_FLAG } from '../schemas/protocol.ts'
import { TOOLS, type ToolName } from '../schemas/tool.ts'
import type { Packet } from './packet.ts'

/**
 * The rules behind TOOLS. They are written out one after the other, cheapest test first, because a table of functions
 * costs more than all else that is done to a packet; the tests hold that every row of TOOLS has its rule here.
 */

const ZMAP = toolBit('zmap')
const MASSCAN = toolBit('masscan')
const MASSCAN_PROFILE = toolBit('masscan-profile')
const MASSCAN_PROFILE_2023 = toolBit('masscan-profile-2023')
const MIRAI = toolBit('mirai')
const NMAP = toolBit('nmap')
const HPING3 = toolBit('hping3')

function toolBit(name: ToolName): number {
  return 1 << TOOLS.findIndex(tool => tool.name === name)
}

const ZMAP_IP_ID = 54_321
const HIGH_TTL_MIN = 200
const KIND_MSS = 2
const HPING3_WINDOW = 512
const SYN_MASK = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst

/** Tools that the packet fits: bit i is set for TOOLS[i]. Evidence for one packet only; sources are judged k of n. */
export function matchTools(packet: Packet): number {
  const { tcpFlags, ipVersion } = packet
  if (tcpFlags < 0 || packet.protocol !== PROTOCOL.tcp) return matchIpId(packet.ipId)
  const bits = matchTcp(packet.ipId, packet.dst3, packet.dstPort, packet.tcpSeq)
  if (!isSyn(tcpFlags)) return bits
  const isMirai = ipVersion === 4 && (packet.tcpSeq | 0) === (packet.dst3 | 0)
  return bits | (isMirai ? MIRAI : 0) | matchSynProfiles(packet, ipVersion, packet.ttl, packet.tcpWindow, packet.tcpAck)
}

/** The same for an IPv4 TCP header in full; TCP options are read from `options`. 32-bit numbers signed or not. */
export function matchIpv4TcpTools(
  options: Packet,
  ipId: number,
  ttl: number,
  dst: number,
  dstPort: number,
  seq: number,
  flags: number,
  window: number,
  ack: number,
): number {
  const bits = matchTcp(ipId, dst, dstPort, seq)
  if (!isSyn(flags)) return bits
  return bits | ((seq ^ dst) === 0 ? MIRAI : 0) | matchSynProfiles(options, 4, ttl, window, ack)
}

/** The rule that needs no TCP. */
export function matchIpId(ipId: number): number {
  return ipId === ZMAP_IP_ID ? ZMAP : 0
}

function matchTcp(ipId: number, dst: number, dstPort: number, seq: number): number {
  return matchIpId(ipId) | (ipId === ((dst ^ dstPort ^ seq) & 0xffff) ? MASSCAN : 0)
}

function isSyn(flags: number): boolean {
  return (flags & SYN_MASK) === TCP_FLAG.syn
}

/** Rules on window, TTL, options and acknowledgement number of a SYN. */
function matchSynProfiles(options: Packet, ipVersion: number, ttl: number, window: number, ack: number): number {
  if (options.tcpOptionsOverflow !== 0) return 0
  if (options.tcpOptionKinds === 0) {
    if (window === HPING3_WINDOW && ack !== 0) return HPING3
    return ttl >= HIGH_TTL_MIN && window === 1024 ? MASSCAN_PROFILE : 0
  }
  if (options.tcpOptionKinds !== KIND_MSS) return isNmapOsProbe(options, window) ? NMAP : 0
  if (options.tcpMss !== 1460) return 0
  if (ttl >= HIGH_TTL_MIN && window === 1025) return MASSCAN_PROFILE_2023
  const isNmapWindow = window === 1024 || window === 2048 || window === 3072 || window === 4096
  // nmap sends IPv6 with hop limit 255 (fixtures/captures).
  return isNmapWindow && (ipVersion === 6 || ttl < 64) ? NMAP : 0
}

/**
 * The SYNs of nmap's OS detection (nmap book, "TCP/IP Fingerprinting Methods", SEQ and ECN): each has its own window,
 * MSS and order of options. Kinds as in Packet.tcpOptionKinds, the first in the lowest digit.
 */
function isNmapOsProbe(options: Packet, window: number): boolean {
  const kinds = options.tcpOptionKinds
  const mss = options.tcpMss
  switch (window) {
    case 1:
      return kinds === 0x48213 && mss === 1460
    case 3:
      return kinds === 0x114213 && mss === 1460
    case 4:
      return (kinds === 0x213118 && mss === 640) || (kinds === 0x384 && mss === -1)
    case 16:
      return kinds === 0x3842 && mss === 536
    case 63:
      return kinds === 0x8432 && mss === 1400
    case 512:
      return kinds === 0x842 && mss === 265
    default:
      return false
  }
}
