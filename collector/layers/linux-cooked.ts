import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeEthertype, decodeLlc } from './ethertype.ts'

const SLL_HEADER_BYTES = 16
const SLL2_HEADER_BYTES = 20
/** Values of the protocol field that are no ethertype (LINKTYPE_LINUX_SLL page of tcpdump.org). */
const SLL_PROTOCOL_LLC = 0x0004
const SLL_PROTOCOL_MIN = 0x0600
/** ARPHRD values for which the protocol field means something else. */
const ARPHRD_FRELAY = 770
const ARPHRD_IPGRE = 778
const ARPHRD_RADIOTAP = 803
const ARPHRD_NETLINK = 824

/** Linux cooked capture, version 1: packet type, ARPHRD type, address length, address, protocol. */
export function decodeLinuxSll(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < SLL_HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const hardware = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  const protocol = (bytes[offset + 14]! << 8) | bytes[offset + 15]!
  decodeCooked(bytes, offset + SLL_HEADER_BYTES, end, hardware, protocol, packet)
}

/** Linux cooked capture, version 2: protocol, interface index, ARPHRD type, packet type, address length, address. */
export function decodeLinuxSll2(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < SLL2_HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const protocol = (bytes[offset]! << 8) | bytes[offset + 1]!
  const hardware = (bytes[offset + 8]! << 8) | bytes[offset + 9]!
  decodeCooked(bytes, offset + SLL2_HEADER_BYTES, end, hardware, protocol, packet)
}

function decodeCooked(
  bytes: Uint8Array,
  offset: number,
  end: number,
  hardware: number,
  protocol: number,
  packet: Packet,
): void {
  const isForeign = hardware === ARPHRD_FRELAY || hardware === ARPHRD_RADIOTAP || hardware === ARPHRD_NETLINK
  if (isForeign) packet.drop = DROP_NOT_IP
  // With GRE the field is a GRE protocol type, which is an ethertype too (RFC 2784 section 2.4).
  else if (protocol >= SLL_PROTOCOL_MIN || hardware === ARPHRD_IPGRE)
    decodeEthertype(bytes, offset, end, protocol, packet)
  else if (protocol === SLL_PROTOCOL_LLC) decodeLlc(bytes, offset, end, packet)
  else packet.drop = DROP_NOT_IP
}
