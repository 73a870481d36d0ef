import type { Packet } from '../packet.ts'

/** Keeps where the IP packet lies, for what `decodeOptions` asks for afterwards. Units: see Packet. */
export function notePlaces(packet: Packet, ipOffset: number, payloadOffset: number, payloadEnd: number): void {
  packet.ipOffset = ipOffset
  packet.payloadOffset = payloadOffset
  packet.payloadEnd = payloadEnd
}

/** The packet has no places (any more). */
export function clearPlaces(packet: Packet): void {
  packet.ipOffset = 0
  packet.payloadOffset = 0
  packet.payloadEnd = 0
  packet.payloadType = 0
}
