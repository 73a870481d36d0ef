import { udpProbeNumber } from '../../schemas/udp-probe.ts'
import { be16 } from '../word.ts'
import { ascii } from './probe-bytes.ts'

/** Requests with a DNS header: DNS, multicast DNS, NetBIOS name service. Rules: UDP_PROBES. */

const NONE = udpProbeNumber('none')
const DNS_QUERY = udpProbeNumber('dns-query')
const DNS_VERSION_BIND = udpProbeNumber('dns-version-bind')
const DNS_ANY = udpProbeNumber('dns-any')
const DNS_STATUS = udpProbeNumber('dns-status')
const MDNS_QUERY = udpProbeNumber('mdns-query')
const NETBIOS_STATUS = udpProbeNumber('netbios-status')
const NETBIOS_NAME_QUERY = udpProbeNumber('netbios-name-query')

const HEADER_BYTES = 12
/** QR and opcode (RFC 1035 section 4.1.1). */
const QR_OPCODE = 0xf800
const OPCODE_STATUS = 2 << 11
/** RFC 1035 section 2.3.4. */
const NAME_BYTES_MAX = 255
const LABEL_BYTES_MAX = 63
const TYPE_ANY = 255
const CLASS_CHAOS = 3
/** The name in wire form and lower case. */
const VERSION_BIND = ascii('\x07version\x04bind\x00')
const LOWER_CASE = 0x20
/** A NetBIOS name: length, 32 letters, end (RFC 1002 section 4.1). */
const NETBIOS_NAME_BYTES = 34
const NETBIOS_LETTERS = 32
const TYPE_NB = 0x20
const TYPE_NBSTAT = 0x21

export function dnsProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < HEADER_BYTES) return NONE
  const kind = be16(bytes, offset + 2) & QR_OPCODE
  const questions = be16(bytes, offset + 4)
  const records = be16(bytes, offset + 6) | be16(bytes, offset + 8)
  if (kind === OPCODE_STATUS) {
    return (questions | records | be16(bytes, offset + 10)) === 0 ? DNS_STATUS : NONE
  }
  if (kind !== 0 || questions !== 1 || records !== 0) return NONE
  return questionProbe(bytes, offset + HEADER_BYTES, end)
}

function questionProbe(bytes: Uint8Array, name: number, end: number): number {
  const type = nameEnd(bytes, name, end)
  if (type < 0 || end - type < 4) return DNS_QUERY
  if (be16(bytes, type + 2) === CLASS_CHAOS && isVersionBind(bytes, name, type)) return DNS_VERSION_BIND
  return be16(bytes, type) === TYPE_ANY ? DNS_ANY : DNS_QUERY
}

/** The byte after a name; -1 where it is compressed, too long or cut. */
function nameEnd(bytes: Uint8Array, name: number, end: number): number {
  const last = name + NAME_BYTES_MAX < end ? name + NAME_BYTES_MAX : end
  for (let at = name; at < last; ) {
    const length = bytes[at]!
    if (length === 0) return at + 1
    if (length > LABEL_BYTES_MAX) return -1
    at += 1 + length
  }
  return -1
}

/** Names compare without regard to case (RFC 1035 section 2.3.3); length bytes are below the letters. */
function isVersionBind(bytes: Uint8Array, name: number, end: number): boolean {
  if (end - name !== VERSION_BIND.length) return false
  for (let index = 0; index < VERSION_BIND.length; index++) {
    const byte = bytes[name + index]!
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | LOWER_CASE : byte
    if (lower !== VERSION_BIND[index]) return false
  }
  return true
}

export function mdnsProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < HEADER_BYTES) return NONE
  return (be16(bytes, offset + 2) & QR_OPCODE) === 0 && be16(bytes, offset + 4) > 0 ? MDNS_QUERY : NONE
}

export function netbiosProbe(bytes: Uint8Array, offset: number, end: number): number {
  const name = offset + HEADER_BYTES
  const type = name + NETBIOS_NAME_BYTES
  if (end - type < 2 || (be16(bytes, offset + 2) & QR_OPCODE) !== 0 || be16(bytes, offset + 4) !== 1) return NONE
  if (bytes[name] !== NETBIOS_LETTERS || bytes[type - 1] !== 0) return NONE
  const value = be16(bytes, type)
  return value === TYPE_NBSTAT ? NETBIOS_STATUS : value === TYPE_NB ? NETBIOS_NAME_QUERY : NONE
}
