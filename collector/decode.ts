import { VERIFY_CHECKSUMS } from './decode-options.ts'
import { DROP_LINK_TYPE_UNSUPPORTED, DROP_NONE } from './drop.ts'
import { verifyChecksums } from './layers/checksum.ts'
import { decodeEthernet } from './layers/ethernet.ts'
import { decodeEthertype } from './layers/ethertype.ts'
import { clearPlaces } from './layers/ip-places.ts'
import { decodePpp } from './layers/ppp.ts'
import { enterInner } from './layers/tunnel.ts'
import { TRANSPARENT_ETHERNET, TUNNELLED_PPP } from './layers/tunnel-header.ts'
import { LINK_DECODERS } from './link-decoders.ts'
import { LINK_ETHERNET } from './link-type.ts'
import type { Packet } from './packet.ts'

/** Tunnels in one another that are looked into; real ones are two or three, and a crafted packet must end. */
const TUNNEL_DEPTH_MAX = 8

/**
 * Decodes the frame in bytes[offset, end) by `packet.linkType`. Contract: see Packet.
 */
export function decode(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  clearDecoded(packet)
  if (packet.linkType === LINK_ETHERNET) decodeEthernet(bytes, offset, end, packet)
  else decodeOtherLink(bytes, offset, end, packet)
  if (packet.decodeOptions !== 0) lookFurther(bytes, packet)
}

function decodeOtherLink(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const decoder = LINK_DECODERS.get(packet.linkType)
  if (decoder === undefined) packet.drop = DROP_LINK_TYPE_UNSUPPORTED
  else decoder(bytes, offset, end, packet)
}

/** What `decodeOptions` asks for: checksums of each IP packet in turn, and the packets inside tunnels. */
function lookFurther(bytes: Uint8Array, packet: Packet): void {
  for (let depth = 0; packet.drop === DROP_NONE; depth++) {
    if ((packet.decodeOptions & VERIFY_CHECKSUMS) !== 0) verifyChecksums(bytes, packet)
    if (packet.drop !== DROP_NONE || depth === TUNNEL_DEPTH_MAX || !enterInner(bytes, packet)) break
    const { payloadOffset, payloadEnd, payloadType } = packet
    clearDecoded(packet)
    clearPlaces(packet)
    if (payloadType === TRANSPARENT_ETHERNET) decodeEthernet(bytes, payloadOffset, payloadEnd, packet)
    else if (payloadType === TUNNELLED_PPP) decodePpp(bytes, payloadOffset, payloadEnd, packet)
    else decodeEthertype(bytes, payloadOffset, payloadEnd, payloadType, packet)
  }
  clearPlaces(packet)
}

/** Sets all that decoding may fill to "does not apply". */
export function clearDecoded(packet: Packet): void {
  packet.drop = DROP_NONE
  packet.ipVersion = 0
  packet.src0 = 0
  packet.src1 = 0
  packet.src2 = 0
  packet.src3 = 0
  packet.dst0 = 0
  packet.dst1 = 0
  packet.dst2 = 0
  packet.dst3 = 0
  packet.protocol = -1
  packet.ipLength = -1
  packet.ttl = -1
  packet.ipId = -1
  packet.isFragment = 0
  packet.fragmentOffset = 0
  packet.dontFragment = 0
  packet.reservedFlag = 0
  packet.srcPort = -1
  packet.dstPort = -1
  packet.icmpType = -1
  packet.icmpCode = -1
  packet.tcpFlags = -1
  packet.tcpSeq = -1
  packet.tcpWindow = -1
  packet.tcpAck = -1
  packet.udpProbe = 0
  packet.tcpMss = -1
  packet.tcpWindowScale = -1
  packet.tcpOptionKinds = 0
  packet.tcpOptionsOverflow = 0
  packet.quotedVersion = 0
  packet.quotedDst0 = 0
  packet.quotedDst1 = 0
  packet.quotedDst2 = 0
  packet.quotedDst3 = 0
  packet.quotedProtocol = -1
  packet.quotedSrcPort = -1
  packet.quotedDstPort = -1
}
