import type { UdpProbeName } from '../../schemas/udp-probe.ts'
import { big, concat, hex } from './frame-builder.ts'

/** Payloads of UDP requests, written out from the document that the row of UDP_PROBES names. */

export interface ProbeCase {
  readonly why: string
  readonly port: number
  readonly payload: Uint8Array
  readonly expected: UdpProbeName
}

const text = (characters: string): Uint8Array => Uint8Array.from(Buffer.from(characters, 'latin1'))
const zeros = (count: number): Uint8Array => new Uint8Array(count)
const noise = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => (index * 37 + 11) & 0xff)

/** Header with one question and so many additional records, then the question. */
function dns(flags: string, name: string, type: number, qclass = 1, extra = hex('')): Uint8Array {
  const labels = name.split('.').filter(label => label !== '')
  const wire = concat(...labels.map(label => concat(big(label.length, 1), text(label))), zeros(1))
  const counts = big(extra.length > 0 ? 1 : 0, 2)
  return concat(hex(`1337 ${flags} 0001 0000 0000`), counts, wire, big(type, 2), big(qclass, 2), extra)
}

const EDNS = hex('00 0029 1000 00000000 0000')
/** The name * of NetBIOS, each half byte a letter from A (RFC 1002 section 4.1). */
const NETBIOS_ANY = concat(hex('20'), text(`CK${'A'.repeat(30)}`), hex('00'))
const netbios = (flags: string, type: string): Uint8Array =>
  concat(hex(`80f0 ${flags} 0001 0000 0000 0000`), NETBIOS_ANY, hex(`${type} 0001`))

const ntp = (first: string): Uint8Array => concat(hex(first), zeros(47))
const snmpRequest = (version: string, tag: string): Uint8Array =>
  hex(`3026 0201${version} 0406 7075626c6963 ${tag}19 020471b44f2e 020100 020100 300b3009 06052b06010201 0500`)
const snmpV3 = (flags: string): Uint8Array =>
  hex(
    `303a 020103 300f 02024a69 020300ffe3 0401${flags} 020103 0410 300e 0400 020100 020100 0400 0400 0400` +
      '3012 0400 0400 a00c 020237f0 020100 020100 3000',
  )
const memcached = (command: string, head = '0007 0000 0001 0000'): Uint8Array => concat(hex(head), text(command))
const rpc = (program: string, version: string, procedure: string, type = '00000000'): Uint8Array =>
  concat(hex(`72fe1d13 ${type} 00000002 ${program} ${version} ${procedure}`), zeros(16))
const quic = (first: string, version: string, id: Uint8Array): Uint8Array =>
  concat(hex(first), hex(version), big(id.length, 1), id, zeros(1200 - 6 - id.length))
const ike = (version: string, exchange: string, responder = zeros(8)): Uint8Array =>
  concat(hex('0011223344556677'), responder, hex(`21 ${version} ${exchange} 08 00000000 0000001c`))
const dtls = (version: string, handshake = '01', epoch = '0000'): Uint8Array =>
  concat(hex(`16 ${version} ${epoch} 000000000000 0036 ${handshake} 00002a 0000 000000 00002a`), zeros(42))
const dhtQuery = (args: string, name: string): Uint8Array =>
  concat(text('d1:ad2:id20:'), noise(20), text(`${args}e1:q${name.length}:${name}1:t2:aa1:y1:qe`))
const sip = (method: string): Uint8Array => text(`${method} sip:100@192.0.2.1 SIP/2.0\r\nCSeq: 1 ${method}\r\n\r\n`)
const bacnet = (npdu: string, apdu: string): Uint8Array => {
  const rest = hex(`01 ${npdu} ${apdu}`)
  return concat(hex('810a'), big(rest.length + 4, 2), rest)
}
const probeXml = (word: string): Uint8Array =>
  text(`<?xml version="1.0"?><e:Envelope><e:Header><w:Action>urn:discovery/${word}</w:Action></e:Header></e:Envelope>`)
const slammer = concat(hex('04 010101'), zeros(372))

