import { parseAddress } from '../../schemas/address.ts'

/** Frames for tests, byte by byte. What is not given is a plain, valid default; checksums are left zero. */

/** Bytes of hexadecimal text; spaces and line breaks are only for reading. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '')
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error(`not hexadecimal: ${text}`)
  return Uint8Array.from(digits.match(/../g) ?? [], byte => Number.parseInt(byte, 16))
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** A big-endian number of so many bytes. */
export function big(value: number | bigint, byteCount: number): Uint8Array {
  return hex(
    BigInt.asUintN(byteCount * 8, BigInt(value))
      .toString(16)
      .padStart(byteCount * 2, '0'),
  )
}

export function ethernet(type: number, payload: Uint8Array): Uint8Array {
  return concat(hex('020000000002 020000000001'), big(type, 2), payload)
}

export interface Ipv4Fields {
  readonly src?: string
  readonly dst?: string
  readonly protocol?: number
  readonly ttl?: number
  readonly id?: number
  /** Flags and offset as the 16-bit field. */
  readonly fragment?: number
  readonly options?: Uint8Array
  /** Default: what fits. */
  readonly totalLength?: number
  /** Default: what fits the options. */
  readonly headerWords?: number
  readonly version?: number
}

export function ipv4(fields: Ipv4Fields, payload: Uint8Array): Uint8Array {
  const options = fields.options ?? new Uint8Array(0)
  const headerWords = fields.headerWords ?? 5 + options.length / 4
  const totalLength = fields.totalLength ?? 20 + options.length + payload.length
  return concat(
    big((fields.version ?? 4) * 16 + headerWords, 1),
    hex('00'),
    big(totalLength, 2),
    big(fields.id ?? 4660, 2),
    big(fields.fragment ?? 0, 2),
    big(fields.ttl ?? 64, 1),
    big(fields.protocol ?? 6, 1),
    hex('0000'),
    big(parseAddress(fields.src ?? '198.51.100.7') & 0xffff_ffffn, 4),
    big(parseAddress(fields.dst ?? '203.0.113.9') & 0xffff_ffffn, 4),
    options,
    payload,
  )
}

export interface Ipv6Fields {
  readonly src?: string
  readonly dst?: string
  readonly next?: number
  readonly hopLimit?: number
  /** Default: what fits. */
  readonly payloadLength?: number
}

export function ipv6(fields: Ipv6Fields, payload: Uint8Array): Uint8Array {
  return concat(
    hex('60000000'),
    big(fields.payloadLength ?? payload.length, 2),
    big(fields.next ?? 6, 1),
    big(fields.hopLimit ?? 64, 1),
    big(parseAddress(fields.src ?? '2001:db8::7'), 16),
    big(parseAddress(fields.dst ?? '2001:db8:1::9'), 16),
    payload,
  )
}

export interface TcpFields {
  readonly srcPort?: number
  readonly dstPort?: number
  readonly seq?: number
  readonly ack?: number
  readonly flags?: number
  readonly window?: number
  /** A multiple of 4 bytes. */
  readonly options?: Uint8Array
  /** Default: what fits the options. */
  readonly headerWords?: number
}

export function tcp(fields: TcpFields = {}): Uint8Array {
  const options = fields.options ?? new Uint8Array(0)
  return concat(
    big(fields.srcPort ?? 40000, 2),
    big(fields.dstPort ?? 23, 2),
    big(fields.seq ?? 0x01020304, 4),
    big(fields.ack ?? 0, 4),
    big((fields.headerWords ?? 5 + options.length / 4) * 4096 + (fields.flags ?? 2), 2),
    big(fields.window ?? 1024, 2),
    big(0, 4),
    options,
  )
}

export function udp(srcPort: number, dstPort: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  return concat(big(srcPort, 2), big(dstPort, 2), big(8 + payload.length, 2), hex('0000'), payload)
}

/** ICMP and ICMPv6 begin in the same way. */
export function icmp(type: number, code: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return concat(big(type, 1), big(code, 1), hex('0000 00000000'), body)
}

/** A little-endian number of so many bytes. */
export function little(value: number, byteCount: number): Uint8Array {
  return big(value, byteCount).reverse()
}

/** The one's complement sum over all bytes (RFC 1071), as it stands in a header whose checksum field is zero. */
function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (const [at, byte] of bytes.entries()) sum += at % 2 === 0 ? byte * 256 : byte
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000)
  return ~sum & 0xffff
}

function withBytes(bytes: Uint8Array, at: number, value: Uint8Array): Uint8Array {
  const changed = bytes.slice()
  changed.set(value, at)
  return changed
}

const CHECKSUM_AT: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6, 58: 2 }

/** The same IP packet without extension headers, its checksums right: of IPv4, and of what it carries where we know. */
export function withChecksums(packet: Uint8Array): Uint8Array {
  const isV4 = packet[0]! >> 4 === 4
  const headerBytes = isV4 ? 20 : 40
  const protocol = packet[isV4 ? 9 : 6]!
  const addresses = packet.slice(isV4 ? 12 : 8, headerBytes)
  const payload = packet.slice(headerBytes)
  const pseudo = protocol === 1 ? hex('') : concat(addresses, big(payload.length, 4), big(protocol, 4))
  const at = CHECKSUM_AT[protocol]
  const sum = big(checksum(concat(pseudo, payload)), 2)
  const whole = at === undefined ? packet : withBytes(packet, headerBytes + at, sum)
  return isV4 ? withBytes(whole, 10, big(checksum(whole.slice(0, 20)), 2)) : whole
}

/** IEEE 802.11 data frame from an access point (from DS) with LLC and SNAP in front of the payload. */
export function ieee80211(ethertype: number, payload: Uint8Array): Uint8Array {
  const addresses = hex('020000000002 020000000003 020000000001')
  return concat(hex('0802 0000'), addresses, hex('1000'), snap(ethertype), payload)
}

/** LLC and SNAP header (RFC 1042). */
export function snap(ethertype: number): Uint8Array {
  return concat(hex('aaaa03 000000'), big(ethertype, 2))
}
