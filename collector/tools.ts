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
export const MIRAI = toolBit('mirai')
const NMAP = toolBit('nmap')
const HPING3 = toolBit('hping3')

function toolBit(name: ToolName): number {
  return 1 << TOOLS.findIndex(tool => tool.name === name)
}

const ZMAP_IP_ID = 54_321
const HIGH_TTL_MIN = 200
export const KIND_MSS = 2
const HPING3_WINDOW = 512
const SYN_MASK = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst

/** Tools that the packet fits: bit i is set for TOOLS[i]. Evidence for one packet only; sources are judged k of n. */
export function matchTools(packet: Packet): number {
  const { tcpFlags, ipVersion, tcpOptionsOverflow, tcpOptionKinds, tcpMss, ttl, tcpWindow } = packet
  if (tcpFlags < 0 || packet.protocol !== PROTOCOL.tcp) return matchIpId(packet.ipId)
  const bits = matchTcp(packet.ipId, packet.dst3 | 0, packet.dstPort, packet.tcpSeq | 0)
  if (!isSyn(tcpFlags)) return bits
  const isMirai = ipVersion === 4 && (packet.tcpSeq | 0) === (packet.dst3 | 0)
  if (tcpOptionsOverflow !== 0) return bits | (isMirai ? MIRAI : 0)
  const profiles = matchSynProfiles(tcpOptionKinds, tcpMss, ipVersion, ttl, tcpWindow, packet.tcpAck | 0)
  return bits | (isMirai ? MIRAI : 0) | profiles
}

/** The rule that needs no TCP. */
export function matchIpId(ipId: number): number {
  return ipId === ZMAP_IP_ID ? ZMAP : 0
}

/** The rules on any TCP packet; signed 32-bit numbers. */
export function matchTcp(ipId: number, dst: number, dstPort: number, seq: number): number {
  return (ipId === ZMAP_IP_ID ? ZMAP : 0) | (ipId === ((dst ^ dstPort ^ seq) & 0xffff) ? MASSCAN : 0)
}

export function isSyn(flags: number): boolean {
  return (flags & SYN_MASK) === TCP_FLAG.syn
}

/**
 * Rules on window, TTL, options and acknowledgement number of a SYN whose options are known in full.
 * @param kinds as Packet.tcpOptionKinds
 * @param mss -1 without that option
 */
export function matchSynProfiles(
  kinds: number,
  mss: number,
  ipVersion: number,
  ttl: number,
  window: number,
  ack: number,
): number {
  if (kinds === 0) {
    if (window === HPING3_WINDOW && ack !== 0) return HPING3
    return ttl >= HIGH_TTL_MIN && window === 1024 ? MASSCAN_PROFILE : 0
  }
  if (kinds !== KIND_MSS) return isNmapOsProbe(kinds, mss, window) ? NMAP : 0
  if (mss !== 1460) return 0
  if (ttl >= HIGH_TTL_MIN && window === 1025) return MASSCAN_PROFILE_2023
  const isNmapWindow = window === 1024 || window === 2048 || window === 3072 || window === 4096
  // nmap sends IPv6 with hop limit 255 (fixtures/captures).
  return isNmapWindow && (ipVersion === 6 || ttl < 64) ? NMAP : 0
}

/**
 * The SYNs of nmap's OS detection (nmap book, "TCP/IP Fingerprinting Methods", SEQ and ECN): each has its own window,
 * MSS and order of options. Kinds as in Packet.tcpOptionKinds, the first in the lowest digit.
 */
function isNmapOsProbe(kinds: number, mss: number, window: number): boolean {
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
