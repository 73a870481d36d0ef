import { DROP_TRANSPORT_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { udpProbe } from '../udp-probe.ts'

const UDP_HEADER_BYTES = 8

/** UDP ports (RFC 768), and the probe that the payload is. Length and checksum are not judged: telescopes see forged ones, and they count. */
export function decodeUdp(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < 4) {
    packet.drop = DROP_TRANSPORT_TRUNCATED
    return
  }
  packet.srcPort = (bytes[offset]! << 8) | bytes[offset + 1]!
  packet.dstPort = (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  packet.udpProbe = udpProbe(bytes, offset + UDP_HEADER_BYTES, end, packet.dstPort)
}
