/**
 * Requests that the first bytes of a UDP payload betray. One row a probe; the rule itself is code in the collector,
 * which keeps the number and never the payload. Batches hold numbers: rows are added at the end and never moved.
 */
interface UdpProbe {
  readonly name: string
  /** In words; the port takes part only where it is named. */
  readonly rule: string
  readonly source: string
}

export const UDP_PROBES = [
  {
    name: 'empty',
    rule: 'no payload: the UDP length is 8',
    source: 'RFC 768; what nmap and zmap send to a port without payload of its own',
  },
  { name: 'one-byte', rule: 'a payload of one byte', source: 'RFC 768' },
  { name: 'chargen', rule: 'port 19, at most one byte', source: 'RFC 864' },
  { name: 'qotd', rule: 'port 17, at most one byte', source: 'RFC 865' },
  {
    name: 'dns-query',
    rule: 'port 53, QR 0, opcode QUERY, one question, no answer and no authority record',
    source: 'RFC 1035 section 4.1.1',
  },
  { name: 'dns-version-bind', rule: 'dns-query for the name version.bind in class CH', source: 'RFC 4892 section 2' },
  { name: 'dns-any', rule: 'dns-query with QTYPE 255 (ANY)', source: 'RFC 1035 section 3.2.3; RFC 8482' },
  { name: 'dns-status', rule: 'port 53, QR 0, opcode STATUS, all counts zero', source: 'RFC 1035 section 4.1.1' },
  {
    name: 'mdns-query',
    rule: 'port 5353, QR 0, opcode QUERY, at least one question',
    source: 'RFC 6762 section 18',
  },
  {
    name: 'netbios-status',
    rule: 'port 137, name query request with one question of QTYPE NBSTAT (0x0021)',
    source: 'RFC 1002 section 4.2.17',
  },
  {
    name: 'netbios-name-query',
    rule: 'port 137, name query request with one question of QTYPE NB (0x0020)',
    source: 'RFC 1002 section 4.2.12',
  },
  { name: 'ntp-client', rule: 'port 123, version 1 to 4, mode 3, at least 48 bytes', source: 'RFC 5905 section 7.3' },
  {
    name: 'ntp-control',
    rule: 'port 123, version 1 to 4, mode 6, response, error and more bits 0',
    source: 'RFC 9327 section 2',
  },
  {
    name: 'ntp-monlist',
    rule: 'ntp-private with implementation 2 or 3 and request code 20 or 42 (MON_GETLIST, MON_GETLIST_1)',
    source: 'ntp_request.h of the NTP reference implementation; CVE-2013-5211',
  },
  {
    name: 'ntp-private',
    rule: 'port 123, version 1 to 4, mode 7, response and more bits 0; not ntp-monlist',
    source: 'ntp_request.h of the NTP reference implementation; RFC 5905 section 7.3',
  },
  { name: 'ssdp-m-search', rule: 'begins with "M-SEARCH "', source: 'UPnP Device Architecture 1.1 section 1.3.2' },
  {
    name: 'snmp-v1-get',
    rule: 'BER: SEQUENCE, version 0, community, GetRequest or GetNextRequest',
    source: 'RFC 1157 section 4.1',
  },
  {
    name: 'snmp-v2c-get',
    rule: 'BER: SEQUENCE, version 1, community, GetRequest, GetNextRequest or GetBulkRequest',
    source: 'RFC 1901 section 3; RFC 3416 section 3',
  },
  {
    name: 'snmp-v3-get',
    rule: 'BER: SEQUENCE, version 3, msgFlags with the reportable bit, which only requests have',
    source: 'RFC 3412 sections 6 and 6.4',
  },
  {
    name: 'cldap-search',
    rule: 'BER: SEQUENCE, messageID, searchRequest (0x63)',
    source: 'RFC 4511 sections 4.1.1 and 4.5.1; MS-ADTS section 3.1.1.3.1.3',
  },
  { name: 'sip-options', rule: 'begins with "OPTIONS sip"', source: 'RFC 3261 section 11' },
  { name: 'sip-register', rule: 'begins with "REGISTER sip"', source: 'RFC 3261 section 10' },
  { name: 'sip-invite', rule: 'begins with "INVITE sip"', source: 'RFC 3261 section 13' },
  {
    name: 'memcached-stats',
    rule: 'port 11211, UDP frame header with sequence 0 of 1 datagram, then "stats"',
    source: 'memcached doc/protocol.txt, "UDP protocol"',
  },
  {
    name: 'memcached-get',
    rule: 'port 11211, UDP frame header with sequence 0 of 1 datagram, then "get"',
    source: 'memcached doc/protocol.txt, "UDP protocol"',
  },
  {
    name: 'memcached-version',
    rule: 'port 11211, UDP frame header with sequence 0 of 1 datagram, then "version"',
    source: 'memcached doc/protocol.txt, "UDP protocol"',
  },
  {
    name: 'quic-initial',
    rule: 'long header of type Initial, version 1, 2 or a draft, destination connection ID of 8 to 20 bytes, port below 32768',
    source: 'RFC 9000 sections 7.2 and 17.2.2; RFC 9369 section 3.2',
  },
  {
    name: 'quic-version',
    rule: 'long header with a reserved version (0x?a?a?a?a), which forces version negotiation; port below 32768',
    source: 'RFC 9000 sections 6.3 and 15',
  },
  {
    name: 'tftp-read',
    rule: 'port 69, opcode 1 (RRQ), printable file name, then a mode that begins with n, o or m',
    source: 'RFC 1350 section 5',
  },
  {
    name: 'coap-get',
    rule: 'port 5683, version 1, confirmable or not, token of at most 8 bytes, code 0.01',
    source: 'RFC 7252 section 3',
  },
  {
    name: 'rpc-portmap-dump',
    rule: 'ONC RPC version 2 call of program 100000, procedure 4',
    source: 'RFC 1833 sections 2.2 and 3.2; RFC 5531 section 9',
  },
  {
    name: 'rpc-portmap-call',
    rule: 'ONC RPC version 2 call of program 100000, any other procedure',
    source: 'RFC 1833 section 3; RFC 5531 section 9',
  },
  { name: 'rpc-call', rule: 'ONC RPC version 2 call of another program', source: 'RFC 5531 section 9' },
  {
    name: 'rip-request',
    rule: 'port 520, command 1, version 1 or 2, zero field, whole entries of 20 bytes',
    source: 'RFC 2453 sections 3.6 and 3.9.1',
  },
  {
    name: 'bacnet-who-is',
    rule: 'BVLC of the length of the payload, NPDU version 1, unconfirmed request Who-Is',
    source: 'ANSI/ASHRAE 135 clause 6, clause 20.1.3 and annex J',
  },
  {
    name: 'bacnet-read-property',
    rule: 'BVLC of the length of the payload, NPDU version 1, confirmed request ReadProperty or ReadPropertyMultiple',
    source: 'ANSI/ASHRAE 135 clause 6, clause 20.1.2 and annex J',
  },
  {
    name: 'rmcp-ping',
    rule: 'RMCP version 6, class ASF, enterprise 4542, message type 0x80 (presence ping)',
    source: 'DMTF DSP0136 section 3.2',
  },
  {
    name: 'ipmi-channel-auth',
    rule: 'RMCP version 6, class IPMI, no session, application command 0x38 (Get Channel Authentication Capabilities)',
    source: 'IPMI 2.0 sections 13.6 and 22.13',
  },
  {
    name: 'ws-discovery-probe',
    rule: 'port 3702, XML with the word Probe, not ProbeMatches, in its first 1024 bytes',
    source: 'OASIS WS-Discovery 1.1 section 5.2',
  },
  {
    name: 'stun-binding',
    rule: 'type 0x0001, a length that is a multiple of 4, magic cookie 0x2112a442',
    source: 'RFC 8489 section 5',
  },
  {
    name: 'ike-v1',
    rule: 'port 500 or 4500, responder cookie zero, version 1.0, exchange type 2 or 4 (Main or Aggressive Mode)',
    source: 'RFC 2408 section 3.1; RFC 3948 section 2.2',
  },
  {
    name: 'ike-v2',
    rule: 'port 500 or 4500, responder SPI zero, version 2.0, exchange type 34 (IKE_SA_INIT)',
    source: 'RFC 7296 section 3.1; RFC 3948 section 2.2',
  },
  {
    name: 'openvpn-reset',
    rule: 'port 1194, opcode P_CONTROL_HARD_RESET_CLIENT (1, 7 or 10) with key 0, at least 13 bytes',
    source: 'OpenVPN wire protocol, "Packet types"',
  },
  {
    name: 'dtls-client-hello',
    rule: 'handshake record of DTLS 1.0 or 1.2 in epoch 0 with a ClientHello',
    source: 'RFC 6347 sections 4.1 and 4.2.2',
  },
  {
    name: 'rdpudp-syn',
    rule: 'port 3389 or 3391, snSourceAck 0xffffffff, flag SYN without ACK',
    source: 'MS-RDPEUDP section 2.2.2.1',
  },
  {
    name: 'source-info',
    rule: '0xffffffff, then "TSource Engine Query"',
    source: 'Valve developer wiki, "Server queries", A2S_INFO',
  },
  {
    name: 'quake-status',
    rule: '0xffffffff, then "getstatus", "getinfo" or "status"',
    source: 'Quake III Arena source, sv_main.c; Quake II source, sv_main.c',
  },
  {
    name: 'steam-discovery',
    rule: '0xffffffff 0x214c5fa0',
    source: 'Steam Remote Play discovery as sent by Steam clients to port 27036; no published document',
  },
  {
    name: 'ubiquiti-discovery',
    rule: 'port 10001, exactly 0x01000000',
    source: 'nmap-payloads; Rapid7, "Understanding Ubiquiti Discovery Service Exposures", 2019',
  },
  {
    name: 'xdmcp-query',
    rule: 'port 177, version 1, BroadcastQuery, Query or IndirectQuery, length that fits',
    source: 'X Display Manager Control Protocol 1.1, "Packet encoding"',
  },
  {
    name: 'mssql-browser',
    rule: 'port 1434, one byte 2 or 3, or 4 and an instance name of at most 32 bytes',
    source: 'MC-SQLR sections 2.2.1 to 2.2.3',
  },
  {
    name: 'slammer',
    rule: 'port 1434, 376 bytes that begin with 0x04010101',
    source: 'CERT advisory CA-2003-04; Moore et al. 2003, "Inside the Slammer worm"',
  },
  {
    name: 'l2tp-sccrq',
    rule: 'port 1701, control message of version 2 for tunnel 0 and session 0, message type 1 (SCCRQ) first',
    source: 'RFC 2661 sections 3.1 and 4.4.1',
  },
  { name: 'dht-ping', rule: 'bencoded query "ping" with an id of 20 bytes', source: 'BEP 5' },
  { name: 'dht-find-node', rule: 'bencoded query "find_node" with an id of 20 bytes', source: 'BEP 5' },
  { name: 'dht-get-peers', rule: 'bencoded query "get_peers" with an id of 20 bytes', source: 'BEP 5' },
  {
    name: 'teamspeak3-init',
    rule: 'begins with "TS3INIT1"',
    source: 'nmap-payloads, "TeamSpeak 3"; the protocol is not published',
  },
  {
    name: 'wireguard-init',
    rule: 'message type 1 with zero reserved bytes, exactly 148 bytes',
    source: 'WireGuard white paper (Donenfeld 2017) section 5.4.2',
  },
  {
    name: 'slp-request',
    rule: 'port 427, version 1 or 2, service, attribute or service type request, length that fits',
    source: 'RFC 2165 section 4; RFC 2608 section 8',
  },
  {
    name: 'radius-access',
    rule: 'port 1645 or 1812, Access-Request of the length of the payload',
    source: 'RFC 2865 sections 3 and 4.1',
  },
  { name: 'nat-pmp', rule: 'port 5351, exactly 0x0000 (external address request)', source: 'RFC 6886 section 3.2' },
  {
    name: 'gtp-echo',
    rule: 'port 2123, 2152 or 3386, GTP version 1 or 2, Echo Request, length that fits',
    source: '3GPP TS 29.281 section 7.2.1; 3GPP TS 29.274 section 7.1.1; 3GPP TS 32.295 section 6.2.1',
  },
  {
    name: 'apple-remote-desktop',
    rule: 'port 3283, begins with 0x001400',
    source: 'nmap-payloads; Netscout ASERT 2019, "A Call to ARMS"',
  },
] as const satisfies readonly UdpProbe[]

export type UdpProbeName = 'none' | (typeof UDP_PROBES)[number]['name']

/** The position is the number that packets and batches hold; 0: no rule fits, or the first bytes were not captured. */
export const UDP_PROBE_NAMES: readonly UdpProbeName[] = ['none', ...UDP_PROBES.map(({ name }) => name)]

/** Position in UDP_PROBE_NAMES. */
export function udpProbeNumber(name: UdpProbeName): number {
  return UDP_PROBE_NAMES.indexOf(name)
}
