/**
 * Why a packet joined no flow. A closed list: packets read = packets kept + the sum over these, asserted at every
 * flush. The name is what `packets` prints in the column `drop` and `collect --json` counts.
 */
export const DROP_REASONS = {
  link_type_unsupported: 'The link type of the packet is not one that the collector reads.',
  link_header_truncated: 'The capture ends within the link-layer header.',
  not_ip: 'The frame carries no IP (ARP, LLDP, a control frame, an unknown ethertype …).',
  ip_version_invalid: 'The IP version field contradicts the frame, or is neither 4 nor 6.',
  ip_header_truncated: 'The capture ends within the IP header or an extension header.',
  ip_header_invalid: 'An IP header length that is impossible.',
  not_for_telescope: 'The destination is no dark address of this sensor.',
  from_telescope:
    'The source is a dark address of this sensor too: forged, or sent by the sensor itself. As a source it would give a dark address away.',
  transport_truncated: 'Too little of the TCP, UDP or ICMP header was captured to know ports or type.',
  time_invalid:
    'The time of the packet is before 1970, after 2255, where microseconds end to be exact, or more than a day ahead of the clock of the machine that collects.',
  interface_unknown: 'A pcapng packet names an interface that was not described before it.',
  tunnel_header_truncated: 'The capture ends within the header of a tunnel that was to be looked into (--decapsulate).',
  ip_checksum_invalid: 'The checksum of the IPv4 header is wrong (--verify-checksums).',
  transport_checksum_invalid: 'The checksum of TCP, UDP, ICMP or ICMPv6 is wrong (--verify-checksums).',
} as const

export type DropReason = keyof typeof DROP_REASONS
/** In the order of the table; decoders use the position as a number. */
export const DROP_REASON_NAMES = Object.keys(DROP_REASONS) as DropReason[]
