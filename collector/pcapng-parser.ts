import { CAPTURED_LENGTH_MAX, type CaptureParser, LINK_TYPES_TOLD_MAX } from './capture-parser.ts'
import type { CaptureError } from './capture-result.ts'
import { clearDecoded, decode } from './decode.ts'
import { DROP_INTERFACE_UNKNOWN, DROP_NONE, DROP_TIME_INVALID } from './drop.ts'
import { isLinkTypeSupported, LINK_ETHERNET } from './link-type.ts'
import type { Framing, OnPacket, Packet, RecordShortcut } from './packet.ts'
import { isTimeValid, PcapngClock } from './pcapng-time.ts'
import { be32, le32 } from './word.ts'

/**
 * pcapng, as draft-ietf-opsawg-pcapng describes it. Skipped by their length, because they hold neither packets nor what
 * is needed to read packets: name resolution (4), systemd journal (9), decryption secrets (10), custom blocks (0xBAD and
 * 0x40000BAD) and every type that is not known here.
 */

const SECTION_HEADER = 0x0a0d_0d0a
const INTERFACE_DESCRIPTION = 1
const PACKET_OBSOLETE = 2
const SIMPLE_PACKET = 3
const INTERFACE_STATISTICS = 5
const ENHANCED_PACKET = 6

/** Read as little-endian. */
const BYTE_ORDER_LITTLE = 0x1a2b_3c4d
const BYTE_ORDER_BIG = 0x4d3c_2b1a

/** Type, length, and the length again at the end. */
const BLOCK_OVERHEAD_BYTES = 12
const SECTION_HEADER_BYTES_MIN = 28
/** A larger block is refused: libpcap's limit. */
const BLOCK_BYTES_MAX = 16 * 1024 * 1024
/** Interfaces of one section; an obsolete packet block cannot name more. */
const INTERFACES_MAX = 65_536

const OPTION_IF_TSRESOL = 9
const OPTION_IF_TSOFFSET = 14
const OPTION_ISB_IFDROP = 5
const OPTION_ISB_OSDROP = 7
const OPTION_EPB_DROPCOUNT = 4
/** In the drop count of an obsolete packet block: not known. */
const DROPS_UNKNOWN = 0xffff
/** No machine counts this far, and sums of thousands of such counts are exact. */
const COUNT_MAX = 2n ** 40n
const RESOLUTION_MICROSECONDS = 6
const RESOLUTION_NANOSECONDS = 9

interface Interface {
  readonly linkType: number
  readonly snapLength: number
  readonly clock: PcapngClock
  /** Packets lost, by the last statistics block; null until one says so. */
  drops: number | null
  /** Null when its packets are not ones that a shortcut may read. */
  readonly framing: Framing | null
  /** Packets lost, by the sum over the packet blocks; null until one says so. */
  packetDrops: number | null
}

/** True when the four bytes at the offset begin a pcapng; the block type reads the same in both byte orders. */
export function isPcapngMagic(bytes: Uint8Array, offset: number): boolean {
  return le32(bytes, offset) === SECTION_HEADER
}

export class PcapngParser implements CaptureParser {
  readonly format = 'pcapng'
  readonly linkTypes: number[] = []
  packetsRead = 0
  packetsOfUnsupportedLink = 0
  error: CaptureError | null = null
  warning: CaptureError | null = null
  private readonly packet: Packet
  private readonly onPacket: OnPacket
  /** Content offset of the next byte that was not consumed. */
  private position = 0
  private isLittleEndian = true
  private interfaces: Interface[] = []
  private dropsOfEarlierSections: number | null = null
  /** Of the interface described last, and what it was made for. */
  private clock: PcapngClock | null = null
  private clockResolution = 0
  private clockOffsetSeconds = 0

  private readonly shortcut: RecordShortcut | null
  /** Of the interface of the packet before. */
  private framing: Framing | null = null

  constructor(packet: Packet, onPacket: OnPacket, shortcut: RecordShortcut | null = null) {
    this.packet = packet
    this.onPacket = onPacket
    this.shortcut = shortcut
  }

  get interfaceDrops(): number | null {
    return this.interfaces.reduce(
      // Both count the same packets, so only one of them counts.
      (sum, { drops, packetDrops }) => addDrops(sum, drops ?? packetDrops),
      this.dropsOfEarlierSections,
    )
  }

