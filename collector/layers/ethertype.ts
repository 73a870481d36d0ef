import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'
import { decodeMpls } from './mpls.ts'
import { decodePppoeSession } from './pppoe.ts'

const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_VLAN = 0x8100
const ETHERTYPE_IPV6 = 0x86dd
const ETHERTYPE_MPLS_UNICAST = 0x8847
const ETHERTYPE_MPLS_MULTICAST = 0x8848
const ETHERTYPE_PPPOE_SESSION = 0x8864
/** IEEE 802.1ad, and the values that QinQ used before it. */
const ETHERTYPE_SERVICE_VLAN = 0x88a8
const ETHERTYPE_QINQ_9100 = 0x9100
const ETHERTYPE_QINQ_9200 = 0x9200
/** Up to this an ethertype field is an IEEE 802.3 length. */
const LENGTH_MAX = 1500
/** Tags in one frame; real networks use two, and a crafted frame must not keep us busy. */
const VLAN_DEPTH_MAX = 16

const LLC_SNAP = 0xaa
const LLC_IP = 0x06
const LLC_UNNUMBERED_INFORMATION = 0x03

/**
 * What follows an ethertype (IEEE 802.3 clause 3.2.6), VLAN tags (IEEE 802.1Q) looked through.
 * @param offset first byte after the ethertype field
 */
export function decodeEthertype(bytes: Uint8Array, offset: number, end: number, type: number, packet: Packet): void {
  if (type === ETHERTYPE_IPV4) decodeIpv4(bytes, offset, end, packet)
  else if (type === ETHERTYPE_IPV6) decodeIpv6(bytes, offset, end, packet)
  else decodeOther(bytes, offset, end, type, packet)
}

function decodeOther(bytes: Uint8Array, start: number, end: number, firstType: number, packet: Packet): void {
  let offset = start
  let type = firstType
  for (let depth = 0; isVlanTag(type); depth++) {
    if (depth === VLAN_DEPTH_MAX) {
      packet.drop = DROP_NOT_IP
      return
    }
    if (end - offset < 4) {
      packet.drop = DROP_LINK_HEADER_TRUNCATED
      return
    }
    type = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
    offset += 4
  }
  if (type <= LENGTH_MAX) decodeLlc(bytes, offset, end, packet)
  else if (type === ETHERTYPE_MPLS_UNICAST || type === ETHERTYPE_MPLS_MULTICAST) decodeMpls(bytes, offset, end, packet)
  else if (type === ETHERTYPE_PPPOE_SESSION) decodePppoeSession(bytes, offset, end, packet)
  else decodeNetwork(bytes, offset, end, type, packet)
}

function isVlanTag(type: number): boolean {
  return (
    type === ETHERTYPE_VLAN ||
    type === ETHERTYPE_SERVICE_VLAN ||
    type === ETHERTYPE_QINQ_9100 ||
    type === ETHERTYPE_QINQ_9200
  )
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
