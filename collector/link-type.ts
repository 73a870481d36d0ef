/** LINKTYPE values (tcpdump.org/linktypes.html) that are decoded, and names for messages about the others. */

export const LINK_NULL = 0
export const LINK_ETHERNET = 1
export const LINK_TOKEN_RING = 6
export const LINK_SLIP = 8
export const LINK_PPP = 9
export const LINK_FDDI = 10
export const LINK_RAW_BSD = 12
export const LINK_RAW_OPENBSD = 14
export const LINK_PPP_HDLC = 50
export const LINK_PPPOE = 51
export const LINK_ATM_RFC1483 = 100
export const LINK_RAW = 101
export const LINK_C_HDLC = 104
export const LINK_IEEE80211 = 105
export const LINK_FRAME_RELAY = 107
export const LINK_LOOP = 108
export const LINK_LINUX_SLL = 113
export const LINK_PFLOG = 117
export const LINK_PRISM = 119
export const LINK_RADIOTAP = 127
export const LINK_AVS = 163
export const LINK_PPP_PPPD = 166
export const LINK_PPI = 192
export const LINK_PPP_WITH_DIRECTION = 204
export const LINK_MPLS = 219
export const LINK_IPNET = 226
export const LINK_IPV4 = 228
export const LINK_IPV6 = 229
export const LINK_NFLOG = 239
export const LINK_IPOIB = 242
export const LINK_PKTAP = 258
export const LINK_LINUX_SLL2 = 276
export const LINK_BROADCOM_TAG = 281
export const LINK_BROADCOM_TAG_PREPENDED = 282
export const LINK_MARVELL_TAG = 284
export const LINK_MARVELL_TAG_TYPED = 285

const SUPPORTED: ReadonlySet<number> = new Set([
  LINK_NULL,
  LINK_ETHERNET,
  LINK_TOKEN_RING,
  LINK_SLIP,
  LINK_PPP,
  LINK_FDDI,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
  LINK_PPP_HDLC,
  LINK_PPPOE,
  LINK_ATM_RFC1483,
  LINK_RAW,
  LINK_C_HDLC,
  LINK_IEEE80211,
  LINK_FRAME_RELAY,
  LINK_LOOP,
  LINK_LINUX_SLL,
  LINK_PFLOG,
  LINK_PRISM,
  LINK_RADIOTAP,
  LINK_AVS,
  LINK_PPP_PPPD,
  LINK_PPI,
  LINK_PPP_WITH_DIRECTION,
  LINK_MPLS,
  LINK_IPNET,
  LINK_IPV4,
  LINK_IPV6,
  LINK_NFLOG,
  LINK_IPOIB,
  LINK_PKTAP,
  LINK_LINUX_SLL2,
  LINK_BROADCOM_TAG,
  LINK_BROADCOM_TAG_PREPENDED,
  LINK_MARVELL_TAG,
  LINK_MARVELL_TAG_TYPED,
])

const NAMES: Readonly<Record<number, string>> = {
  [LINK_NULL]: 'null',
  [LINK_ETHERNET]: 'ethernet',
  [LINK_TOKEN_RING]: 'token ring',
  7: 'arcnet',
  [LINK_SLIP]: 'slip',
  [LINK_PPP]: 'ppp',
  [LINK_FDDI]: 'fddi',
  [LINK_RAW_BSD]: 'raw ip',
  [LINK_RAW_OPENBSD]: 'raw ip',
  [LINK_PPP_HDLC]: 'ppp in hdlc framing',
  [LINK_PPPOE]: 'pppoe',
  [LINK_ATM_RFC1483]: 'llc over atm',
  [LINK_RAW]: 'raw ip',
  [LINK_C_HDLC]: 'cisco hdlc',
  [LINK_IEEE80211]: '802.11',
  [LINK_FRAME_RELAY]: 'frame relay',
  [LINK_LOOP]: 'openbsd loopback',
  [LINK_LINUX_SLL]: 'linux cooked',
  [LINK_PFLOG]: 'pf log',
  [LINK_PRISM]: '802.11 prism',
  [LINK_RADIOTAP]: '802.11 radiotap',
  147: 'private use',
  [LINK_AVS]: '802.11 avs',
  [LINK_PPP_PPPD]: 'ppp of pppd',
  178: 'juniper ethernet',
  187: 'bluetooth hci',
  189: 'usb linux',
  [LINK_PPI]: 'ppi',
  195: '802.15.4',
  [LINK_PPP_WITH_DIRECTION]: 'ppp with direction',
  [LINK_MPLS]: 'mpls',
  [LINK_IPNET]: 'ipnet',
  [LINK_IPV4]: 'raw ipv4',
  [LINK_IPV6]: 'raw ipv6',
  230: '802.15.4 without fcs',
  [LINK_NFLOG]: 'nflog',
  [LINK_IPOIB]: 'ip over infiniband',
  253: 'netlink',
  [LINK_PKTAP]: 'pktap',
  271: 'vsock',
  274: 'ethernet mpacket',
  [LINK_LINUX_SLL2]: 'linux cooked v2',
  [LINK_BROADCOM_TAG]: 'broadcom switch tag',
  [LINK_BROADCOM_TAG_PREPENDED]: 'broadcom switch tag, prepended',
  [LINK_MARVELL_TAG]: 'marvell switch tag',
  [LINK_MARVELL_TAG_TYPED]: 'marvell switch tag with ethertype',
}

/** True when packets of this link type are decoded. */
export function isLinkTypeSupported(linkType: number): boolean {
  return SUPPORTED.has(linkType)
}

/** Name of a link type, null when it has none here. */
export function linkTypeName(linkType: number): string | null {
  return NAMES[linkType] ?? null
}

/** `113 (linux cooked)`, or the number alone. */
export function formatLinkType(linkType: number): string {
  const name = linkTypeName(linkType)
  return name === null ? String(linkType) : `${linkType} (${name})`
}