/** At least one for each probe. */
export const PROBE_CASES: readonly ProbeCase[] = [
  { why: 'no payload', port: 50_000, payload: hex(''), expected: 'empty' },
  { why: 'one byte', port: 50_000, payload: hex('41'), expected: 'one-byte' },
  { why: 'chargen, empty', port: 19, payload: hex(''), expected: 'chargen' },
  { why: 'chargen, one byte', port: 19, payload: hex('01'), expected: 'chargen' },
  { why: 'qotd, one byte', port: 17, payload: hex('0d'), expected: 'qotd' },
  { why: 'A of example.com', port: 53, payload: dns('0100', 'example.com', 1), expected: 'dns-query' },
  { why: 'NS of the root, EDNS', port: 53, payload: dns('0000', '', 2, 1, EDNS), expected: 'dns-query' },
  { why: 'version.bind TXT CH', port: 53, payload: dns('0100', 'version.bind', 16, 3), expected: 'dns-version-bind' },
  {
    why: 'the same in other letters',
    port: 53,
    payload: dns('0000', 'VERSION.Bind', 16, 3),
    expected: 'dns-version-bind',
  },
  { why: 'ANY', port: 53, payload: dns('0100', 'example.com', 255, 1, EDNS), expected: 'dns-any' },
  { why: 'STATUS', port: 53, payload: hex('0000 1000 0000 0000 0000 0000'), expected: 'dns-status' },
  {
    why: 'services in .local',
    port: 5353,
    payload: dns('0000', '_services._dns-sd._udp.local', 12),
    expected: 'mdns-query',
  },
  { why: 'NBSTAT of *, broadcast', port: 137, payload: netbios('0010', '0021'), expected: 'netbios-status' },
  { why: 'NBSTAT of *', port: 137, payload: netbios('0000', '0021'), expected: 'netbios-status' },
  { why: 'NB of *', port: 137, payload: netbios('0110', '0020'), expected: 'netbios-name-query' },
  { why: 'client of version 4', port: 123, payload: ntp('e3'), expected: 'ntp-client' },
  { why: 'client of version 1', port: 123, payload: ntp('0b'), expected: 'ntp-client' },
  { why: 'read variables', port: 123, payload: hex('16 02 0001 0000 0000 0000 0000'), expected: 'ntp-control' },
  { why: 'MON_GETLIST_1', port: 123, payload: concat(hex('17 00 03 2a'), zeros(4)), expected: 'ntp-monlist' },
  {
    why: 'MON_GETLIST of the old kind',
    port: 123,
    payload: concat(hex('27 00 02 14'), zeros(4)),
    expected: 'ntp-monlist',
  },
  { why: 'PEER_LIST', port: 123, payload: concat(hex('17 00 03 00'), zeros(4)), expected: 'ntp-private' },
  { why: 'M-SEARCH', port: 1900, payload: text('M-SEARCH * HTTP/1.1\r\nMX: 3\r\n\r\n'), expected: 'ssdp-m-search' },
  { why: 'get, version 1', port: 161, payload: snmpRequest('00', 'a0'), expected: 'snmp-v1-get' },
  { why: 'get-next, version 2c', port: 161, payload: snmpRequest('01', 'a1'), expected: 'snmp-v2c-get' },
  { why: 'get-bulk, version 2c, another port', port: 1161, payload: snmpRequest('01', 'a5'), expected: 'snmp-v2c-get' },
  { why: 'discovery, version 3', port: 161, payload: snmpV3('04'), expected: 'snmp-v3-get' },
  {
    why: 'search of the root entry',
    port: 389,
    payload: hex('3025 020101 6320 0400 0a0100 0a0100 020100 020100 010100 870b 6f626a656374436c617373 3000'),
    expected: 'cldap-search',
  },
  {
    why: 'the same with long lengths',
    port: 389,
    payload: hex(
      '30840000002d 020107 638400000024 0400 0a0100 0a0100 020100 020164 010100 870b 6f626a656374436c617373 308400000000',
    ),
    expected: 'cldap-search',
  },
  { why: 'OPTIONS', port: 5060, payload: sip('OPTIONS'), expected: 'sip-options' },
  { why: 'OPTIONS to another port', port: 5080, payload: sip('OPTIONS'), expected: 'sip-options' },
  { why: 'REGISTER', port: 5060, payload: sip('REGISTER'), expected: 'sip-register' },
  { why: 'INVITE', port: 5060, payload: sip('INVITE'), expected: 'sip-invite' },
  { why: 'stats', port: 11_211, payload: memcached('stats\r\n'), expected: 'memcached-stats' },
  { why: 'gets', port: 11_211, payload: memcached('gets p h e\r\n'), expected: 'memcached-get' },
  { why: 'version', port: 11_211, payload: memcached('version\r\n'), expected: 'memcached-version' },
  { why: 'QUIC 1', port: 443, payload: quic('c3', '00000001', noise(8)), expected: 'quic-initial' },
  { why: 'QUIC 2', port: 443, payload: quic('d3', '6b3343cf', noise(20)), expected: 'quic-initial' },
  { why: 'QUIC draft 29', port: 4443, payload: quic('c0', 'ff00001d', noise(8)), expected: 'quic-initial' },
  { why: 'a reserved version', port: 443, payload: quic('c0', '1a2a3a4a', noise(8)), expected: 'quic-version' },
  { why: 'read, octet', port: 69, payload: text('\0\x01a.txt\0octet\0'), expected: 'tftp-read' },
  { why: 'read, NETASCII', port: 69, payload: text('\0\x01/x\0NETASCII\0'), expected: 'tftp-read' },
  {
    why: 'GET /.well-known/core',
    port: 5683,
    payload: concat(hex('4001 7d70'), hex('bb'), text('.well-known'), hex('04'), text('core')),
    expected: 'coap-get',
  },
  { why: 'not confirmable, token of 2', port: 5683, payload: hex('5201 0001 aaaa'), expected: 'coap-get' },
  { why: 'DUMP', port: 111, payload: rpc('000186a0', '00000002', '00000004'), expected: 'rpc-portmap-dump' },
  { why: 'GETPORT', port: 111, payload: rpc('000186a0', '00000002', '00000003'), expected: 'rpc-portmap-call' },
  { why: 'NULL of NFS', port: 2049, payload: rpc('000186a3', '00000003', '00000000'), expected: 'rpc-call' },
  { why: 'whole table', port: 520, payload: concat(hex('01 01 0000'), zeros(16), big(16, 4)), expected: 'rip-request' },
  { why: 'Who-Is to all', port: 47_808, payload: bacnet('20 ffff 00 ff', '10 08'), expected: 'bacnet-who-is' },
  {
    why: 'ReadProperty',
    port: 47_808,
    payload: bacnet('04', '0005 01 0c 0c 023fffff 194b'),
    expected: 'bacnet-read-property',
  },
  {
    why: 'ReadPropertyMultiple behind both addresses',
    port: 47_808,
    payload: bacnet('2c 0001 01 05 0002 01 06 ff', '0005 01 0e 0c 023fffff 194b'),
    expected: 'bacnet-read-property',
  },
  { why: 'presence ping', port: 623, payload: hex('06 00 ff 06 000011be 80 00 00 00'), expected: 'rmcp-ping' },
  {
    why: 'Get Channel Authentication Capabilities',
    port: 623,
    payload: hex('06 00 ff 07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5'),
    expected: 'ipmi-channel-auth',
  },
  { why: 'Probe', port: 3702, payload: probeXml('Probe'), expected: 'ws-discovery-probe' },
  {
    why: 'Probe behind a byte order mark',
    port: 3702,
    payload: concat(hex('efbbbf'), probeXml('Probe')),
    expected: 'ws-discovery-probe',
  },
  {
    why: 'binding request',
    port: 3478,
    payload: concat(hex('0001 0000 2112a442'), noise(12)),
    expected: 'stun-binding',
  },
  { why: 'Main Mode', port: 500, payload: ike('10', '02'), expected: 'ike-v1' },
  { why: 'Aggressive Mode on 4500', port: 4500, payload: ike('10', '04'), expected: 'ike-v1' },
  { why: 'IKE_SA_INIT', port: 500, payload: ike('20', '22'), expected: 'ike-v2' },
  { why: 'IKE_SA_INIT behind the marker', port: 4500, payload: concat(zeros(4), ike('20', '22')), expected: 'ike-v2' },
  { why: 'reset, version 2', port: 1194, payload: concat(hex('38'), noise(8), zeros(5)), expected: 'openvpn-reset' },
  { why: 'reset, version 3', port: 1194, payload: concat(hex('50'), noise(8), zeros(5)), expected: 'openvpn-reset' },
  { why: 'DTLS 1.0', port: 443, payload: dtls('feff'), expected: 'dtls-client-hello' },
  { why: 'DTLS 1.2', port: 5684, payload: dtls('fefd'), expected: 'dtls-client-hello' },
  {
    why: 'SYN',
    port: 3389,
    payload: concat(hex('ffffffff 0040 0001 12345678 04d0 04d0'), zeros(1216)),
    expected: 'rdpudp-syn',
  },
  {
    why: 'A2S_INFO',
    port: 27_015,
    payload: concat(hex('ffffffff'), text('TSource Engine Query\0')),
    expected: 'source-info',
  },
  { why: 'Quake III', port: 27_960, payload: concat(hex('ffffffff'), text('getstatus')), expected: 'quake-status' },
  {
    why: 'Quake III, short',
    port: 27_960,
    payload: concat(hex('ffffffff'), text('getinfo xxx')),
    expected: 'quake-status',
  },
  { why: 'Quake II', port: 27_910, payload: concat(hex('ffffffff'), text('status')), expected: 'quake-status' },
  { why: 'Remote Play', port: 27_036, payload: hex('ffffffff 214c5fa0 05000000 0801'), expected: 'steam-discovery' },
  { why: 'version 1', port: 10_001, payload: hex('01000000'), expected: 'ubiquiti-discovery' },
  { why: 'Query without authentication', port: 177, payload: hex('0001 0002 0001 00'), expected: 'xdmcp-query' },
  { why: 'all instances', port: 1434, payload: hex('02'), expected: 'mssql-browser' },
  { why: 'all instances, unicast', port: 1434, payload: hex('03'), expected: 'mssql-browser' },
  { why: 'one instance', port: 1434, payload: text('\x04SQLEXPRESS\0'), expected: 'mssql-browser' },
  { why: 'Slammer', port: 1434, payload: slammer, expected: 'slammer' },
  {
    why: 'SCCRQ',
    port: 1701,
    payload: hex('c802 003c 0000 0000 0000 0000 8008 0000 0000 0001 8008 0000 0002 0100'),
    expected: 'l2tp-sccrq',
  },
  { why: 'ping', port: 6881, payload: dhtQuery('', 'ping'), expected: 'dht-ping' },
  {
    why: 'find_node',
    port: 6881,
    payload: dhtQuery(`6:target20:${'x'.repeat(20)}`, 'find_node'),
    expected: 'dht-find-node',
  },
  {
    why: 'get_peers',
    port: 40_000,
    payload: dhtQuery(`9:info_hash20:${'1'.repeat(20)}`, 'get_peers'),
    expected: 'dht-get-peers',
  },
  {
    why: 'TeamSpeak 3',
    port: 9987,
    payload: concat(text('TS3INIT1'), hex('0065 0000 88'), noise(21)),
    expected: 'teamspeak3-init',
  },
  { why: 'initiation', port: 51_820, payload: concat(hex('01000000'), noise(144)), expected: 'wireguard-init' },
  {
    why: 'service request, version 2',
    port: 427,
    payload: concat(hex('02 01 000019 0000 000000 0001 0002'), text('en'), zeros(9)),
    expected: 'slp-request',
  },
  {
    why: 'service type request, version 1',
    port: 427,
    payload: concat(hex('01 09 0014 00 00'), text('en'), hex('0003 0001'), zeros(8)),
    expected: 'slp-request',
  },
  { why: 'Access-Request', port: 1812, payload: concat(hex('01 00 0014'), zeros(16)), expected: 'radius-access' },
  { why: 'external address', port: 5351, payload: hex('0000'), expected: 'nat-pmp' },
  { why: 'GTP version 1', port: 2152, payload: hex('32 01 0004 00000000 0001 00 00'), expected: 'gtp-echo' },
  { why: 'GTP version 2', port: 2123, payload: hex('40 01 0009 000001 00 03 0001 00 01'), expected: 'gtp-echo' },
  { why: 'Apple Remote Desktop', port: 3283, payload: hex('0014 0001 03'), expected: 'apple-remote-desktop' },
]

