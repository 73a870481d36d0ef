import { CAPTURED_LENGTH_MAX, type CaptureParser } from './capture-parser.ts'
import type { CaptureError } from './capture-result.ts'
import { decode } from './decode.ts'
import { isLinkTypeSupported, LINK_ETHERNET, LINK_IPV4, LINK_IPV6 } from './link-type.ts'
import type { OnPacket, Packet } from './packet.ts'
import { be32 } from './word.ts'

/** snoop version 2 (RFC 1761), which Solaris and its kin record. All numbers are big-endian. */

/** `snoop` and three zero bytes. */
const MAGIC = [0x73, 0x6e, 0x6f, 0x6f, 0x70, 0, 0, 0]
const FILE_HEADER_BYTES = 16
const RECORD_HEADER_BYTES = 24
const VERSION = 2
/** RFC 1761 pads to four bytes, some writers to more; a record with more padding than this is damaged. */
const PADDING_BYTES_MAX = 65_536
const MICROSECONDS = 1_000_000

interface Datalink {
  readonly name: string
  /** Null where no LINKTYPE value stands for the same frames. */
  readonly linkType: number | null
}

/** Datalink types by number: RFC 1761, and the two of Solaris for packets that begin with their IP header. */
const DATALINKS: Readonly<Record<number, Datalink>> = {
  0: { name: 'IEEE 802.3', linkType: LINK_ETHERNET },
  1: { name: 'IEEE 802.4 token bus', linkType: null },
  2: { name: 'IEEE 802.5 token ring', linkType: 6 },
  3: { name: 'IEEE 802.6 metro net', linkType: null },
  4: { name: 'Ethernet', linkType: LINK_ETHERNET },
  5: { name: 'HDLC', linkType: null },
  6: { name: 'character synchronous', linkType: null },
  7: { name: 'IBM channel-to-channel', linkType: null },
  8: { name: 'FDDI', linkType: 10 },
  9: { name: 'other', linkType: null },
  2147483649: { name: 'IPv4', linkType: LINK_IPV4 },
  2147483650: { name: 'IPv6', linkType: LINK_IPV6 },
}

/** True when the bytes begin a snoop file. */
export function isSnoopMagic(bytes: Uint8Array, end: number): boolean {
  return end >= MAGIC.length && MAGIC.every((byte, at) => bytes[at] === byte)
}

export class SnoopParser implements CaptureParser {
  readonly format = 'snoop'
  readonly linkTypes: number[] = []
  readonly warning = null
  packetsRead = 0
  error: CaptureError | null = null
  /** The last running total that a record gave. */
  interfaceDrops: number | null = null
  private readonly packet: Packet
  private readonly onPacket: OnPacket
  /** Content offset of the next byte that was not consumed. */
  private position = 0
  private linkType = -1

  constructor(packet: Packet, onPacket: OnPacket) {
    this.packet = packet
    this.onPacket = onPacket
  }

  get packetsOfUnsupportedLink(): number {
    return isLinkTypeSupported(this.linkType) ? 0 : this.packetsRead
  }

  feed(bytes: Uint8Array, offset: number, end: number): number {
    let at = offset
    if (this.position === 0) {
      if (end - at < FILE_HEADER_BYTES) return at
      this.readFileHeader(bytes, at)
      at += FILE_HEADER_BYTES
      this.position = FILE_HEADER_BYTES
    }
    while (this.error === null && end - at >= RECORD_HEADER_BYTES) {
      const recordBytes = this.recordBytes(bytes, at)
      if (this.error !== null || recordBytes > end - at) break
      this.readRecord(bytes, at)
      at += recordBytes
      this.position += recordBytes
    }
    return at
  }

  finish(bytesLeft: number): CaptureError | null {
    if (this.error !== null) return this.error
    if (this.position === 0) {
      const message = `file header: ends after ${bytesLeft} of ${FILE_HEADER_BYTES} bytes`
      return { code: 'CAPTURE_TRUNCATED', message, offset: bytesLeft }
    }
    if (bytesLeft === 0) return null
    const message = `record ${this.packetsRead + 1} at byte ${this.position}: the capture ends ${bytesLeft} bytes into it; all packets before it were read`
    return { code: 'CAPTURE_TRUNCATED', message, offset: this.position + bytesLeft }
  }

  private readFileHeader(bytes: Uint8Array, at: number): void {
    const version = be32(bytes, at + 8)
    const number = be32(bytes, at + 12)
    const datalink = DATALINKS[number]
    if (version !== VERSION) {
      const message = `file header: snoop version ${version} is not defined, ${VERSION} is`
      this.error = { code: 'CAPTURE_VERSION_UNSUPPORTED', message, offset: 8 }
    } else if (datalink === undefined || datalink.linkType === null) {
      const name = datalink === undefined ? '' : ` (${datalink.name})`
      const message = `file header: snoop datalink type ${number}${name} is not supported; record on an Ethernet interface`
      this.error = { code: 'LINK_TYPE_UNSUPPORTED', message, offset: 12 }
    } else {
      this.linkType = datalink.linkType
      this.linkTypes.push(this.linkType)
    }
  }

  /** @returns bytes of the record with its header and padding; sets the error when they contradict the frame in it */
  private recordBytes(bytes: Uint8Array, at: number): number {
    const captured = be32(bytes, at + 4)
    const recordBytes = be32(bytes, at + 8)
    const padding = recordBytes - RECORD_HEADER_BYTES - captured
    if (captured > CAPTURED_LENGTH_MAX) {
      this.fail(`captured length ${captured} is more than ${CAPTURED_LENGTH_MAX}`)
    } else if (padding < 0 || padding > PADDING_BYTES_MAX) {
      this.fail(`record length ${recordBytes} does not fit a captured length of ${captured}`)
    }
    return recordBytes
  }

  private fail(what: string): void {
    const message = `record ${this.packetsRead + 1} at byte ${this.position}: ${what}; the capture is damaged from there on`
    this.error = { code: 'CAPTURE_RECORD_INVALID', message, offset: this.position }
  }

  private readRecord(bytes: Uint8Array, at: number): void {
    const { packet } = this
    const frame = at + RECORD_HEADER_BYTES
    const captured = be32(bytes, at + 4)
    const microseconds = be32(bytes, at + 20)
    // As in pcap, time is the sum of both fields, whatever a broken writer puts there.
    const carry = Math.floor(microseconds / MICROSECONDS)
    packet.index = ++this.packetsRead
    packet.linkType = this.linkType
    packet.originalLength = be32(bytes, at)
    packet.capturedLength = captured
    packet.seconds = be32(bytes, at + 16) + carry
    packet.nanoseconds = (microseconds - carry * MICROSECONDS) * 1000
    this.interfaceDrops = be32(bytes, at + 12)
    decode(bytes, frame, frame + captured, packet)
    this.onPacket(packet)
  }
}
