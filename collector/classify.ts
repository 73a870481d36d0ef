import { CLASS_BACKSCATTER, CLASS_OTHER, CLASS_SCAN, icmpService, PROTOCOL, TCP_FLAG } from '../schemas/protocol.ts'
import { SLOT_SECONDS } from '../schemas/time.ts'
import type { Packet } from './packet.ts'

/**
 * The traffic class of a packet, its service port, and what backscatter says besides (definitions: "traffic class";
 * CAIDA corsaro3's backscatter filter, widened). The rules are rows; at start they become one lookup table for each
 * header field, so that a packet costs one load.
 */

/** A row decides by one number: TCP flags, ICMP type, or UDP source port. The first row that fits wins. */
interface ClassRule {
  readonly name: string
  readonly protocol: number
  readonly class: number
  readonly fits: (value: number) => boolean
}

const ICMP_REPLIES_AND_ERRORS = new Set([0, 3, 4, 5, 11, 12, 14, 16, 18])
const ICMP_REQUESTS = new Set([8, 13, 15, 17])
/** First informational type: all below are errors (RFC 4443 section 2.1). */
const ICMPV6_INFORMATIONAL_FIRST = 128

const UDP_DNS_PORT = 53
/** Services that answer forged requests with floods; our own extension of the published filter. */
const UDP_REFLECTOR_PORTS = new Set([
  17, 19, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 5683, 10001, 11211, 27960,
])
/** A reflected answer comes to an ephemeral port; a scan from a reflector port to a service does not. */
const EPHEMERAL_PORT_FIRST = 32_768

const SYN_ACK = TCP_FLAG.syn | TCP_FLAG.ack

const CLASS_RULES: readonly ClassRule[] = [
  { name: 'tcp-syn-ack', protocol: PROTOCOL.tcp, class: CLASS_BACKSCATTER, fits: flags => hasAll(flags, SYN_ACK) },
  { name: 'tcp-rst', protocol: PROTOCOL.tcp, class: CLASS_BACKSCATTER, fits: flags => hasAll(flags, TCP_FLAG.rst) },
  { name: 'tcp-syn', protocol: PROTOCOL.tcp, class: CLASS_SCAN, fits: flags => hasAll(flags, TCP_FLAG.syn) },
  {
    name: 'icmp-reply-or-error',
    protocol: PROTOCOL.icmp,
    class: CLASS_BACKSCATTER,
    fits: type => ICMP_REPLIES_AND_ERRORS.has(type),
  },
  { name: 'icmp-request', protocol: PROTOCOL.icmp, class: CLASS_SCAN, fits: type => ICMP_REQUESTS.has(type) },
  {
    name: 'icmpv6-error',
    protocol: PROTOCOL.icmpv6,
    class: CLASS_BACKSCATTER,
    fits: type => type < ICMPV6_INFORMATIONAL_FIRST,
  },
  { name: 'icmpv6-echo-request', protocol: PROTOCOL.icmpv6, class: CLASS_SCAN, fits: type => type === 128 },
  { name: 'icmpv6-echo-reply', protocol: PROTOCOL.icmpv6, class: CLASS_BACKSCATTER, fits: type => type === 129 },
  { name: 'udp-from-dns', protocol: PROTOCOL.udp, class: CLASS_BACKSCATTER, fits: port => port === UDP_DNS_PORT },
]

function hasAll(flags: number, wanted: number): boolean {
  return (flags & wanted) === wanted
}

function lookup(protocol: number, size: number, otherwise: number): Uint8Array {
  const table = new Uint8Array(size).fill(otherwise)
  // The first rule that fits wins, so it is written last.
  for (const rule of CLASS_RULES.filter(rule => rule.protocol === protocol).reverse()) {
    for (let value = 0; value < size; value++) if (rule.fits(value)) table[value] = rule.class
  }
  return table
}

const CLASS_BY_TCP_FLAGS = lookup(PROTOCOL.tcp, 4096, CLASS_OTHER)
const CLASS_BY_ICMP_TYPE = lookup(PROTOCOL.icmp, 256, CLASS_OTHER)
const CLASS_BY_ICMPV6_TYPE = lookup(PROTOCOL.icmpv6, 256, CLASS_OTHER)
const CLASS_BY_UDP_SOURCE_PORT = lookup(PROTOCOL.udp, 65_536, CLASS_SCAN)
const IS_UDP_REFLECTOR_PORT = new Uint8Array(65_536)
for (const port of UDP_REFLECTOR_PORTS) IS_UDP_REFLECTOR_PORT[port] = 1

/**
 * The class of a packet that has no drop reason, as its position in TRAFFIC_CLASSES. A later fragment shows no ports
 * and no type, so it is `other`.
 */
export function classify(packet: Packet): number {
  switch (packet.protocol) {
    case PROTOCOL.tcp:
      return packet.tcpFlags < 0 ? CLASS_OTHER : classifyTcp(packet.tcpFlags)
    case PROTOCOL.udp:
      if (packet.srcPort < 0) return CLASS_OTHER
      return classifyUdp(packet.srcPort, packet.dstPort)
    case PROTOCOL.icmp:
      return packet.icmpType < 0 ? CLASS_OTHER : CLASS_BY_ICMP_TYPE[packet.icmpType]!
    case PROTOCOL.icmpv6:
      return packet.icmpType < 0 ? CLASS_OTHER : CLASS_BY_ICMPV6_TYPE[packet.icmpType]!
    default:
      return CLASS_OTHER
  }
}

/** @param flags the twelve bits */
export function classifyTcp(flags: number): number {
  return CLASS_BY_TCP_FLAGS[flags]!
}

export function classifyUdp(srcPort: number, dstPort: number): number {
  if (IS_UDP_REFLECTOR_PORT[srcPort] && dstPort >= EPHEMERAL_PORT_FIRST) return CLASS_BACKSCATTER
  return CLASS_BY_UDP_SOURCE_PORT[srcPort]!
}

export function classifyIcmp(type: number): number {
  return CLASS_BY_ICMP_TYPE[type]!
}

/** The port that names the service: destination port of a request, source port of a reply; ICMP: type × 256 + code. */
export function servicePort(packet: Packet, trafficClass: number): number {
  if (packet.icmpType >= 0) return icmpService(packet.icmpType, packet.icmpCode)
  const port = trafficClass === CLASS_BACKSCATTER ? packet.srcPort : packet.dstPort
  return port < 0 ? 0 : port
}

/** Backscatter: the port on our side that the reply was sent to; 0 for others and where there are no ports. */
export function peerPort(packet: Packet, trafficClass: number): number {
  return trafficClass === CLASS_BACKSCATTER && packet.dstPort > 0 ? packet.dstPort : 0
}

/** Backscatter: the 10-second slot of the interval, 0 to 5, given the second of the interval; 0 for others. */
export function backscatterSlot(secondOfInterval: number, trafficClass: number): number {
  return trafficClass === CLASS_BACKSCATTER ? Math.trunc(secondOfInterval / SLOT_SECONDS) : 0
}
