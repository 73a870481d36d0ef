import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeLlc } from './ethertype.ts'

/** Access control, frame control, destination, source. */
const HEADER_BYTES = 14
const FRAME_TYPE = 0xc0
const FRAME_TYPE_LLC = 0x40
/** First bit of the source address: routing information follows; the low bits of its first byte are its length. */
const SOURCE_ROUTED = 0x80
const ROUTING_LENGTH = 0x1f
const ROUTING_BYTES_MIN = 2

/** Token ring (IEEE 802.5 clause 3, source routing by IEEE 802.1D annex C), then LLC. */
export function decodeTokenRing(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const isRouted = (bytes[offset + 8]! & SOURCE_ROUTED) !== 0
  const routing = offset + HEADER_BYTES
  if (isRouted && end === routing) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const routingBytes = isRouted ? Math.max(bytes[routing]! & ROUTING_LENGTH, ROUTING_BYTES_MIN) : 0
  if ((bytes[offset + 1]! & FRAME_TYPE) !== FRAME_TYPE_LLC) packet.drop = DROP_NOT_IP
  else if (end - routing < routingBytes) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else decodeLlc(bytes, routing + routingBytes, end, packet)
}
