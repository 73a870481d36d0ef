import { decodeLlc } from './layers/ethertype.ts'
import { decodeFddi } from './layers/fddi.ts'
import { decodeFrameRelay } from './layers/frame-relay.ts'
import { decodeCiscoHdlc, decodePppHdlc } from './layers/hdlc.ts'
import { decodePlainIeee80211 } from './layers/ieee80211.ts'
import { decodeIpnet } from './layers/ipnet.ts'
import { decodeIpoib } from './layers/ipoib.ts'
import { decodeIpv4 } from './layers/ipv4.ts'
import { decodeIpv6 } from './layers/ipv6.ts'
import { decodeLinuxSll, decodeLinuxSll2 } from './layers/linux-cooked.ts'
import { decodeLoopback } from './layers/loopback.ts'
import { decodeMpls } from './layers/mpls.ts'
import { decodeNflog } from './layers/nflog.ts'
import { decodePflog } from './layers/pflog.ts'
import { decodePktap } from './layers/pktap.ts'
import { decodePpi } from './layers/ppi.ts'
import { decodePpp, decodePppPppd, decodePppWithDirection } from './layers/ppp.ts'
import { decodePppoeSession } from './layers/pppoe.ts'
import { decodeAvs, decodePrism } from './layers/prism.ts'
import { decodeRadiotap } from './layers/radiotap.ts'
import { decodeRawIp } from './layers/raw-ip.ts'
import { decodeSlip } from './layers/slip.ts'
import { decodeInnerSwitchTag, decodePrependedSwitchTag, decodeTypedSwitchTag } from './layers/switch-tag.ts'
import { decodeTokenRing } from './layers/token-ring.ts'
import {
  LINK_ATM_RFC1483,
  LINK_AVS,
  LINK_BROADCOM_TAG,
  LINK_BROADCOM_TAG_PREPENDED,
  LINK_C_HDLC,
  LINK_FDDI,
  LINK_FRAME_RELAY,
  LINK_IEEE80211,
  LINK_IPNET,
  LINK_IPOIB,
  LINK_IPV4,
  LINK_IPV6,
  LINK_LINUX_SLL,
  LINK_LINUX_SLL2,
  LINK_LOOP,
  LINK_MARVELL_TAG,
  LINK_MARVELL_TAG_TYPED,
  LINK_MPLS,
  LINK_NFLOG,
  LINK_NULL,
  LINK_PFLOG,
  LINK_PKTAP,
  LINK_PPI,
  LINK_PPP,
  LINK_PPP_HDLC,
  LINK_PPP_PPPD,
  LINK_PPP_WITH_DIRECTION,
  LINK_PPPOE,
  LINK_PRISM,
  LINK_RADIOTAP,
  LINK_RAW,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
  LINK_SLIP,
  LINK_TOKEN_RING,
} from './link-type.ts'
import type { Packet } from './packet.ts'

/** Decodes a frame in bytes[offset, end) whose link type it knows. Contract: see Packet. */
type LinkDecoder = (bytes: Uint8Array, offset: number, end: number, packet: Packet) => void

/** The link types that are read, but for Ethernet, which `decode` calls itself: a table costs more than a branch. */
export const LINK_DECODERS: ReadonlyMap<number, LinkDecoder> = new Map([
  [LINK_NULL, decodeLoopback],
  [LINK_TOKEN_RING, decodeTokenRing],
  [LINK_SLIP, decodeSlip],
  [LINK_PPP, decodePpp],
  [LINK_FDDI, decodeFddi],
  [LINK_RAW_BSD, decodeRawIp],
  [LINK_RAW_OPENBSD, decodeRawIp],
  [LINK_PPP_HDLC, decodePppHdlc],
  [LINK_PPPOE, decodePppoeSession],
  [LINK_ATM_RFC1483, decodeLlc],
  [LINK_RAW, decodeRawIp],
  [LINK_C_HDLC, decodeCiscoHdlc],
  [LINK_IEEE80211, decodePlainIeee80211],
  [LINK_FRAME_RELAY, decodeFrameRelay],
  [LINK_LOOP, decodeLoopback],
  [LINK_LINUX_SLL, decodeLinuxSll],
  [LINK_PFLOG, decodePflog],
  [LINK_PRISM, decodePrism],
  [LINK_RADIOTAP, decodeRadiotap],
  [LINK_AVS, decodeAvs],
  [LINK_PPP_PPPD, decodePppPppd],
  [LINK_PPI, decodePpi],
  [LINK_PPP_WITH_DIRECTION, decodePppWithDirection],
  [LINK_MPLS, decodeMpls],
  [LINK_IPNET, decodeIpnet],
  [LINK_IPV4, decodeIpv4],
  [LINK_IPV6, decodeIpv6],
  [LINK_NFLOG, decodeNflog],
  [LINK_IPOIB, decodeIpoib],
  [LINK_PKTAP, decodePktap],
  [LINK_LINUX_SLL2, decodeLinuxSll2],
  [LINK_BROADCOM_TAG, decodeInnerSwitchTag],
  [LINK_BROADCOM_TAG_PREPENDED, decodePrependedSwitchTag],
  [LINK_MARVELL_TAG, decodeInnerSwitchTag],
  [LINK_MARVELL_TAG_TYPED, decodeTypedSwitchTag],
])
