import { big, concat, hex } from './frame-builder.ts'

/** Captures for tests, byte by byte. */

type Endian = 'little' | 'big'

/** A number of so many bytes in the byte order. */
export function number(value: number | bigint, byteCount: number, endian: Endian): Uint8Array {
  const bytes = big(value, byteCount)
  return endian === 'big' ? bytes : bytes.reverse()
}

export interface PcapOptions {
  readonly endian?: Endian
  readonly magic?: number
  readonly linkType?: number
  readonly versionMajor?: number
  readonly versionMinor?: number
}

export interface PcapRecord {
  readonly frame: Uint8Array
  readonly seconds?: number
  /** Microseconds or nanoseconds, as the magic says. */
  readonly fraction?: number
  readonly capturedLength?: number
  readonly originalLength?: number
  /** Behind the header, for Kuznetzov's variant. */
  readonly extra?: Uint8Array
}

export const MAGIC_MICROSECONDS = 0xa1b2c3d4
export const MAGIC_NANOSECONDS = 0xa1b23c4d

export function pcap(records: readonly PcapRecord[], options: PcapOptions = {}): Uint8Array {
  const endian = options.endian ?? 'little'
  return concat(
    number(options.magic ?? MAGIC_MICROSECONDS, 4, endian),
    number(options.versionMajor ?? 2, 2, endian),
    number(options.versionMinor ?? 4, 2, endian),
    number(0, 8, endian),
    number(65_535, 4, endian),
    number(options.linkType ?? 1, 4, endian),
    ...records.map(record => pcapRecord(record, endian)),
  )
}

export function pcapRecord(record: PcapRecord, endian: Endian = 'little'): Uint8Array {
  return concat(
    number(record.seconds ?? 1_763_800_000, 4, endian),
    number(record.fraction ?? 0, 4, endian),
    number(record.capturedLength ?? record.frame.length, 4, endian),
    number(record.originalLength ?? record.frame.length, 4, endian),
    record.extra ?? new Uint8Array(0),
    record.frame,
  )
}

function padded(bytes: Uint8Array): Uint8Array {
  return concat(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4))
}

/** A pcapng block; the body is padded. */
export function block(type: number, body: Uint8Array, endian: Endian = 'little'): Uint8Array {
  const content = padded(body)
  const length = number(content.length + 12, 4, endian)
  return concat(number(type, 4, endian), length, content, length)
}

export function option(code: number, value: Uint8Array, endian: Endian = 'little'): Uint8Array {
  return concat(number(code, 2, endian), number(value.length, 2, endian), padded(value))
}

export function sectionHeader(endian: Endian = 'little', versionMajor = 1, versionMinor = 0): Uint8Array {
  const version = concat(number(versionMajor, 2, endian), number(versionMinor, 2, endian))
  return block(0x0a0d0d0a, concat(number(0x1a2b3c4d, 4, endian), version, hex('ffffffffffffffff')), endian)
}

export interface InterfaceOptions {
  readonly linkType?: number
  readonly snapLength?: number
  /** The if_tsresol byte. */
  readonly resolution?: number
  readonly offsetSeconds?: number
}

export function interfaceDescription(options: InterfaceOptions = {}, endian: Endian = 'little'): Uint8Array {
  const { resolution, offsetSeconds } = options
  return block(
    1,
    concat(
      number(options.linkType ?? 1, 2, endian),
      hex('0000'),
      number(options.snapLength ?? 0, 4, endian),
      resolution === undefined ? hex('') : option(9, Uint8Array.of(resolution), endian),
      offsetSeconds === undefined ? hex('') : option(14, number(offsetSeconds, 8, endian), endian),
      option(0, hex(''), endian),
    ),
    endian,
  )
}

export interface NgPacket {
  readonly frame: Uint8Array
  /** In ticks of the interface. */
  readonly timestamp?: bigint
  readonly interfaceId?: number
  readonly capturedLength?: number
  readonly originalLength?: number
}

const DEFAULT_TIMESTAMP = 1_763_800_000_000_000n

export function enhancedPacket(packet: NgPacket, endian: Endian = 'little'): Uint8Array {
  return block(6, concat(number(packet.interfaceId ?? 0, 4, endian), packetBody(packet, endian)), endian)
}

export function obsoletePacket(packet: NgPacket, endian: Endian = 'little'): Uint8Array {
  const head = concat(number(packet.interfaceId ?? 0, 2, endian), hex('0000'))
  return block(2, concat(head, packetBody(packet, endian)), endian)
}

function packetBody(packet: NgPacket, endian: Endian): Uint8Array {
  const timestamp = packet.timestamp ?? DEFAULT_TIMESTAMP
  return concat(
    number(timestamp >> 32n, 4, endian),
    number(timestamp & 0xffff_ffffn, 4, endian),
    number(packet.capturedLength ?? packet.frame.length, 4, endian),
    number(packet.originalLength ?? packet.frame.length, 4, endian),
    packet.frame,
  )
}

export function simplePacket(frame: Uint8Array, originalLength = frame.length, endian: Endian = 'little'): Uint8Array {
  return block(3, concat(number(originalLength, 4, endian), frame), endian)
}

/** Interface statistics with the count of packets that the interface dropped. */
export function interfaceStatistics(interfaceId: number, drops: number, endian: Endian = 'little'): Uint8Array {
  const body = concat(number(interfaceId, 4, endian), number(0, 8, endian), option(5, number(drops, 8, endian), endian))
  return block(5, body, endian)
}
