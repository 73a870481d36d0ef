import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'
import { decodeMpls } from './mpls.ts'
import { decodeNsh } from './nsh.ts'
import { decodePppoeSession } from './pppoe.ts'

export const ETHERTYPE_IPV4 = 0x0800
export const ETHERTYPE_IPV6 = 0x86dd
const ETHERTYPE_MPLS_UNICAST = 0x8847
const ETHERTYPE_MPLS_MULTICAST = 0x8848
const ETHERTYPE_PPPOE_SESSION = 0x8864
const ETHERTYPE_NSH = 0x894f
/** Up to this an ethertype field is an IEEE 802.3 length. */
const LENGTH_MAX = 1500
/** Tags in one frame; real networks use two, and a crafted frame must not keep us busy. */
const TAG_DEPTH_MAX = 16

const LLC_SNAP = 0xaa
const LLC_IP = 0x06
const LLC_UNNUMBERED_INFORMATION = 0x03

/**
 * What follows an ethertype (IEEE 802.3 clause 3.2.6), tags looked through.
 * @param offset first byte after the ethertype field
 */
export function decodeEthertype(bytes: Uint8Array, offset: number, end: number, type: number, packet: Packet): void {
  if (type === ETHERTYPE_IPV4) decodeIpv4(bytes, offset, end, packet)
  else if (type === ETHERTYPE_IPV6) decodeIpv6(bytes, offset, end, packet)
  else decodeTagged(bytes, offset, end, type, packet)
}

function decodeTagged(bytes: Uint8Array, start: number, end: number, firstType: number, packet: Packet): void {
  let offset = start
  let type = firstType
  let depth = 0
  for (let tagBytes = tagLength(type); tagBytes > 0; tagBytes = tagLength(type)) {
    if (end - offset < tagBytes) {
      packet.drop = DROP_LINK_HEADER_TRUNCATED
      return
    }
    if (++depth > TAG_DEPTH_MAX) {
      packet.drop = DROP_NOT_IP
      return
    }
    offset += tagBytes
    type = (bytes[offset - 2]! << 8) | bytes[offset - 1]!
  }
  if (type <= LENGTH_MAX) decodeLlc(bytes, offset, end, packet)
  else if (type === ETHERTYPE_MPLS_UNICAST || type === ETHERTYPE_MPLS_MULTICAST) decodeMpls(bytes, offset, end, packet)
  else if (type === ETHERTYPE_PPPOE_SESSION) decodePppoeSession(bytes, offset, end, packet)
  else if (type === ETHERTYPE_NSH) decodeNsh(bytes, offset, end, packet)
  else decodeNetwork(bytes, offset, end, type, packet)
}

/** Bytes from an ethertype that announces a tag to the end of the next ethertype; 0 when it is no tag. */
function tagLength(type: number): number {
  switch (type) {
    case 0x8100: // IEEE 802.1Q
    case 0x88a8: // IEEE 802.1ad, and two values that were used for it before
    case 0x9100:
    case 0x9200:
      return 4
    case 0x8926: // VN-Tag
      return 6
    case 0x893f: // IEEE 802.1BR E-Tag
      return 8
    case 0x8903: // Cisco FabricPath: its tag, then a whole Ethernet header
      return 16
    default:
      return 0
  }
}

/** IEEE 802.2 LLC; with SNAP (RFC 1042) an ethertype follows. */
export function decodeLlc(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  packet.drop = DROP_NOT_IP
  if (end - offset < 3 || bytes[offset + 2] !== LLC_UNNUMBERED_INFORMATION) return
  const service = bytes[offset]!
  if (service !== bytes[offset + 1]) return
  if (service === LLC_IP) {
    packet.drop = -1
    decodeIpv4(bytes, offset + 3, end, packet)
  } else if (service === LLC_SNAP && end - offset >= 8) {
    if ((bytes[offset + 3]! | bytes[offset + 4]! | bytes[offset + 5]!) !== 0) return
    decodeNetwork(bytes, offset + 8, end, (bytes[offset + 6]! << 8) | bytes[offset + 7]!, packet)
  }
}

function decodeNetwork(bytes: Uint8Array, offset: number, end: number, type: number, packet: Packet): void {
  packet.drop = -1
  if (type === ETHERTYPE_IPV4) decodeIpv4(bytes, offset, end, packet)
  else if (type === ETHERTYPE_IPV6) decodeIpv6(bytes, offset, end, packet)
  else packet.drop = DROP_NOT_IP
}
