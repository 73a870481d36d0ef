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

function toolBit(name: ToolName): number {
  return 1 << TOOLS.findIndex(tool => tool.name === name)
}

const ZMAP_IP_ID = 54_321
const HIGH_TTL_MIN = 200
export const KIND_MSS = 2
const SYN_MASK = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst

/** Tools that the packet fits: bit i is set for TOOLS[i]. Evidence for one packet only; sources are judged k of n. */
export function matchTools(packet: Packet): number {
  const { tcpFlags, ipVersion, tcpOptionsOverflow, tcpOptionKinds, tcpMss } = packet
  if (tcpFlags < 0 || packet.protocol !== PROTOCOL.tcp) return matchIpId(packet.ipId)
  const bits = matchTcp(packet.ipId, packet.dst3 | 0, packet.dstPort, packet.tcpSeq | 0)
  if (!isSyn(tcpFlags)) return bits
  const isMirai = ipVersion === 4 && (packet.tcpSeq | 0) === (packet.dst3 | 0)
  if (tcpOptionsOverflow !== 0) return bits | (isMirai ? MIRAI : 0)
  const profiles = matchSynProfiles(tcpOptionKinds, tcpMss, ipVersion, packet.ttl, packet.tcpWindow)
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

/** Rules on window, TTL and options of a SYN whose options are known in full. */
export function matchSynProfiles(kinds: number, mss: number, ipVersion: number, ttl: number, window: number): number {
  if (kinds === 0) return ttl >= HIGH_TTL_MIN && window === 1024 ? MASSCAN_PROFILE : 0
  if (kinds !== KIND_MSS || mss !== 1460) return 0
  if (ttl >= HIGH_TTL_MIN && window === 1025) return MASSCAN_PROFILE_2023
  const isNmapWindow = window === 1024 || window === 2048 || window === 3072 || window === 4096
  // nmap sends IPv6 with hop limit 255 (fixtures/captures).
  return isNmapWindow && (ipVersion === 6 || ttl < 64) ? NMAP : 0
}
