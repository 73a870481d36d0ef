import { PROTOCOL, TCP_FLAG } from '../schemas/protocol.ts'
import { TOOLS, type ToolName } from '../schemas/tool.ts'
import type { Packet } from './packet.ts'

/** The code behind each row of TOOLS; a tool without a rule here is a compile error. */
const TOOL_RULES: Readonly<Record<ToolName, (packet: Packet) => boolean>> = {
  zmap: packet => packet.ipId === 54_321,
  masscan: packet =>
    packet.ipId >= 0 &&
    packet.protocol === PROTOCOL.tcp &&
    packet.tcpFlags >= 0 &&
    packet.ipId === ((packet.dst3 ^ packet.dstPort ^ packet.tcpSeq) & 0xffff),
  'masscan-profile': packet =>
    packet.ttl >= 200 &&
    packet.tcpWindow === 1024 &&
    isSyn(packet) &&
    packet.tcpOptionKinds === 0 &&
    packet.tcpOptionsOverflow === 0,
  'masscan-profile-2023': packet =>
    packet.ttl >= 200 && packet.tcpWindow === 1025 && isSyn(packet) && hasOnlyMss1460(packet),
  mirai: packet => packet.ipVersion === 4 && isSyn(packet) && packet.tcpSeq === packet.dst3,
  nmap: packet =>
    packet.ttl < 64 &&
    (packet.tcpWindow === 1024 ||
      packet.tcpWindow === 2048 ||
      packet.tcpWindow === 3072 ||
      packet.tcpWindow === 4096) &&
    isSyn(packet) &&
    hasOnlyMss1460(packet),
}

const RULES = TOOLS.map(tool => TOOL_RULES[tool.name])

function isSyn(packet: Packet): boolean {
  return (
    packet.protocol === PROTOCOL.tcp &&
    packet.tcpFlags >= 0 &&
    (packet.tcpFlags & (TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst)) === TCP_FLAG.syn
  )
}

const KIND_MSS = 2
function hasOnlyMss1460(packet: Packet): boolean {
  return packet.tcpMss === 1460 && packet.tcpOptionKinds === KIND_MSS && packet.tcpOptionsOverflow === 0
}

/** Tools that the packet fits: bit i is set for TOOLS[i]. Evidence for one packet only; sources are judged k of n. */
export function matchTools(packet: Packet): number {
  let bits = 0
  for (let index = 0; index < RULES.length; index++) if (RULES[index]!(packet)) bits |= 1 << index
  return bits
}
