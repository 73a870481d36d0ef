import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeEthernet } from './ethernet.ts'
import { decodeEthertype } from './ethertype.ts'

/**
 * Tags that switch chips put into the frames of their CPU port (LINKTYPE_DSA_TAG_…). None of them names what follows it;
 * that is the ethertype of the frame, as without the tag.
 */

const ADDRESSES_BYTES = 12
const TAG_BYTES = 4
/** Marvell's tag with an ethertype of its own: that, two reserved bytes, the tag. */
const TYPED_TAG_BYTES = 8

/** Between the addresses and the ethertype: Broadcom's tag, and Marvell's, which stands in place of an 802.1Q tag. */
export function decodeInnerSwitchTag(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  decodeTagged(bytes, offset, end, TAG_BYTES, packet)
}

/** Marvell's tag with an ethertype. */
export function decodeTypedSwitchTag(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  decodeTagged(bytes, offset, end, TYPED_TAG_BYTES, packet)
}

/** Broadcom's tag before the frame. */
export function decodePrependedSwitchTag(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < TAG_BYTES) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodeEthernet(bytes, offset + TAG_BYTES, end, packet)
}

function decodeTagged(bytes: Uint8Array, offset: number, end: number, tagBytes: number, packet: Packet): void {
  const at = offset + ADDRESSES_BYTES + tagBytes
  if (end - at < 2) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodeEthertype(bytes, at + 2, end, (bytes[at]! << 8) | bytes[at + 1]!, packet)
}