  feed(bytes: Uint8Array, offset: number, end: number): number {
    let at = offset
    // One load a word instead of four of a byte each.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    while (this.error === null) {
      if (this.shortcut !== null && this.framing !== null) {
        const before = this.shortcut.packets
        const next = this.shortcut.count(bytes, view, at, end, this.framing)
        this.packetsRead += this.shortcut.packets - before
        this.position += next - at
        at = next
      }
      if (end - at < BLOCK_OVERHEAD_BYTES) break
      const isSection = le32(bytes, at) === SECTION_HEADER
      if (isSection && !this.readByteOrder(bytes, at)) break
      const length = this.read32(bytes, at + 4)
      // Some writers leave the padding out of the length, so it is rounded up, as Wireshark does.
      const blockBytes = (length + 3) & ~3
      const lengthMin = isSection ? SECTION_HEADER_BYTES_MIN : BLOCK_OVERHEAD_BYTES
      if (length < lengthMin || length > BLOCK_BYTES_MAX) {
        this.fail('CAPTURE_RECORD_INVALID', `block length ${length} is not ${lengthMin} to ${BLOCK_BYTES_MAX}`)
        break
      }
      if (blockBytes > end - at) break
      const trailer = this.read32(bytes, at + blockBytes - 4)
      if (trailer !== length) {
        this.fail('CAPTURE_RECORD_INVALID', `block length ${length} at its start is ${trailer} at its end`)
        break
      }
      this.readBlock(bytes, at, at + blockBytes - 4)
      if (this.error !== null) break
      at += blockBytes
      this.position += blockBytes
    }
    return at
  }

  finish(bytesLeft: number): CaptureError | null {
    if (this.error !== null || bytesLeft === 0) return this.error
    const message = `block at byte ${this.position}: the capture ends ${bytesLeft} bytes into it; all packets before it were read`
    return { code: 'CAPTURE_TRUNCATED', message, offset: this.position + bytesLeft }
  }

  private read32(bytes: Uint8Array, at: number): number {
    return this.isLittleEndian ? le32(bytes, at) : be32(bytes, at)
  }

  private read16(bytes: Uint8Array, at: number): number {
    return this.isLittleEndian ? bytes[at]! | (bytes[at + 1]! << 8) : (bytes[at]! << 8) | bytes[at + 1]!
  }

  private fail(code: CaptureError['code'], what: string): void {
    const message = `block at byte ${this.position}: ${what}; reading ends there`
    this.error = { code, message, offset: this.position }
  }

  private readByteOrder(bytes: Uint8Array, at: number): boolean {
    const magic = le32(bytes, at + 8)
    if (magic === BYTE_ORDER_LITTLE || magic === BYTE_ORDER_BIG) {
      this.isLittleEndian = magic === BYTE_ORDER_LITTLE
      return true
    }
    this.fail('CAPTURE_HEADER_INVALID', `byte-order magic 0x${magic.toString(16)} is not 0x1a2b3c4d in either order`)
    return false
  }

  /** @param end first byte past the body of the block */
  private readBlock(bytes: Uint8Array, at: number, end: number): void {
    const type = this.read32(bytes, at)
    if (type === ENHANCED_PACKET) this.readEnhancedPacket(bytes, at, end)
    else if (type === SECTION_HEADER) this.readSectionHeader(bytes, at)
    else if (type === INTERFACE_DESCRIPTION) this.readInterface(bytes, at, end)
    else if (type === SIMPLE_PACKET) this.readSimplePacket(bytes, at, end)
    else if (type === PACKET_OBSOLETE) this.readObsoletePacket(bytes, at, end)
    else if (type === INTERFACE_STATISTICS) this.readStatistics(bytes, at, end)
  }

  private readSectionHeader(bytes: Uint8Array, at: number): void {
    const major = this.read16(bytes, at + 12)
    const minor = this.read16(bytes, at + 14)
    // Minor version 2 was written by a few programs and means the same as 0.
    if (major !== 1 || (minor !== 0 && minor !== 2)) {
      this.fail('CAPTURE_VERSION_UNSUPPORTED', `pcapng version ${major}.${minor} is not defined, 1.0 is`)
      return
    }
    this.dropsOfEarlierSections = this.interfaceDrops
    this.interfaces = []
    this.framing = null
  }

  private readInterface(bytes: Uint8Array, at: number, end: number): void {
    if (end - at < 16) {
      this.fail('CAPTURE_RECORD_INVALID', `an interface description has 20 bytes or more, this has ${end - at + 4}`)
      return
    }
    if (this.interfaces.length === INTERFACES_MAX) {
      this.fail('CAPTURE_RECORD_INVALID', `more than ${INTERFACES_MAX} interfaces in a section`)
      return
    }
    const linkType = this.read16(bytes, at + 8)
    let resolution = RESOLUTION_MICROSECONDS
    let offsetSeconds = 0
    const resolutionAt = this.findOption(bytes, at + 16, end, OPTION_IF_TSRESOL, 1)
    if (resolutionAt >= 0) resolution = bytes[resolutionAt]!
    const offsetAt = this.findOption(bytes, at + 16, end, OPTION_IF_TSOFFSET, 8)
    if (offsetAt >= 0) offsetSeconds = Number(BigInt.asIntN(64, this.read64(bytes, offsetAt)))
    const clock = this.clockFor(resolution, offsetSeconds)
    const isPlain = this.isLittleEndian && linkType === LINK_ETHERNET && offsetSeconds === 0
    const ticksPerSecond =
      resolution === RESOLUTION_MICROSECONDS ? 1e6 : resolution === RESOLUTION_NANOSECONDS ? 1e9 : 0
    this.interfaces.push({
      linkType,
      snapLength: this.read32(bytes, at + 12),
      clock,
      drops: null,
      framing:
        isPlain && ticksPerSecond > 0 ? { isPcapng: true, ticksPerSecond, interfaceId: this.interfaces.length } : null,
      packetDrops: null,
    })
    if (this.linkTypes.length < LINK_TYPES_TOLD_MAX && !this.linkTypes.includes(linkType)) this.linkTypes.push(linkType)
  }

  /** A clock is read right after it is set, so neighbours that count time alike share one: it is costly to make. */
  private clockFor(resolution: number, offsetSeconds: number): PcapngClock {
    if (this.clock === null || resolution !== this.clockResolution || offsetSeconds !== this.clockOffsetSeconds) {
      this.clock = new PcapngClock(resolution, offsetSeconds)
      this.clockResolution = resolution
      this.clockOffsetSeconds = offsetSeconds
    }
    return this.clock
  }

  private read64(bytes: Uint8Array, at: number): bigint {
    const first = BigInt(this.read32(bytes, at))
    const second = BigInt(this.read32(bytes, at + 4))
    return this.isLittleEndian ? (second << 32n) | first : (first << 32n) | second
  }

  /**
   * @returns offset of the value of the first option with this code and length, or -1
   */
  private findOption(bytes: Uint8Array, start: number, end: number, code: number, length: number): number {
    let at = start
    while (end - at >= 4) {
      const optionCode = this.read16(bytes, at)
      const optionLength = this.read16(bytes, at + 2)
      if (optionCode === 0 || optionLength > end - at - 4) return -1
      if (optionCode === code && optionLength === length) return at + 4
      at += 4 + ((optionLength + 3) & ~3)
    }
    return -1
  }

  private readEnhancedPacket(bytes: Uint8Array, at: number, end: number): void {
    const frame = at + 28
    if (end < frame) {
      this.fail('CAPTURE_RECORD_INVALID', `an enhanced packet has 32 bytes or more, this has ${end - at + 4}`)
      return
    }
    const captured = this.read32(bytes, at + 20)
    this.packet.originalLength = this.read32(bytes, at + 24)
    this.readPacket(bytes, frame, end, captured, this.read32(bytes, at + 8), at + 12)
    // Not in 32 bits: a length that lies would lead to before the block.
    const optionsAt = frame + captured + (-captured & 3)
    if (end - optionsAt >= 4) this.readPacketOptions(bytes, at, optionsAt, end)
  }

  /** epb_dropcount: packets lost since the one before on this interface (section 4.3). */
  private readPacketOptions(bytes: Uint8Array, at: number, optionsAt: number, end: number): void {
    const dropsAt = this.findOption(bytes, optionsAt, end, OPTION_EPB_DROPCOUNT, 8)
    const source = this.interfaces[this.read32(bytes, at + 8)]
    if (source && dropsAt >= 0) source.packetDrops = addDrops(source.packetDrops, this.readCount(bytes, dropsAt))
  }

  private readObsoletePacket(bytes: Uint8Array, at: number, end: number): void {
    const frame = at + 28
    if (end < frame) {
      this.fail('CAPTURE_RECORD_INVALID', `a packet block has 32 bytes or more, this has ${end - at + 4}`)
      return
    }
    const captured = this.read32(bytes, at + 20)
    this.packet.originalLength = this.read32(bytes, at + 24)
    const source = this.interfaces[this.read16(bytes, at + 8)]
    const drops = this.read16(bytes, at + 10)
    if (source && drops !== DROPS_UNKNOWN) source.packetDrops = addDrops(source.packetDrops, drops)
    this.readPacket(bytes, frame, end, captured, this.read16(bytes, at + 8), at + 12)
  }

  /** A simple packet is of interface 0 and carries neither time nor captured length. */
  private readSimplePacket(bytes: Uint8Array, at: number, end: number): void {
    const frame = at + 12
    if (end < frame) {
      this.fail('CAPTURE_RECORD_INVALID', `a simple packet has 16 bytes or more, this has ${end - at + 4}`)
      return
    }
    const original = this.read32(bytes, at + 8)
    const snapLength = this.interfaces[0]?.snapLength ?? 0
    this.packet.originalLength = original
    const captured = snapLength === 0 ? original : Math.min(original, snapLength)
    this.readPacket(bytes, frame, end, captured, 0, -1)
  }

  /** @param timeAt offset of the timestamp, or -1 when the block has none */
  private readPacket(
    bytes: Uint8Array,
    frame: number,
    end: number,
    captured: number,
    interfaceId: number,
    timeAt: number,
  ): void {
    const { packet } = this
    if (captured > CAPTURED_LENGTH_MAX || captured > end - frame) {
      const most = Math.min(CAPTURED_LENGTH_MAX, end - frame)
      this.fail('CAPTURE_RECORD_INVALID', `captured length ${captured} is more than ${most}`)
      return
    }
    const source = interfaceId < this.interfaces.length ? this.interfaces[interfaceId]! : null
    this.framing = source?.framing ?? null
    packet.index = ++this.packetsRead
    packet.capturedLength = captured
    packet.seconds = -1
    packet.nanoseconds = 0
    if (source === null) {
      packet.linkType = -1
      clearDecoded(packet)
      packet.drop = DROP_INTERFACE_UNKNOWN
      const message = `packet ${packet.index} at byte ${this.position}: interface ${interfaceId} was not described before it`
      this.warning ??= { code: 'CAPTURE_INTERFACE_UNKNOWN', message, offset: this.position }
    } else {
      packet.linkType = source.linkType
      if (timeAt >= 0) {
        source.clock.set(this.read32(bytes, timeAt), this.read32(bytes, timeAt + 4))
        packet.seconds = source.clock.seconds
        packet.nanoseconds = source.clock.nanoseconds
      }
      decode(bytes, frame, frame + captured, packet)
      if (!isLinkTypeSupported(source.linkType)) this.packetsOfUnsupportedLink++
      else if (packet.drop === DROP_NONE && !isTimeValid(packet.seconds)) packet.drop = DROP_TIME_INVALID
    }
    this.onPacket(packet)
  }

  private readStatistics(bytes: Uint8Array, at: number, end: number): void {
    if (end - at < 20) return
    const source = this.interfaces[this.read32(bytes, at + 8)]
    if (!source) return
    let drops: number | null = null
    for (const option of [OPTION_ISB_IFDROP, OPTION_ISB_OSDROP]) {
      const dropsAt = this.findOption(bytes, at + 20, end, option, 8)
      if (dropsAt >= 0) drops = addDrops(drops, this.readCount(bytes, dropsAt))
    }
    source.drops = drops ?? source.drops
  }

  /** @returns null for a count above COUNT_MAX, such as the all ones that some writers mean "unknown" by */
  private readCount(bytes: Uint8Array, at: number): number | null {
    const count = this.read64(bytes, at)
    return count <= COUNT_MAX ? Number(count) : null
  }
}

function addDrops(sum: number | null, drops: number | null): number | null {
  return drops === null ? sum : (sum ?? 0) + drops
}
