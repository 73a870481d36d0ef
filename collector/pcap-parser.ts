import { CAPTURED_LENGTH_MAX, type CaptureParser } from './capture-parser.ts'
import type { CaptureError } from './capture-result.ts'
import { decode } from './decode.ts'
import { isLinkTypeSupported, LINK_ETHERNET } from './link-type.ts'
import type { Framing, OnPacket, Packet, RecordShortcut } from './packet.ts'
import { be32, le32 } from './word.ts'

/** Classic pcap, as draft-ietf-opsawg-pcap describes it. */

export const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
/** Alexey Kuznetzov's variant has interface, protocol and packet type behind each record header. */
const MODIFIED_RECORD_HEADER_BYTES = 24
const VERSION_MAJOR = 2
/** Before 2.3 the two lengths of a record stood the other way round; 2.3 was written in both ways. */
export const VERSION_MINOR_SWAPPED = 3
/** Bits of the link type field that must be zero; above them stands the length of the frame check sequence. */
const LINK_TYPE_RESERVED = 0x03ff_0000
const NANOSECONDS = 1_000_000_000

interface Magic {
  readonly isLittleEndian: boolean
  readonly nanosecondsPerTick: number
  readonly recordHeaderBytes: number
}

function magicOf(bytes: Uint8Array, offset: number): Magic | null {
  const big = be32(bytes, offset)
  const little = le32(bytes, offset)
  for (const [magic, nanosecondsPerTick, recordHeaderBytes] of MAGICS) {
    if (big === magic || little === magic)
      return { isLittleEndian: little === magic, nanosecondsPerTick, recordHeaderBytes }
  }
  return null
}

const MAGICS: readonly (readonly [number, number, number])[] = [
  [0xa1b2c3d4, 1000, RECORD_HEADER_BYTES],
  [0xa1b23c4d, 1, RECORD_HEADER_BYTES],
  [0xa1b2cd34, 1000, MODIFIED_RECORD_HEADER_BYTES],
]

/** True when the four bytes at the offset begin a classic pcap. */
export function isPcapMagic(bytes: Uint8Array, offset: number): boolean {
  return magicOf(bytes, offset) !== null
}

/** What the file header says. */
export interface PcapHeader extends Magic {
  readonly linkType: number
  readonly versionMinor: number
  /** Why nothing behind it can be read; null when it can. */
  readonly error: CaptureError | null
}

/** @returns null when the 24 bytes from the offset on are not a header */
export function readPcapHeader(bytes: Uint8Array, at: number): PcapHeader | null {
  const magic = magicOf(bytes, at)
  if (magic === null) return null
  const read32 = magic.isLittleEndian ? le32 : be32
  const version = read32(bytes, at + 4)
  const major = magic.isLittleEndian ? version & 0xffff : version >>> 16
  const versionMinor = magic.isLittleEndian ? version >>> 16 : version & 0xffff
  const link = read32(bytes, at + 20)
  return { ...magic, linkType: link & 0xffff, versionMinor, error: headerError(major, versionMinor, link) }
}

function headerError(major: number, minor: number, link: number): CaptureError | null {
  if (major !== VERSION_MAJOR) {
    const message = `file header: pcap version ${major}.${minor} is not defined, 2.4 is`
    return { code: 'CAPTURE_VERSION_UNSUPPORTED', message, offset: 4 }
  }
  if ((link & LINK_TYPE_RESERVED) === 0) return null
  const message = `file header: link type field 0x${link.toString(16)} has reserved bits set`
  return { code: 'CAPTURE_HEADER_INVALID', message, offset: 20 }
}

export class PcapParser implements CaptureParser {
  readonly format = 'pcap'
  readonly linkTypes: number[] = []
  readonly interfaceDrops = null
  readonly warning = null
  packetsRead = 0
  error: CaptureError | null = null
  private readonly packet: Packet
  private readonly onPacket: OnPacket
  private readonly shortcut: RecordShortcut | null
  /** Null when the records are not ones that a shortcut may read. */
  private framing: Framing | null = null
  /** Content offset of the next byte that was not consumed. */
  private position = 0
  private isLittleEndian = true
  private nanosecondsPerTick = 1000
  private recordHeaderBytes = RECORD_HEADER_BYTES
  private linkType = -1
  private versionMinor = 4

  constructor(packet: Packet, onPacket: OnPacket, shortcut: RecordShortcut | null = null) {
    this.packet = packet
    this.onPacket = onPacket
    this.shortcut = shortcut
  }

  get packetsOfUnsupportedLink(): number {
    return isLinkTypeSupported(this.linkType) ? 0 : this.packetsRead
  }

  feed(bytes: Uint8Array, offset: number, end: number): number {
    if (this.error) return end
    let at = offset
    if (this.linkTypes.length === 0) {
      if (end - offset < FILE_HEADER_BYTES) return offset
      this.readFileHeader(bytes, offset)
      at += FILE_HEADER_BYTES
      this.position += FILE_HEADER_BYTES
    }
    if (this.error) return at
    const next = this.readRecords(bytes, at, end)
    this.position += next - at
    return next
  }

