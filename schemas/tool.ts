/**
 * Tools that a packet's header betrays. One row a tool: a row here gives the columns of flows and rollups, the
 * `tools` names of `hirundo packets`, and the dictionary. The rule itself is code in the collector.
 */
export interface Tool {
  /** Name in output; `_` for `-` gives the column `<name>_count`. */
  readonly name: string
  readonly rule: string
  /** Chance that a packet of another maker matches; null where the rule is a profile and no chance can be stated. */
  readonly chance: number | null
  readonly source: string
}

export const TOOLS = [
  { name: 'zmap', rule: 'IP identification = 54321', chance: 2 ** -16, source: 'zmap source; Durumeric et al. 2014' },
  {
    name: 'masscan',
    rule: 'IP identification = low 16 bits of (destination address xor destination port xor TCP sequence)',
    chance: 2 ** -16,
    source: 'masscan source; Durumeric et al. 2014',
  },
  {
    name: 'masscan-profile',
    rule: 'SYN without TCP options, TTL >= 200, window 1024',
    chance: null,
    source: "CAIDA's rule; masscan up to 1.3.2",
  },
  {
    name: 'masscan-profile-2023',
    rule: 'SYN with MSS 1460 as its only option, TTL >= 200, window 1025',
    chance: null,
    source: 'masscan source since November 2023 (templ-pkt.c); fixtures/captures',
  },
  {
    name: 'mirai',
    rule: 'SYN with TCP sequence = destination address',
    chance: 2 ** -32,
    source: 'Antonakakis et al. 2017; published source of Mirai (scanner.c)',
  },
  {
    name: 'nmap',
    rule: 'SYN with MSS 1460 as its only option, window 1024, 2048, 3072 or 4096; IPv4: TTL < 64 (nmap sends IPv6 with hop limit 255); or a SYN with window, MSS and order of options of OS detection',
    chance: null,
    source: 'nmap source; nmap book, "TCP/IP Fingerprinting Methods"; fixtures/captures',
  },
  {
    name: 'hping3',
    rule: 'SYN without TCP options, window 512, acknowledgement number not 0 although the ACK flag is not set',
    chance: null,
    source: 'hping3 source (window in globals, random acknowledgement number in sendtcp.c); fixtures/captures',
  },
] as const satisfies readonly Tool[]

export type ToolName = (typeof TOOLS)[number]['name']

/** Column that counts a tool's matching packets. */
export function toolColumn(name: ToolName): `${string}_count` {
  return `${name.replaceAll('-', '_')}_count`
}

/**
 * Reasons to doubt that the source address is real, each its own bit and never one verdict (corsaro3's list). The
 * position is the bit; flows count each bit in the column `spoof_<name>_count`.
 */
export const SPOOF_BITS = [
  { name: 'special_source', doc: 'source in a special-purpose range (RFC 6890)' },
  { name: 'source_last_byte', doc: 'last byte of the IPv4 source is 0 or 255' },
  { name: 'source_is_destination', doc: 'source and destination are the same' },
  { name: 'port_zero', doc: 'TCP or UDP source or destination port is 0' },
  { name: 'fragment_or_reserved', doc: 'a fragment, or the reserved IPv4 flag is set' },
  { name: 'tcp_flags_odd', doc: 'a TCP flag combination that no stack sends' },
  { name: 'ttl_high', doc: 'TTL or hop limit >= 200' },
] as const
