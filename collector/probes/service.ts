import { udpProbeNumber } from '../../schemas/udp-probe.ts'
import { be16, be32 } from '../word.ts'

/** Binary requests of one packet: remote procedures, directories, management and building control. Rules: UDP_PROBES. */

const NONE = udpProbeNumber('none')
const PORTMAP_DUMP = udpProbeNumber('rpc-portmap-dump')
const PORTMAP_CALL = udpProbeNumber('rpc-portmap-call')
const RPC_CALL = udpProbeNumber('rpc-call')
const RIP_REQUEST = udpProbeNumber('rip-request')
const BACNET_WHO_IS = udpProbeNumber('bacnet-who-is')
const BACNET_READ = udpProbeNumber('bacnet-read-property')
const RMCP_PING = udpProbeNumber('rmcp-ping')
const IPMI_CHANNEL_AUTH = udpProbeNumber('ipmi-channel-auth')
const COAP_GET = udpProbeNumber('coap-get')
const UBIQUITI = udpProbeNumber('ubiquiti-discovery')
const XDMCP_QUERY = udpProbeNumber('xdmcp-query')
const MSSQL_BROWSER = udpProbeNumber('mssql-browser')
const SLAMMER = udpProbeNumber('slammer')
const SLP_REQUEST = udpProbeNumber('slp-request')
const RADIUS = udpProbeNumber('radius-access')
const NAT_PMP = udpProbeNumber('nat-pmp')
const GTP_ECHO = udpProbeNumber('gtp-echo')
const APPLE_REMOTE_DESKTOP = udpProbeNumber('apple-remote-desktop')

const RPC_CALL_BYTES_MIN = 24
const RPC_TYPE_CALL = 0
const RPC_VERSION = 2
const PORTMAP_PROGRAM = 100_000
const PORTMAP_PROCEDURE_DUMP = 4

/** The transaction number comes first and is free, so that the first byte says nothing. */
export function rpcProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < RPC_CALL_BYTES_MIN || be32(bytes, offset + 4) !== RPC_TYPE_CALL) return NONE
  if (be32(bytes, offset + 8) !== RPC_VERSION) return NONE
  if (be32(bytes, offset + 12) !== PORTMAP_PROGRAM) return RPC_CALL
  return be32(bytes, offset + 20) === PORTMAP_PROCEDURE_DUMP ? PORTMAP_DUMP : PORTMAP_CALL
}

const RIP_ENTRY_BYTES = 20

/** @param length bytes of the payload as sent */
export function ripProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (end - offset < 4 || length < 4 + RIP_ENTRY_BYTES || (length - 4) % RIP_ENTRY_BYTES !== 0) return NONE
  const version = bytes[offset + 1]!
  const isRequest = bytes[offset] === 1 && be16(bytes, offset + 2) === 0
  return isRequest && (version === 1 || version === 2) ? RIP_REQUEST : NONE
}

const BVLC_UNICAST = 0x0a
const BVLC_BROADCAST = 0x0b
const NPDU_NETWORK_MESSAGE = 0x80
const NPDU_DESTINATION = 0x20
const NPDU_SOURCE = 0x08
const WHO_IS = 8
const READ_PROPERTY = 12
const READ_PROPERTY_MULTIPLE = 14

/** A payload that begins with 0x81. @param length bytes of the payload as sent */
export function bacnetProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (end - offset < 8 || be16(bytes, offset + 2) !== length || bytes[offset + 4] !== 1) return NONE
  if (bytes[offset + 1] !== BVLC_UNICAST && bytes[offset + 1] !== BVLC_BROADCAST) return NONE
  const control = bytes[offset + 5]!
  if ((control & NPDU_NETWORK_MESSAGE) !== 0) return NONE
  // Each of the two addresses: network, length, so many bytes; a hop count follows when there is a destination.
  let at = offset + 6
  if ((control & NPDU_DESTINATION) !== 0) at += 3 + (at + 2 < end ? bytes[at + 2]! : 0)
  if ((control & NPDU_SOURCE) !== 0) at += 3 + (at + 2 < end ? bytes[at + 2]! : 0)
  if ((control & NPDU_DESTINATION) !== 0) at++
  if (end - at < 2) return NONE
  const type = bytes[at]! >> 4
  if (type === 1) return bytes[at + 1] === WHO_IS ? BACNET_WHO_IS : NONE
  const service = end - at < 4 ? -1 : bytes[at + 3]!
  return type === 0 && (service === READ_PROPERTY || service === READ_PROPERTY_MULTIPLE) ? BACNET_READ : NONE
}

const RMCP_VERSION_1 = 0x0600
const RMCP_CLASS_ASF = 6
const RMCP_CLASS_IPMI = 7
const ASF_ENTERPRISE = 4542
const ASF_PRESENCE_PING = 0x80
/** Network function "application request", logical unit 0. */
const IPMI_APPLICATION = 0x18
const GET_CHANNEL_AUTHENTICATION = 0x38

