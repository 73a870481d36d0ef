import { DROP_LINK_TYPE_UNSUPPORTED, DROP_NONE } from './drop.ts'
import { decodeEthernet } from './layers/ethernet.ts'
import { decodeCiscoHdlc, decodePppHdlc } from './layers/hdlc.ts'
import { decodeIpv4 } from './layers/ipv4.ts'
import { decodeIpv6 } from './layers/ipv6.ts'
import { decodeLinuxSll, decodeLinuxSll2 } from './layers/linux-cooked.ts'
import { decodeLoopback } from './layers/loopback.ts'
import { decodePpp } from './layers/ppp.ts'
import { decodePppoeSession } from './layers/pppoe.ts'
import { decodeRawIp } from './layers/raw-ip.ts'
import {
  LINK_C_HDLC,
  LINK_ETHERNET,
  LINK_IPV4,
  LINK_IPV6,
  LINK_LINUX_SLL,
  LINK_LINUX_SLL2,
  LINK_LOOP,
  LINK_NULL,
  LINK_PPP,
  LINK_PPP_HDLC,
  LINK_PPPOE,
  LINK_RAW,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
} from './link-type.ts'
import type { Packet } from './packet.ts'

/**
 * Decodes the frame in bytes[offset, end) by `packet.linkType`. Contract: see Packet.
 */
export function decode(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  clearDecoded(packet)
  if (packet.linkType === LINK_ETHERNET) decodeEthernet(bytes, offset, end, packet)
  else decodeOtherLink(bytes, offset, end, packet)
}

function decodeOtherLink(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  switch (packet.linkType) {
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
      decodeRawIp(bytes, offset, end, packet)
      break
    case LINK_IPV4:
      decodeIpv4(bytes, offset, end, packet)
      break
    case LINK_IPV6:
      decodeIpv6(bytes, offset, end, packet)
      break
    case LINK_LINUX_SLL:
      decodeLinuxSll(bytes, offset, end, packet)
      break
    case LINK_LINUX_SLL2:
      decodeLinuxSll2(bytes, offset, end, packet)
      break
    case LINK_NULL:
    case LINK_LOOP:
      decodeLoopback(bytes, offset, end, packet)
      break
    case LINK_PPP:
      decodePpp(bytes, offset, end, packet)
      break
    case LINK_PPP_HDLC:
      decodePppHdlc(bytes, offset, end, packet)
      break
    case LINK_PPPOE:
      decodePppoeSession(bytes, offset, end, packet)
      break
    case LINK_C_HDLC:
      decodeCiscoHdlc(bytes, offset, end, packet)
      break
    default:
      packet.drop = DROP_LINK_TYPE_UNSUPPORTED
  }
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
