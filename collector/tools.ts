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

function toolBit(name: ToolName): number {
  return 1 << TOOLS.findIndex(tool => tool.name === name)
}

const ZMAP_IP_ID = 54_321
const HIGH_TTL_MIN = 200
const KIND_MSS = 2
const SYN_MASK = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst

/** Tools that the packet fits: bit i is set for TOOLS[i]. Evidence for one packet only; sources are judged k of n. */
export function matchTools(packet: Packet): number {
  const { ipId, tcpFlags, dst3 } = packet
  let bits = ipId === ZMAP_IP_ID ? ZMAP : 0
  if (tcpFlags < 0 || packet.protocol !== PROTOCOL.tcp) return bits
  const { tcpSeq } = packet
  if (ipId === ((dst3 ^ packet.dstPort ^ tcpSeq) & 0xffff)) bits |= MASSCAN
  if ((tcpFlags & SYN_MASK) !== TCP_FLAG.syn) return bits
  if (packet.ipVersion === 4 && (tcpSeq | 0) === (dst3 | 0)) bits |= MIRAI
  return bits | matchSynProfiles(packet)
}

/** Rules on window, TTL and options of a SYN. */
function matchSynProfiles(packet: Packet): number {
  const { ttl, tcpWindow } = packet
  if (packet.tcpOptionsOverflow !== 0) return 0
  if (packet.tcpOptionKinds === 0) return ttl >= HIGH_TTL_MIN && tcpWindow === 1024 ? MASSCAN_PROFILE : 0
  if (packet.tcpOptionKinds !== KIND_MSS || packet.tcpMss !== 1460) return 0
  if (ttl >= HIGH_TTL_MIN && tcpWindow === 1025) return MASSCAN_PROFILE_2023
  const isNmapWindow = tcpWindow === 1024 || tcpWindow === 2048 || tcpWindow === 3072 || tcpWindow === 4096
  // nmap sends IPv6 with hop limit 255 (fixtures/captures).
  return isNmapWindow && (packet.ipVersion === 6 || ttl < 64) ? NMAP : 0
}
