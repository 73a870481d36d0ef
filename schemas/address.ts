import { TelescopeError } from './errors.ts'

/**
 * IP addresses and prefixes. Everywhere outside hot loops an address is a 128-bit bigint; IPv4 is IPv4-mapped
 * (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2), so that one pair of columns holds both families.
 */

const IPV4_MAPPED_BASE = 0xffff_0000_0000n
const IPV4_MAPPED_LAST = 0xffff_ffff_ffffn
const ADDRESS_LAST = (1n << 128n) - 1n

/** True for an IPv4-mapped value. */
export function isIpv4(address: bigint): boolean {
  return address >= IPV4_MAPPED_BASE && address <= IPV4_MAPPED_LAST
}

/** An IPv4 address in host byte order as its 128-bit mapped value. */
export function ipv4ToAddress(value: number): bigint {
  return IPV4_MAPPED_BASE | BigInt(value >>> 0)
}

/** The upper and lower 64 bits, as the two columns of an address hold them. */
export function splitAddress(address: bigint): { high: bigint; low: bigint } {
  return { high: address >> 64n, low: address & 0xffff_ffff_ffff_ffffn }
}

export function joinAddress(high: bigint, low: bigint): bigint {
  return (high << 64n) | low
}

/** Text of an IPv4 address in host byte order: dotted decimal. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

/** Text of an address: dotted decimal, or RFC 5952 for IPv6. */
export function formatAddress(address: bigint): string {
  if (isIpv4(address)) return formatIpv4(Number(address & 0xffff_ffffn))
  const groups: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((address >> shift) & 0xffffn))
  return formatIpv6Groups(groups)
}

/**
 * RFC 5952 text of eight 16-bit groups: the longest run of two or more zero groups becomes `::` (the first of equals).
 * A mapped or translated IPv4 address is written in mixed notation (section 5), as everyone's tools do.
 */
export function formatIpv6Groups(groups: ArrayLike<number>): string {
  let bestStart = -1
  let bestLength = 1
  for (let start = 0; start < 8; ) {
    let end = start
    while (end < 8 && groups[end] === 0) end++
    if (end - start > bestLength) {
      bestStart = start
      bestLength = end - start
    }
    start = end + 1
  }
  let text = ''
  for (let index = 0; index < 8; index++) {
    if (index === bestStart) {
      text += '::'
      index += bestLength - 1
      continue
    }
    if (text !== '' && !text.endsWith(':')) text += ':'
    text += groups[index]!.toString(16)
  }
  return text
}

/**
 * Reads an address in any usual text form.
 * @throws ADDRESS_INVALID
 */
export function parseAddress(text: string): bigint {
  const address = text.includes(':') ? parseIpv6(text) : parseIpv4(text)
  if (address === null) {
    throw new TelescopeError('ADDRESS_INVALID', `address "${text}" is neither IPv4 nor IPv6`, { address: text })
  }
  return address
}

function parseIpv4(text: string): bigint | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  let value = 0
  for (const part of parts) {
    // A leading zero is refused because some readers take it for octal.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null
    value = value * 256 + Number(part)
  }
  return ipv4ToAddress(value)
}

function parseIpv6(text: string): bigint | null {
  let source = text
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  if (dotted) {
    const tail = parseIpv4(dotted[2]!)
    if (tail === null) return null
    const low = Number(tail & 0xffff_ffffn)
    source = `${dotted[1]}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`
  }
  const halves = source.split('::')
  if (halves.length > 2) return null
  const head = splitGroups(halves[0]!)
  const tail = halves.length === 2 ? splitGroups(halves[1]!) : []
  if (head === null || tail === null) return null
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null
  let address = 0n
  for (const group of [...head, ...new Array<number>(missing).fill(0), ...tail])
    address = (address << 16n) | BigInt(group)
  return address
}

function splitGroups(text: string): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  for (const part of text.split(':')) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null
    groups.push(Number.parseInt(part, 16))
  }
  return groups
}

/** A CIDR prefix; `first` has no host bits, `length` counts from the left of 128 (IPv4 /24 is 120). */
export interface Prefix {
  readonly first: bigint
  readonly last: bigint
  readonly length: number
}

/**
 * Reads `192.0.2.0/24` or `2001:db8::/64`; an address alone is the prefix of one address.
 * @throws ADDRESS_INVALID, also when bits after the prefix length are set (a common slip that hides a typing error)
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  const bits = isIpv4(address) && !text.includes(':') ? 32 : 128
  const lengthText = slash < 0 ? String(bits) : text.slice(slash + 1)
  const length = Number(lengthText)
  if (!/^\d{1,3}$/.test(lengthText) || length > bits) {
    throw new TelescopeError('ADDRESS_INVALID', `prefix "${text}": length must be 0 to ${bits}`, { prefix: text })
  }
  const hostBits = BigInt(bits - length)
  const last = address | ((1n << hostBits) - 1n)
  const first = last & (ADDRESS_LAST ^ ((1n << hostBits) - 1n))
  if (first !== address) {
    throw new TelescopeError(
      'ADDRESS_INVALID',
      `prefix "${text}" has host bits set; did you mean ${formatAddress(first)}/${length}?`,
      {
        prefix: text,
      },
    )
  }
  return { first, last, length: 128 - Number(hostBits) }
}

/** `192.0.2.0/24`, `2001:db8::/64`. */
export function formatPrefix(prefix: Prefix): string {
  const ipv4 = isIpv4(prefix.first) && prefix.length >= 96
  return `${formatAddress(prefix.first)}/${ipv4 ? prefix.length - 96 : prefix.length}`
}

/**
 * Reads a telescope: prefixes separated by commas.
 * @returns the prefixes in address order
 * @throws ADDRESS_INVALID, PREFIX_OVERLAPS
 */
export function parseTelescope(text: string): Prefix[] {
  const prefixes = text
    .split(',')
    .map(part => parsePrefix(part.trim()))
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  for (let index = 1; index < prefixes.length; index++) {
    if (prefixes[index]!.first <= prefixes[index - 1]!.last) {
      throw new TelescopeError(
        'PREFIX_OVERLAPS',
        `telescope "${text}": ${formatPrefix(prefixes[index]!)} is named twice`,
      )
    }
  }
  return prefixes
}

/** True when two lists of prefixes share an address. */
export function prefixesOverlap(a: readonly Prefix[], b: readonly Prefix[]): boolean {
  return a.some(x => b.some(y => x.first <= y.last && y.first <= x.last))
}

/** IPv4 addresses of a telescope; IPv6 takes no part in exposure. */
export function countIpv4Addresses(prefixes: readonly Prefix[]): number {
  let count = 0n
  for (const prefix of prefixes)
    if (isIpv4(prefix.first) && prefix.length >= 96) count += prefix.last - prefix.first + 1n
  return Number(count)
}
