import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'
import { decodeMpls } from './mpls.ts'

const PPP_IPV4 = 0x0021
const PPP_IPV6 = 0x0057
const PPP_MPLS_UNICAST = 0x0281
const PPP_MPLS_MULTICAST = 0x0283
const HDLC_ALL_STATIONS = 0xff
const HDLC_UNNUMBERED_INFORMATION = 0x03

/** PPP (RFC 1661), with or without address and control field in HDLC-like framing (RFC 1662). */
export function decodePpp(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const isFramed =
    end - offset >= 2 && bytes[offset] === HDLC_ALL_STATIONS && bytes[offset + 1] === HDLC_UNNUMBERED_INFORMATION
  decodePppProtocol(bytes, isFramed ? offset + 2 : offset, end, packet)
}

/** The PPP protocol field; an odd first byte is a compressed field of one byte (RFC 1661 section 6.5). */
export function decodePppProtocol(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const isCompressed = end - offset >= 1 && (bytes[offset]! & 1) === 1
  const headerBytes = isCompressed ? 1 : 2
  if (end - offset < headerBytes) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const protocol = isCompressed ? bytes[offset]! : (bytes[offset]! << 8) | bytes[offset + 1]!
  const payload = offset + headerBytes
  if (protocol === PPP_IPV4) decodeIpv4(bytes, payload, end, packet)
  else if (protocol === PPP_IPV6) decodeIpv6(bytes, payload, end, packet)
  else if (protocol === PPP_MPLS_UNICAST || protocol === PPP_MPLS_MULTICAST) decodeMpls(bytes, payload, end, packet)
  else packet.drop = DROP_NOT_IP
}

/** LINKTYPE_PPP_WITH_DIR: a byte for the direction, then PPP. */
export function decodePppWithDirection(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end === offset) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodePpp(bytes, offset + 1, end, packet)
}

/** LINKTYPE_PPP_PPPD: HDLC-like framing whose address byte was replaced by the direction. */
export function decodePppPppd(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < 2) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodePppProtocol(bytes, offset + 2, end, packet)
}
