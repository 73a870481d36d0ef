import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeEthernet } from './ethernet.ts'
import { decodeEthertype } from './ethertype.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

const ADDRESS_BYTES_MAX = 4
/** Lowest bit of the last byte of an address. */
const ADDRESS_END = 1
const UNNUMBERED_INFORMATION = 0x03
const PADDING = 0x00
const NLPID_SNAP = 0x80
const NLPID_IPV6 = 0x8e
const NLPID_IPV4 = 0xcc
const SNAP_BYTES = 5
const OUI_ETHERTYPE = 0x000000
const OUI_BRIDGED = 0x0080c2
/** An Ethernet frame with and without its check sequence. */
const BRIDGED_ETHERNET: readonly number[] = [1, 7]

/** Frame relay: a Q.922 address, then RFC 2427, or Cisco's encapsulation with an ethertype right behind the address. */
export function decodeFrameRelay(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  let at = offset
  while (at < end && at - offset < ADDRESS_BYTES_MAX - 1 && (bytes[at]! & ADDRESS_END) === 0) at++
  at++
  if (end - at < 2) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else if (at - offset < 2) packet.drop = DROP_NOT_IP
  else if (bytes[at] === UNNUMBERED_INFORMATION) decodeNlpid(bytes, at + 1, end, packet)
  else decodeEthertype(bytes, at + 2, end, (bytes[at]! << 8) | bytes[at + 1]!, packet)
}

/** RFC 2427 section 3: a byte of padding or none, then the identifier of the protocol. */
function decodeNlpid(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const at = bytes[offset] === PADDING ? offset + 1 : offset
  if (at >= end) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const protocol = bytes[at]
  if (protocol === NLPID_IPV4) decodeIpv4(bytes, at + 1, end, packet)
  else if (protocol === NLPID_IPV6) decodeIpv6(bytes, at + 1, end, packet)
  else if (protocol === NLPID_SNAP) decodeSnap(bytes, at + 1, end, packet)
  else packet.drop = DROP_NOT_IP
}

function decodeSnap(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < SNAP_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const organization = (bytes[offset]! << 16) | (bytes[offset + 1]! << 8) | bytes[offset + 2]!
  const type = (bytes[offset + 3]! << 8) | bytes[offset + 4]!
  const payload = offset + SNAP_BYTES
  if (organization === OUI_ETHERTYPE) decodeEthertype(bytes, payload, end, type, packet)
  else if (organization === OUI_BRIDGED && BRIDGED_ETHERNET.includes(type)) decodeEthernet(bytes, payload, end, packet)
  else packet.drop = DROP_NOT_IP
}
