import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeEthertype } from './ethertype.ts'

const ETHERNET_HEADER_BYTES = 14

/** Ethernet II or IEEE 802.3: destination, source, then ethertype or length. */
export function decodeEthernet(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < ETHERNET_HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const type = (bytes[offset + 12]! << 8) | bytes[offset + 13]!
  decodeEthertype(bytes, offset + ETHERNET_HEADER_BYTES, end, type, packet)
}
