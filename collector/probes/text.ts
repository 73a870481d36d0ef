import { udpProbeNumber } from '../../schemas/udp-probe.ts'
import { be16 } from '../word.ts'
import { ascii, startsWith } from './probe-bytes.ts'

/** Requests that are text, or text behind a small frame. Rules: UDP_PROBES. */

const NONE = udpProbeNumber('none')
const SSDP = udpProbeNumber('ssdp-m-search')
const SIP_OPTIONS = udpProbeNumber('sip-options')
const SIP_REGISTER = udpProbeNumber('sip-register')
const SIP_INVITE = udpProbeNumber('sip-invite')
const MEMCACHED_STATS = udpProbeNumber('memcached-stats')
const MEMCACHED_GET = udpProbeNumber('memcached-get')
const MEMCACHED_VERSION = udpProbeNumber('memcached-version')
const TFTP_READ = udpProbeNumber('tftp-read')
const WS_DISCOVERY = udpProbeNumber('ws-discovery-probe')
const DHT_PING = udpProbeNumber('dht-ping')
const DHT_FIND_NODE = udpProbeNumber('dht-find-node')
const DHT_GET_PEERS = udpProbeNumber('dht-get-peers')
const TEAMSPEAK3 = udpProbeNumber('teamspeak3-init')
const SOURCE_INFO = udpProbeNumber('source-info')
const QUAKE_STATUS = udpProbeNumber('quake-status')
const STEAM = udpProbeNumber('steam-discovery')

const M_SEARCH = ascii('M-SEARCH ')
const OPTIONS_SIP = ascii('OPTIONS sip')
const REGISTER_SIP = ascii('REGISTER sip')
const INVITE_SIP = ascii('INVITE sip')
const TS3_INIT = ascii('TS3INIT1')
const STATS = ascii('stats')
const GET = ascii('get')
const VERSION = ascii('version')
const PROBE = ascii('Probe')
const DHT_QUERY = ascii('d1:ad2:id20:')
const PING = ascii('1:q4:ping')
const FIND_NODE = ascii('1:q9:find_node')
const GET_PEERS = ascii('1:q9:get_peers')
const SOURCE_QUERY = ascii('TSource Engine Query')
const GETSTATUS = ascii('getstatus')
const GETINFO = ascii('getinfo')
const STATUS = ascii('status')
const STEAM_DISCOVERY = Uint8Array.of(0x21, 0x4c, 0x5f, 0xa0)

const MEMCACHED_FRAME_BYTES = 8
const TFTP_READ_REQUEST = 1
/** Of a file name: more than any probe was seen to send. */
const TFTP_NAME_BYTES_MAX = 255
/** Of an XML envelope: the action stands in its header. */
const WS_DISCOVERY_BYTES_MAX = 1024
/** Of a DHT query behind the id: target, options and the query's name fit. */
const DHT_ARGUMENT_BYTES_MAX = 128
const DHT_ID_BYTES = 20

/** A payload that begins with a capital letter. */
export function textProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (startsWith(bytes, offset, end, M_SEARCH)) return SSDP
  if (startsWith(bytes, offset, end, OPTIONS_SIP)) return SIP_OPTIONS
  if (startsWith(bytes, offset, end, REGISTER_SIP)) return SIP_REGISTER
  if (startsWith(bytes, offset, end, INVITE_SIP)) return SIP_INVITE
  return startsWith(bytes, offset, end, TS3_INIT) ? TEAMSPEAK3 : NONE
}

export function memcachedProbe(bytes: Uint8Array, offset: number, end: number): number {
  const command = offset + MEMCACHED_FRAME_BYTES
  if (command > end || be16(bytes, offset + 2) !== 0 || be16(bytes, offset + 4) !== 1) return NONE
  if (startsWith(bytes, command, end, STATS)) return MEMCACHED_STATS
  if (startsWith(bytes, command, end, GET)) return MEMCACHED_GET
  return startsWith(bytes, command, end, VERSION) ? MEMCACHED_VERSION : NONE
}

export function tftpProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < 4 || be16(bytes, offset) !== TFTP_READ_REQUEST) return NONE
  const last = offset + TFTP_NAME_BYTES_MAX < end ? offset + TFTP_NAME_BYTES_MAX : end
  let at = offset + 2
  while (at < last && bytes[at]! >= 0x20 && bytes[at]! < 0x7f) at++
  if (at >= end - 1 || bytes[at] !== 0) return NONE
  // netascii, octet, mail, in any case (RFC 1350 section 5).
  const mode = bytes[at + 1]! | 0x20
  return mode === 0x6e || mode === 0x6f || mode === 0x6d ? TFTP_READ : NONE
}

export function wsDiscoveryProbe(bytes: Uint8Array, offset: number, end: number): number {
  // A byte order mark may stand before the first "<" (XML 1.0 appendix F.1).
  const start = bytes[offset] === 0xef ? offset + 3 : offset
  if (start >= end || bytes[start] !== 0x3c) return NONE
  const last = start + WS_DISCOVERY_BYTES_MAX < end ? start + WS_DISCOVERY_BYTES_MAX : end
  for (let at = start; at < last; at++) {
    if (bytes[at] === 0x50 && startsWith(bytes, at, last, PROBE)) {
      // "ProbeMatches" is the answer.
      return at + PROBE.length < last && bytes[at + PROBE.length] === 0x4d ? NONE : WS_DISCOVERY
    }
  }
  return NONE
}

/** The keys of a query are sorted: arguments (a) first, then the name of the query (q), see BEP 3. */
export function dhtProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (!startsWith(bytes, offset, end, DHT_QUERY)) return NONE
  const start = offset + DHT_QUERY.length + DHT_ID_BYTES
  const last = start + DHT_ARGUMENT_BYTES_MAX < end ? start + DHT_ARGUMENT_BYTES_MAX : end
  for (let at = start; at < last; at++) {
    if (bytes[at] !== 0x31) continue
    if (startsWith(bytes, at, end, PING)) return DHT_PING
    if (startsWith(bytes, at, end, FIND_NODE)) return DHT_FIND_NODE
    if (startsWith(bytes, at, end, GET_PEERS)) return DHT_GET_PEERS
  }
  return NONE
}

/** What follows the four bytes 0xff with which game servers mark packets outside a connection. */
export function gameProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (startsWith(bytes, offset, end, SOURCE_QUERY)) return SOURCE_INFO
  if (startsWith(bytes, offset, end, GETSTATUS) || startsWith(bytes, offset, end, GETINFO)) return QUAKE_STATUS
  if (startsWith(bytes, offset, end, STATUS)) return QUAKE_STATUS
  return startsWith(bytes, offset, end, STEAM_DISCOVERY) ? STEAM : NONE
}
