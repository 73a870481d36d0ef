import { udpProbeNumber } from '../../schemas/udp-probe.ts'

/** Requests in BER (ITU-T X.690): SNMP and connectionless LDAP. Rules: UDP_PROBES. */

const NONE = udpProbeNumber('none')
const SNMP_V1_GET = udpProbeNumber('snmp-v1-get')
const SNMP_V2C_GET = udpProbeNumber('snmp-v2c-get')
const SNMP_V3_GET = udpProbeNumber('snmp-v3-get')
const CLDAP_SEARCH = udpProbeNumber('cldap-search')

const INTEGER = 0x02
const OCTET_STRING = 0x04
export const SEQUENCE = 0x30
const SEARCH_REQUEST = 0x63
const GET_REQUEST = 0xa0
const GET_NEXT_REQUEST = 0xa1
const GET_BULK_REQUEST = 0xa5
/** Octets of a message identifier: 31 bits and a sign (RFC 4511 section 4.1.1.1, RFC 3412 section 6). */
const IDENTIFIER_OCTETS_MAX = 5
const LONG_FORM = 0x80
/** Octets of a length in long form that a datagram can need. */
const LENGTH_OCTETS_MAX = 4
/** RFC 3412 section 6.4. */
const REPORTABLE = 0x04

/** A payload that begins with SEQUENCE. */
export function berProbe(bytes: Uint8Array, offset: number, end: number): number {
  const at = afterLength(bytes, offset + 1, end)
  if (at < 0 || end - at < 4 || bytes[at] !== INTEGER) return NONE
  const next = afterInteger(bytes, at, end)
  if (next < 0 || next >= end) return NONE
  if (bytes[next] === SEARCH_REQUEST) return CLDAP_SEARCH
  if (bytes[at + 1] !== 1) return NONE
  const version = bytes[at + 2]!
  if (version === 3) return isReportable(bytes, next, end) ? SNMP_V3_GET : NONE
  return version > 1 ? NONE : communityProbe(bytes, next, end, version)
}

/** Community and PDU of SNMP version 0 (SNMPv1) or 1 (SNMPv2c). */
function communityProbe(bytes: Uint8Array, at: number, end: number, version: number): number {
  const community = afterLength(bytes, at + 1, end)
  if (bytes[at] !== OCTET_STRING || community !== at + 2) return NONE
  const pdu = community + bytes[at + 1]!
  if (pdu >= end) return NONE
  const tag = bytes[pdu]!
  if (tag === GET_REQUEST || tag === GET_NEXT_REQUEST) return version === 0 ? SNMP_V1_GET : SNMP_V2C_GET
  return tag === GET_BULK_REQUEST && version === 1 ? SNMP_V2C_GET : NONE
}

/** The flags of an SNMPv3 header: SEQUENCE of message ID, largest size, flags. */
function isReportable(bytes: Uint8Array, at: number, end: number): boolean {
  if (bytes[at] !== SEQUENCE) return false
  const size = afterInteger(bytes, afterLength(bytes, at + 1, end), end)
  const flags = size < 0 ? -1 : afterInteger(bytes, size, end)
  if (flags < 0 || end - flags < 3) return false
  return bytes[flags] === OCTET_STRING && bytes[flags + 1] === 1 && (bytes[flags + 2]! & REPORTABLE) !== 0
}

/** The byte after an INTEGER of at most IDENTIFIER_OCTETS_MAX octets; -1 when there is none at `at`. */
function afterInteger(bytes: Uint8Array, at: number, end: number): number {
  if (at < 0 || end - at < 3 || bytes[at] !== INTEGER) return -1
  const octets = bytes[at + 1]!
  return octets >= 1 && octets <= IDENTIFIER_OCTETS_MAX ? at + 2 + octets : -1
}

/** The first byte of the contents whose length stands at `at`; -1 when the length is cut or indefinite. */
function afterLength(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1
  const first = bytes[at]!
  if (first < LONG_FORM) return at + 1
  const octets = first - LONG_FORM
  return octets >= 1 && octets <= LENGTH_OCTETS_MAX ? at + 1 + octets : -1
}
