import { formatIpv4, formatIpv6Groups } from '../schemas/address.ts'
import { DROP_REASON_NAMES } from '../schemas/drop-reason.ts'
import { TRAFFIC_CLASSES } from '../schemas/protocol.ts'
import { TOOLS } from '../schemas/tool.ts'
import { classify } from './classify.ts'
import { DROP_FROM_TELESCOPE, DROP_IP_HEADER_TRUNCATED, DROP_NONE, DROP_NOT_FOR_TELESCOPE } from './drop.ts'
import type { Packet } from './packet.ts'
import { matchTools } from './tools.ts'

/** A packet as one line of text, for people and for comparing with other programs. */

/** Columns of `hirundo packets`; scripts rely on names and order. */
export const PACKET_COLUMNS = [
  'index',
  'time',
  'link_type',
  'caplen',
  'len',
  'ip_version',
  'src',
  'dst',
  'protocol',
  'ip_length',
  'ttl',
  'ip_id',
  'src_port',
  'dst_port',
  'icmp_type',
  'icmp_code',
  'tcp_flags',
  'tcp_seq',
  'tcp_window',
  'class',
  'tools',
  'drop',
] as const

/** A line of CSV without its end. No field can hold a comma or a quote, and none begins like a formula. */
export function packetCsv(packet: Packet): string {
  return (
    `${packet.index},${timeText(packet)},${known(packet.linkType)},${packet.capturedLength},${packet.originalLength},` +
    `${packet.ipVersion || ''},${sourceText(packet)},${destinationText(packet)},${known(packet.protocol)},` +
    `${known(packet.ipLength)},${known(packet.ttl)},${known(packet.ipId)},${known(packet.srcPort)},` +
    `${known(packet.dstPort)},${known(packet.icmpType)},${known(packet.icmpCode)},${known(packet.tcpFlags)},` +
    `${known(packet.tcpSeq)},${known(packet.tcpWindow)},${classText(packet)},${toolNames(packet).join('|')},` +
    `${dropText(packet)}`
  )
}

/** A JSON object without a line end: numbers, null for what is not there, `time` as text to keep all its digits. */
export function packetJson(packet: Packet): string {
  const row: Record<(typeof PACKET_COLUMNS)[number], number | string | null | readonly string[]> = {
    index: packet.index,
    time: timeText(packet) || null,
    link_type: orNull(packet.linkType),
    caplen: packet.capturedLength,
    len: packet.originalLength,
    ip_version: packet.ipVersion || null,
    src: sourceText(packet) || null,
    dst: destinationText(packet) || null,
    protocol: orNull(packet.protocol),
    ip_length: orNull(packet.ipLength),
    ttl: orNull(packet.ttl),
    ip_id: orNull(packet.ipId),
    src_port: orNull(packet.srcPort),
    dst_port: orNull(packet.dstPort),
    icmp_type: orNull(packet.icmpType),
    icmp_code: orNull(packet.icmpCode),
    tcp_flags: orNull(packet.tcpFlags),
    tcp_seq: orNull(packet.tcpSeq),
    tcp_window: orNull(packet.tcpWindow),
    class: classText(packet) || null,
    tools: toolNames(packet),
    drop: dropText(packet) || null,
  }
  return JSON.stringify(row)
}

function known(value: number): number | '' {
  return value < 0 ? '' : value
}

function orNull(value: number): number | null {
  return value < 0 ? null : value
}

/** Epoch seconds with nine decimals; empty for a packet whose capture does not say when it came. */
function timeText({ seconds, nanoseconds }: Packet): string {
  if (seconds === -1 && nanoseconds === 0) return ''
  if (seconds >= 0 || nanoseconds === 0) return `${seconds}.${String(nanoseconds).padStart(9, '0')}`
  // Before 1970 both parts are written as distances from it: second -2 with 0.75 is -1.25.
  return `-${-seconds - 1}.${String(1_000_000_000 - nanoseconds).padStart(9, '0')}`
}

/** Text of the source address; empty when it is not known. */
function sourceText(packet: Packet): string {
  return addressText(packet, packet.src0, packet.src1, packet.src2, packet.src3)
}

/** Text of the destination address; empty when it is not known. */
function destinationText(packet: Packet): string {
  return addressText(packet, packet.dst0, packet.dst1, packet.dst2, packet.dst3)
}

function addressText(packet: Packet, word0: number, word1: number, word2: number, word3: number): string {
  // The prefix of a mapped address is not there when the header was cut before it.
  if (packet.ipVersion === 4) return word2 === 0 ? '' : formatIpv4(word3)
  if (packet.ipVersion === 0) return ''
  const isCut = packet.drop === DROP_IP_HEADER_TRUNCATED && (word0 | word1 | word2 | word3) === 0
  if (isCut) return ''
  const groups = [word0, word1, word2, word3].flatMap(word => [word >>> 16, word & 0xffff])
  return formatIpv6Groups(groups)
}

/** Class and tools are told of every packet whose headers were read, also of one for another address. */
function isJudged({ drop }: Packet): boolean {
  return drop === DROP_NONE || drop === DROP_NOT_FOR_TELESCOPE || drop === DROP_FROM_TELESCOPE
}

function classText(packet: Packet): string {
  return isJudged(packet) ? TRAFFIC_CLASSES[classify(packet)]! : ''
}

const NO_TOOLS: readonly string[] = []

function toolNames(packet: Packet): readonly string[] {
  const bits = isJudged(packet) ? matchTools(packet) : 0
  return bits === 0 ? NO_TOOLS : TOOLS.filter((_, index) => (bits & (1 << index)) !== 0).map(({ name }) => name)
}

function dropText({ drop }: Packet): string {
  return drop === DROP_NONE ? '' : DROP_REASON_NAMES[drop]!
}
