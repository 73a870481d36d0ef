/** Numbers of the wire and their names: IANA protocol numbers, TCP flags, ICMP types, traffic classes. */

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  2: 'igmp',
  4: 'ipip',
  6: 'tcp',
  17: 'udp',
  41: 'ipv6',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'icmpv6',
  89: 'ospf',
  132: 'sctp',
}

/** `tcp`, `udp`, …, or the number as text when the protocol has no name here. */
export function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? String(protocol)
}

/**
 * The number of a protocol given by name or number.
 * @returns null when it is neither a known name nor 0 to 255
 */
export function protocolNumber(text: string): number | null {
  for (const [number, name] of Object.entries(PROTOCOL_NAMES)) if (name === text) return Number(number)
  return /^\d{1,3}$/.test(text) && Number(text) < 256 ? Number(text) : null
}

/** Flag bits of the TCP header (RFC 9293 section 3.1; AE: RFC 9768). */
export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128, ae: 256 } as const

/**
 * What a packet that reached a dark address means (definitions: CAIDA corsaro3's backscatter filter, widened).
 * The position in this list is the number that batches and tables hold.
 */
export const TRAFFIC_CLASSES = ['scan', 'backscatter', 'other'] as const
export type TrafficClass = (typeof TRAFFIC_CLASSES)[number]
export const CLASS_SCAN = 0
export const CLASS_BACKSCATTER = 1
export const CLASS_OTHER = 2

/** ICMP: type and code share the service port column, as in NetFlow: type × 256 + code. */
export function icmpService(type: number, code: number): number {
  return type * 256 + code
}
