import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeLlc } from './ethertype.ts'

const HEADER_BYTES = 24
const ADDRESS_BYTES = 6
const QOS_CONTROL_BYTES = 2
const HT_CONTROL_BYTES = 4
const FCS_BYTES = 4
/** Destination, source, length. */
const SUBFRAME_HEADER_BYTES = 14

/** First byte of frame control: version 0 and type data; the subtype bits for "no data" and QoS. */
const VERSION_AND_TYPE = 0x0f
const DATA = 0x08
const SUBTYPE_NO_DATA = 0x40
const SUBTYPE_QOS = 0x80
/** Second byte of frame control. */
const TO_AND_FROM_DS = 0x03
const PROTECTED = 0x40
const HT_CONTROL = 0x80
/** First byte of QoS control. */
const AGGREGATE = 0x80

/**
 * IEEE 802.11 data frame (IEEE 802.11-2020 clause 9.3.2.1) down to LLC. Management and control frames, encrypted ones
 * and later fragments show no IP header. Of an A-MSDU (clause 9.3.2.2), several packets in one frame, the first counts:
 * a record is one packet, as for every other reader.
 * @param end first byte past the frame, its check sequence left out
 * @param isPadded the header is filled up to a multiple of four bytes (radiotap)
 */
export function decodeIeee80211(
  bytes: Uint8Array,
  offset: number,
  end: number,
  isPadded: boolean,
  packet: Packet,
): void {
  if (end - offset < 2) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const control = bytes[offset]!
  const flags = bytes[offset + 1]!
  const isData = (control & VERSION_AND_TYPE) === DATA && (control & SUBTYPE_NO_DATA) === 0
  if (!isData || (flags & PROTECTED) !== 0) {
    packet.drop = DROP_NOT_IP
    return
  }
  const isQos = (control & SUBTYPE_QOS) !== 0
  const qosAt = offset + HEADER_BYTES + ((flags & TO_AND_FROM_DS) === TO_AND_FROM_DS ? ADDRESS_BYTES : 0)
  const htControlBytes = (flags & HT_CONTROL) !== 0 ? HT_CONTROL_BYTES : 0
  const headerBytes = qosAt - offset + (isQos ? QOS_CONTROL_BYTES + htControlBytes : 0)
  const payload = offset + (isPadded ? (headerBytes + 3) & ~3 : headerBytes)
  if (end < payload) packet.drop = DROP_LINK_HEADER_TRUNCATED
  else if ((bytes[offset + 22]! & 0x0f) !== 0) packet.drop = DROP_NOT_IP
  else if (isQos && (bytes[qosAt]! & AGGREGATE) !== 0) decodeFirstSubframe(bytes, payload, end, packet)
  else decodeLlc(bytes, payload, end, packet)
}

function decodeFirstSubframe(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const start = offset + SUBFRAME_HEADER_BYTES
  if (end < start) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const length = (bytes[offset + 12]! << 8) | bytes[offset + 13]!
  decodeLlc(bytes, start, Math.min(end, start + length), packet)
}

/** LINKTYPE_IEEE802_11: the frame alone; whether a check sequence ends it is not told, and nothing depends on it. */
export function decodePlainIeee80211(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  decodeIeee80211(bytes, offset, end, false, packet)
}

/** End of a frame that has its check sequence behind it, which a short capture may have left out in part or whole. */
export function endBeforeFcs(offset: number, end: number, packet: Packet): number {
  const missing = Math.max(0, packet.originalLength - packet.capturedLength)
  return Math.max(offset, end - Math.max(0, FCS_BYTES - missing))
}