/** A payload that begins with 6. */
export function rmcpProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < 9 || be16(bytes, offset) !== RMCP_VERSION_1) return NONE
  const rmcpClass = bytes[offset + 3]!
  if (rmcpClass === RMCP_CLASS_ASF) {
    return be32(bytes, offset + 4) === ASF_ENTERPRISE && bytes[offset + 8] === ASF_PRESENCE_PING ? RMCP_PING : NONE
  }
  if (rmcpClass !== RMCP_CLASS_IPMI || end - offset < 20) return NONE
  // No authentication, session 0: type, sequence and session are zero.
  const isOutside = bytes[offset + 4] === 0 && (be32(bytes, offset + 5) | be32(bytes, offset + 9)) === 0
  const isAsked = bytes[offset + 15] === IPMI_APPLICATION && bytes[offset + 19] === GET_CHANNEL_AUTHENTICATION
  return isOutside && isAsked ? IPMI_CHANNEL_AUTH : NONE
}

/** Version 1, confirmable or not: the upper three bits. */
const COAP_REQUEST = 0x40
const COAP_TOKEN_BYTES_MAX = 8
const COAP_CODE_GET = 1

export function coapProbe(bytes: Uint8Array, offset: number, end: number): number {
  const first = bytes[offset]!
  if (end - offset < 4 || (first & 0xe0) !== COAP_REQUEST || (first & 15) > COAP_TOKEN_BYTES_MAX) return NONE
  return bytes[offset + 1] === COAP_CODE_GET ? COAP_GET : NONE
}

/** @param length bytes of the payload as sent */
export function ubiquitiProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  return length === 4 && end - offset === 4 && be32(bytes, offset) === 0x0100_0000 ? UBIQUITI : NONE
}

/** @param length bytes of the payload as sent */
export function xdmcpProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (end - offset < 6 || be16(bytes, offset) !== 1 || be16(bytes, offset + 4) !== length - 6) return NONE
  const opcode = be16(bytes, offset + 2)
  return opcode >= 1 && opcode <= 3 ? XDMCP_QUERY : NONE
}

const INSTANCE_NAME_BYTES_MAX = 32
const SLAMMER_BYTES = 376

/** @param length bytes of the payload as sent */
export function mssqlProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  const first = bytes[offset]!
  if (length === 1) return first === 2 || first === 3 ? MSSQL_BROWSER : NONE
  if (first !== 4) return NONE
  if (length === SLAMMER_BYTES && end - offset >= 4 && be32(bytes, offset) === 0x0401_0101) return SLAMMER
  // The type, the name and its zero.
  return length <= INSTANCE_NAME_BYTES_MAX + 2 ? MSSQL_BROWSER : NONE
}

const SLP_SERVICE_REQUEST = 1
const SLP_ATTRIBUTE_REQUEST = 6
const SLP_SERVICE_TYPE_REQUEST = 9

/** @param length bytes of the payload as sent */
export function slpProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (end - offset < 5) return NONE
  const version = bytes[offset]!
  const stated = version === 2 ? be32(bytes, offset + 1) & 0xff_ffff : be16(bytes, offset + 2)
  const type = bytes[offset + 1]!
  const isRequest = type === SLP_SERVICE_REQUEST || type === SLP_ATTRIBUTE_REQUEST || type === SLP_SERVICE_TYPE_REQUEST
  return (version === 1 || version === 2) && stated === length && isRequest ? SLP_REQUEST : NONE
}

const RADIUS_HEADER_BYTES = 20
const RADIUS_ACCESS_REQUEST = 1

/** @param length bytes of the payload as sent */
export function radiusProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (end - offset < 4 || length < RADIUS_HEADER_BYTES || bytes[offset] !== RADIUS_ACCESS_REQUEST) return NONE
  return be16(bytes, offset + 2) === length ? RADIUS : NONE
}

/** @param length bytes of the payload as sent */
export function natPmpProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  return length === 2 && end - offset === 2 && be16(bytes, offset) === 0 ? NAT_PMP : NONE
}

const GTP_ECHO_REQUEST = 1
/** Bytes in front of what the length counts: GTP version 1 with tunnel number; 2 without; GTP' of version 0 to 2. */
const GTP_1_HEADER_BYTES = 8
const GTP_2_HEADER_BYTES = 4

/** @param length bytes of the payload as sent */
export function gtpProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (end - offset < 4 || bytes[offset + 1] !== GTP_ECHO_REQUEST) return NONE
  const version = bytes[offset]! >> 5
  const header = version === 1 ? GTP_1_HEADER_BYTES : GTP_2_HEADER_BYTES
  if (version !== 1 && version !== 2) return NONE
  return be16(bytes, offset + 2) === length - header ? GTP_ECHO : NONE
}

export function appleRemoteDesktopProbe(bytes: Uint8Array, offset: number, end: number): number {
  return end - offset >= 4 && be32(bytes, offset) >>> 8 === 0x1400 ? APPLE_REMOTE_DESKTOP : NONE
}