  finish(bytesLeft: number): CaptureError | null {
    if (this.error) return this.error
    if (this.linkTypes.length === 0) {
      const message = `file header: ends after ${bytesLeft} of ${FILE_HEADER_BYTES} bytes`
      return { code: 'CAPTURE_TRUNCATED', message, offset: this.position + bytesLeft }
    }
    if (bytesLeft === 0) return null
    const message = `record ${this.packetsRead + 1} at byte ${this.position}: the capture ends ${bytesLeft} bytes into it; all packets before it were read`
    return { code: 'CAPTURE_TRUNCATED', message, offset: this.position + bytesLeft }
  }

  /** Goes on at another record: `position` is its place in the content, `packetsRead` how many are before it. */
  skipTo(position: number, packetsRead: number): void {
    this.position = position
    this.packetsRead = packetsRead
  }

  private readFileHeader(bytes: Uint8Array, at: number): void {
    const header = readPcapHeader(bytes, at)!
    const { isLittleEndian, nanosecondsPerTick, recordHeaderBytes, linkType, versionMinor } = header
    this.isLittleEndian = isLittleEndian
    this.nanosecondsPerTick = nanosecondsPerTick
    this.recordHeaderBytes = recordHeaderBytes
    this.versionMinor = versionMinor
    this.linkType = linkType
    this.linkTypes.push(linkType)
    this.error = header.error
    const isPlain = isLittleEndian && recordHeaderBytes === RECORD_HEADER_BYTES
    if (isPlain && versionMinor > VERSION_MINOR_SWAPPED && linkType === LINK_ETHERNET) {
      this.framing = { isPcapng: false, ticksPerSecond: NANOSECONDS / nanosecondsPerTick, interfaceId: 0 }
    }
  }

  private readRecords(bytes: Uint8Array, start: number, end: number): number {
    const { packet, onPacket, isLittleEndian, nanosecondsPerTick, recordHeaderBytes, versionMinor } = this
    let index = this.packetsRead
    let at = start
    packet.linkType = this.linkType
    const { shortcut, framing } = this
    // One load a word instead of four of a byte each.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (;;) {
      if (shortcut !== null && framing !== null) {
        const before = shortcut.packets
        at = shortcut.count(bytes, view, at, end, framing)
        index += shortcut.packets - before
      }
      if (end - at < recordHeaderBytes) break
      const seconds = view.getUint32(at, isLittleEndian)
      const ticks = view.getUint32(at + 4, isLittleEndian)
      let captured = view.getUint32(at + 8, isLittleEndian)
      let original = view.getUint32(at + 12, isLittleEndian)
      if (versionMinor <= VERSION_MINOR_SWAPPED && (versionMinor < VERSION_MINOR_SWAPPED || captured > original)) {
        const swapped = captured
        captured = original
        original = swapped
      }
      if (captured > CAPTURED_LENGTH_MAX) {
        this.packetsRead = index
        this.error = recordTooLong(index + 1, this.position + at - start, captured)
        return at
      }
      const frame = at + recordHeaderBytes
      if (captured > end - frame) break
      if (captured === 0 && original === 0) {
        this.error = emptyRecordError(bytes, at, index + 1, this.position + at - start)
        if (this.error !== null) {
          this.packetsRead = index
          return at
        }
      }
      index++
      const nanoseconds = ticks * nanosecondsPerTick
      // Broken writers leave a fraction of a second or more here; time is the sum of both fields.
      const carry = nanoseconds < NANOSECONDS ? 0 : Math.floor(nanoseconds / NANOSECONDS)
      at = frame + captured
      packet.index = index
      packet.seconds = seconds + carry
      packet.nanoseconds = nanoseconds - carry * NANOSECONDS
      packet.capturedLength = captured
      packet.originalLength = original
      decode(bytes, frame, at, packet)
      onPacket(packet)
    }
    this.packetsRead = index
    return at
  }
}

function recordTooLong(index: number, offset: number, captured: number): CaptureError {
  const message = `record ${index} at byte ${offset}: captured length ${captured} is more than ${CAPTURED_LENGTH_MAX}; the capture is damaged from there on`
  return { code: 'CAPTURE_RECORD_INVALID', message, offset }
}

/**
 * What else than a packet of no bytes can have two lengths of zero: a file header, whose time zone and accuracy stand
 * there, and zero bytes of a disk that lost what was written last.
 */
export function emptyRecordError(bytes: Uint8Array, at: number, index: number, offset: number): CaptureError | null {
  const place = `record ${index} at byte ${offset}`
  if (isPcapMagic(bytes, at)) {
    const message = `${place}: a second pcap file header stands there, so captures were put one behind the other; give them one by one, or join them with \`mergecap -a\``
    return { code: 'CAPTURE_CONCATENATED', message, offset }
  }
  if (le32(bytes, at) !== 0 || le32(bytes, at + 4) !== 0) return null
  const message = `${place}: nothing but zero bytes, as a crash or a full disk leaves them; the capture is damaged from there on`
  return { code: 'CAPTURE_RECORD_INVALID', message, offset }
}