/** Payloads that a rule must not take, each one step from a case above. */
export const NOT_PROBE_CASES: readonly Omit<ProbeCase, 'expected'>[] = [
  { why: 'a DNS answer', port: 53, payload: dns('8180', 'example.com', 1) },
  { why: 'a DNS query on another port', port: 54, payload: dns('0100', 'example.com', 1) },
  { why: 'two questions', port: 53, payload: hex('1337 0100 0002 0000 0000 0000 00 0001 0001') },
  { why: 'STATUS with a question', port: 53, payload: hex('0000 1000 0001 0000 0000 0000') },
  { why: 'a DNS header that is cut', port: 53, payload: hex('1337 0100 0001 0000 0000 00') },
  { why: 'an mDNS answer', port: 5353, payload: dns('8400', 'x.local', 12) },
  { why: 'a NetBIOS registration', port: 137, payload: netbios('2910', '0020') },
  { why: 'an NTP server', port: 123, payload: ntp('24') },
  { why: 'NTP version 0', port: 123, payload: ntp('03') },
  { why: 'NTP version 5', port: 123, payload: ntp('2b') },
  { why: 'a short NTP client', port: 123, payload: concat(hex('e3'), zeros(46)) },
  { why: 'an NTP control response', port: 123, payload: hex('16 82 0001 0000 0000 0000 0000') },
  { why: 'a monlist response', port: 123, payload: concat(hex('97 00 03 2a'), zeros(4)) },
  { why: 'NTP on another port', port: 124, payload: ntp('e3') },
  { why: 'SSDP NOTIFY', port: 1900, payload: text('NOTIFY * HTTP/1.1\r\n') },
  { why: 'an SNMP response', port: 161, payload: snmpRequest('01', 'a2') },
  { why: 'get-bulk in version 1', port: 161, payload: snmpRequest('00', 'a5') },
  { why: 'an SNMPv3 report', port: 161, payload: snmpV3('00') },
  { why: 'SNMP version 2', port: 161, payload: snmpRequest('02', 'a0') },
  { why: 'SNMP cut in the community', port: 161, payload: snmpRequest('01', 'a0').slice(0, 12) },
  { why: 'an LDAP bind', port: 389, payload: hex('300c 020101 6007 020103 0400 8000') },
  { why: 'an indefinite length', port: 389, payload: hex('3080 020101 6320 0400') },
  { why: 'RTSP OPTIONS', port: 554, payload: text('OPTIONS rtsp://192.0.2.1 RTSP/1.0\r\n') },
  { why: 'a SIP answer', port: 5060, payload: text('SIP/2.0 200 OK\r\n') },
  { why: 'memcached, second datagram', port: 11_211, payload: memcached('stats\r\n', '0007 0001 0001 0000') },
  { why: 'memcached without frame', port: 11_211, payload: text('stats\r\n') },
  { why: 'QUIC to a client', port: 40_000, payload: quic('c3', '00000001', noise(8)) },
  { why: 'QUIC with a short ID', port: 443, payload: quic('c3', '00000001', noise(7)) },
  { why: 'QUIC with an ID that is too long', port: 443, payload: quic('c3', '1a2a3a4a', noise(21)) },
  { why: 'a QUIC handshake packet', port: 443, payload: quic('e3', '00000001', noise(8)) },
  { why: 'QUIC 2 with the type of 1', port: 443, payload: quic('c3', '6b3343cf', noise(8)) },
  { why: 'an unknown QUIC version', port: 443, payload: quic('c3', '00000003', noise(8)) },
  { why: 'TFTP write', port: 69, payload: text('\0\x02a.txt\0octet\0') },
  { why: 'TFTP with a file name that is not text', port: 69, payload: text('\0\x01a\x07\0octet\0') },
  { why: 'CoAP POST', port: 5683, payload: hex('4002 7d70') },
  { why: 'CoAP acknowledgement', port: 5683, payload: hex('6001 7d70') },
  { why: 'CoAP token of 9', port: 5683, payload: hex('4901 7d70') },
  { why: 'an RPC reply', port: 111, payload: rpc('000186a0', '00000002', '00000004', '00000001') },
  { why: 'a RIP response', port: 520, payload: concat(hex('02 02 0000'), zeros(20)) },
  { why: 'RIP with half an entry', port: 520, payload: concat(hex('01 01 0000'), zeros(10)) },
  { why: 'I-Am', port: 47_808, payload: bacnet('20 ffff 00 ff', '10 00 c4020000 01') },
  { why: 'BACnet with another length', port: 47_808, payload: concat(bacnet('20 ffff 00 ff', '10 08'), zeros(1)) },
  { why: 'an ASF pong', port: 623, payload: hex('06 00 ff 06 000011be 40 00 00 10') },
  {
    why: 'another IPMI command',
    port: 623,
    payload: hex('06 00 ff 07 00 00000000 00000000 09 20 18 c8 81 00 39 8e 04 b5'),
  },
  { why: 'ProbeMatches', port: 3702, payload: probeXml('ProbeMatches') },
  { why: 'XML on another port', port: 3703, payload: probeXml('Probe') },
  { why: 'a STUN response', port: 3478, payload: concat(hex('0101 0000 2112a442'), noise(12)) },
  { why: 'STUN without cookie', port: 3478, payload: concat(hex('0001 0000 2112a443'), noise(12)) },
  { why: 'an IKE response', port: 500, payload: ike('20', '22', noise(8)) },
  { why: 'IKE_AUTH', port: 500, payload: ike('20', '23') },
  { why: 'an OpenVPN server', port: 1194, payload: concat(hex('40'), noise(8), zeros(5)) },
  { why: 'a short OpenVPN reset', port: 1194, payload: concat(hex('38'), noise(8), zeros(3)) },
  { why: 'a ServerHello', port: 443, payload: dtls('fefd', '02') },
  { why: 'DTLS in epoch 1', port: 443, payload: dtls('fefd', '01', '0001') },
  { why: 'RDPUDP SYN and ACK', port: 3389, payload: concat(hex('ffffffff 0040 0005'), zeros(8)) },
  { why: 'an A2S answer', port: 27_015, payload: concat(hex('ffffffff'), text('I\x11name\0')) },
  { why: 'another Ubiquiti packet', port: 10_001, payload: hex('01000094') },
  { why: 'XDMCP Willing', port: 177, payload: hex('0001 0005 0001 00') },
  { why: 'SQL answer', port: 1434, payload: text('\x05\x10\0ServerName;A;;') },
  { why: 'four and a long name', port: 1434, payload: concat(hex('04'), text('a'.repeat(40))) },
  {
    why: 'L2TP of a tunnel that is there',
    port: 1701,
    payload: hex('c802 0014 0001 0000 0000 0000 8008 0000 0000 0001'),
  },
  { why: 'a DHT answer', port: 6881, payload: concat(text('d1:rd2:id20:'), noise(20), text('e1:t2:aa1:y1:re')) },
  { why: 'a WireGuard response', port: 51_820, payload: concat(hex('02000000'), noise(88)) },
  { why: 'WireGuard with another length', port: 51_820, payload: concat(hex('01000000'), noise(145)) },
  { why: 'SLP reply', port: 427, payload: concat(hex('02 02 000012 0000 000000 0001 0002'), text('en'), zeros(2)) },
  { why: 'RADIUS with another length', port: 1812, payload: concat(hex('01 00 0015'), zeros(16)) },
  { why: 'NAT-PMP mapping', port: 5351, payload: concat(hex('0001'), zeros(10)) },
  { why: 'a GTP echo response', port: 2152, payload: hex('32 02 0004 00000000 0001 00 00') },
  { why: 'text that begins like a rule', port: 9, payload: text('OPTIONAL') },
]
