/** LINKTYPE values (tcpdump.org/linktypes.html) that are decoded, and names for messages about the others. */

export const LINK_NULL = 0
export const LINK_ETHERNET = 1
export const LINK_PPP = 9
export const LINK_RAW_BSD = 12
export const LINK_RAW_OPENBSD = 14
export const LINK_PPP_HDLC = 50
export const LINK_PPPOE = 51
export const LINK_RAW = 101
export const LINK_C_HDLC = 104
export const LINK_LOOP = 108
export const LINK_LINUX_SLL = 113
export const LINK_IPV4 = 228
export const LINK_IPV6 = 229
export const LINK_LINUX_SLL2 = 276

const SUPPORTED: ReadonlySet<number> = new Set([
  LINK_NULL,
  LINK_ETHERNET,
  LINK_PPP,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
  LINK_PPP_HDLC,
  LINK_PPPOE,
  LINK_RAW,
  LINK_C_HDLC,
  LINK_LOOP,
  LINK_LINUX_SLL,
  LINK_IPV4,
  LINK_IPV6,
  LINK_LINUX_SLL2,
])

const NAMES: Readonly<Record<number, string>> = {
  [LINK_NULL]: 'null',
  [LINK_ETHERNET]: 'ethernet',
  6: 'token ring',
  7: 'arcnet',
  8: 'slip',
  [LINK_PPP]: 'ppp',
  10: 'fddi',
  [LINK_RAW_BSD]: 'raw ip',
  [LINK_RAW_OPENBSD]: 'raw ip',
  [LINK_PPP_HDLC]: 'ppp in hdlc framing',
  [LINK_PPPOE]: 'pppoe',
  [LINK_RAW]: 'raw ip',
  [LINK_C_HDLC]: 'cisco hdlc',
  105: '802.11',
  107: 'frame relay',
  [LINK_LOOP]: 'openbsd loopback',
  [LINK_LINUX_SLL]: 'linux cooked',
  119: '802.11 prism',
  127: '802.11 radiotap',
  147: 'private use',
  187: 'bluetooth hci',
  189: 'usb linux',
  192: 'ppi',
  195: '802.15.4',
  [LINK_IPV4]: 'raw ipv4',
  [LINK_IPV6]: 'raw ipv6',
  239: 'nflog',
  253: 'netlink',
  271: 'vsock',
  [LINK_LINUX_SLL2]: 'linux cooked v2',
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
