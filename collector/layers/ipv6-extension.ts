/**
 * IPv6 extension headers (RFC 8200 section 4; IANA's list of them). ESP (50) is none that can be looked through: what
 * follows it is encrypted. Nor are 253 and 254, kept for experiments (RFC 4727): only those who make one know its form.
 */

export const HOP_BY_HOP = 0
export const ROUTING = 43
export const FRAGMENT = 44
const AUTHENTICATION = 51
export const DESTINATION_OPTIONS = 60
const MOBILITY = 135
const HIP = 139
const SHIM6 = 140
const OPTION_PAD1 = 0

/** Extension headers of one packet that are looked through; RFC 8504 section 5.3 lets a host stop far earlier. */
export const EXTENSION_HEADERS_MAX = 64
/** The shortest: next header and length, then what fills eight bytes. */
export const EXTENSION_BYTES_MIN = 8

/** True when a header of this number has a next header, and its length where `extensionBytes` looks for it. */
export function isExtension(next: number): boolean {
  switch (next) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
    case MOBILITY:
    case HIP:
    case SHIM6:
      return true
    default:
      return false
  }
}

/**
 * Length of the extension header at the offset, 8 bytes or more; the first two bytes of it must be there.
 * @param type the number that announced it
 */
export function extensionBytes(bytes: Uint8Array, offset: number, type: number): number {
  if (type === FRAGMENT) return EXTENSION_BYTES_MIN
  // RFC 4302 section 2.2: counted in 4-byte words, minus 2.
  if (type === AUTHENTICATION) return (bytes[offset + 1]! + 2) * 4
  return (bytes[offset + 1]! + 1) * 8
}

/**
 * An option among hop-by-hop or destination options (RFC 8200 section 4.2).
 * @param start first byte after next header and length
 * @returns offset of the value of the first one with this type and length, or -1
 */
export function findIpv6Option(bytes: Uint8Array, start: number, end: number, type: number, length: number): number {
  let offset = start
  while (offset < end) {
    if (bytes[offset] === OPTION_PAD1) {
      offset++
      continue
    }
    if (end - offset < 2) return -1
    const optionLength = bytes[offset + 1]!
    if (bytes[offset] === type && optionLength === length && end - offset >= 2 + length) return offset + 2
    offset += 2 + optionLength
  }
  return -1
}
