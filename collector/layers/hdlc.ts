import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeEthertype } from './ethertype.ts'
import { decodePpp } from './ppp.ts'

const CISCO_HDLC_HEADER_BYTES = 4
const CISCO_UNICAST = 0x0f
const CISCO_MULTICAST = 0x8f

/** Cisco HDLC (RFC 1547 section 4.3.1): address, control, ethertype. */
export function decodeCiscoHdlc(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < CISCO_HDLC_HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const type = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  decodeEthertype(bytes, offset + CISCO_HDLC_HEADER_BYTES, end, type, packet)
}

/** LINKTYPE_PPP_HDLC: PPP in HDLC-like framing, or Cisco HDLC, told apart by the address byte. */
export function decodePppHdlc(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const address = end > offset ? bytes[offset]! : 0
  if (address === CISCO_UNICAST || address === CISCO_MULTICAST) decodeCiscoHdlc(bytes, offset, end, packet)
  else decodePpp(bytes, offset, end, packet)
}
