import { CLASS_BACKSCATTER, CLASS_SCAN, PROTOCOL, TCP_FLAG } from '../schemas/protocol.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { backscatterSlot, classifyTcp, classifyUdp } from './classify.ts'
import type { DstIndex } from './dst-index.ts'
import { SIGN_SPOOF_SHIFT } from './flow-block.ts'
import type { FlowTable } from './flow-table.ts'
import { decodeTcpOptions } from './layers/tcp.ts'
import { Packet } from './packet.ts'
import { ipv4SpoofBits } from './spoof.ts'
import { synProfileUpper } from './syn-profile.ts'
import { matchIpId, matchIpv4TcpTools } from './tools.ts'

const IPV4_OFFSET = 14
const ETHERTYPE_IPV4 = 0x0800
const VERSION_4_NO_OPTIONS = 0x45
const TRANSPORT_OFFSET = IPV4_OFFSET + 20
const TCP_HEADER_BYTES = 20
const UDP_PORTS_BYTES = 4
/** Of the word with identification, flags and fragment offset: what is set in fragments and odd packets. */
const FRAGMENT_OR_RESERVED_BITS = 0xbfff
/** As a new packet is: no options. */
const NO_OPTIONS = new Packet()

/**
 * Counts the frames that a telescope mostly sees, straight from their bytes: Ethernet without tags, IPv4 without
 * options or fragments, TCP and UDP that are not cut short, within a minute and in order of time. It does what
 * `decode` and `FlowTable.add` do, without filling a `Packet`, and leaves all else to them.
 */
export class FrameShortcut {
  /** Packets counted since `open`. */
  packets = 0
  /** Of the packet counted last, or given to `open`. */
  seconds = 0
  nanoseconds = 0
  #table: FlowTable
  #dstIndex: DstIndex
  #intervalStart = 0
  /** First Unix second that the shortcut may not take; 0 when it takes none. */
  #end = 0
  #options = new Packet()

  constructor(table: FlowTable, dstIndex: DstIndex) {
    this.#table = table
    this.#dstIndex = dstIndex
  }

  /** Unix microseconds of the packet counted last. */
  get microseconds(): number {
    return this.seconds * MICROSECONDS + Math.trunc(this.nanoseconds / 1000)
  }

  /**
   * Begins after a packet that was counted into the table the general way.
   * @param end Unix second; packets from there on are not taken
   */
  open(seconds: number, nanoseconds: number, end: number): void {
    this.#intervalStart = this.#table.intervalStart
    this.#end = Math.min(end, this.#intervalStart + INTERVAL_SECONDS)
    this.seconds = seconds
    this.nanoseconds = nanoseconds
    this.packets = 0
  }

  /** Takes no packet until it is opened again. */
  close(): void {
    this.#end = 0
    this.packets = 0
  }

  /**
   * @param view over the same memory as `bytes`
   * @returns false when the frame was not counted and must go the general way
   */
  count(bytes: Uint8Array, view: DataView, offset: number, end: number, seconds: number, nanoseconds: number): boolean {
    const captured = end - offset
    if (
      seconds >= this.#end ||
      seconds < this.seconds ||
      (seconds === this.seconds && nanoseconds < this.nanoseconds) ||
      captured < TRANSPORT_OFFSET + UDP_PORTS_BYTES ||
      view.getUint16(offset + 12) !== ETHERTYPE_IPV4 ||
      bytes[offset + 14] !== VERSION_4_NO_OPTIONS ||
      this.#table.isFull
    ) {
      return false
    }
    const lengthEnd = IPV4_OFFSET + view.getUint16(offset + 16)
    const packetEnd = lengthEnd < captured ? lengthEnd : captured
    const fragment = view.getUint16(offset + 20)
    if ((fragment & FRAGMENT_OR_RESERVED_BITS) !== 0) return false
    const protocol = bytes[offset + 23]
    const isCounted =
      protocol === PROTOCOL.tcp
        ? packetEnd >= TRANSPORT_OFFSET + TCP_HEADER_BYTES &&
          this.#countTcp(bytes, view, offset, offset + packetEnd, seconds - this.#intervalStart, fragment >>> 14)
        : protocol === PROTOCOL.udp &&
          packetEnd >= TRANSPORT_OFFSET + UDP_PORTS_BYTES &&
          this.#countUdp(view, offset, seconds - this.#intervalStart)
    if (!isCounted) return false
    this.seconds = seconds
    this.nanoseconds = nanoseconds
    this.packets++
    return true
  }

  #countTcp(
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    end: number,
    second: number,
    dontFragment: number,
  ): boolean {
    const dst = view.getInt32(offset + 30)
    const place = this.#dstIndex.placeOfIpv4(dst)
    if (place < 0) return false
    const src = view.getInt32(offset + 26)
    if (this.#dstIndex.holdsIpv4(src)) return false
    const ttl = bytes[offset + 22]!
    const srcPort = view.getUint16(offset + 34)
    const dstPort = view.getUint16(offset + 36)
    const seq = view.getInt32(offset + 38)
    const lengthAndFlags = view.getUint16(offset + 46)
    const flags = lengthAndFlags & 0xfff
    const window = view.getUint16(offset + 48)
    const ipId = view.getUint16(offset + 18)
    const trafficClass = classifyTcp(flags)
    let options = NO_OPTIONS
    if (lengthAndFlags >>> 12 !== TCP_HEADER_BYTES / 4 && (flags & TCP_FLAG.syn) !== 0) {
      options = this.#options
      options.tcpMss = -1
      options.tcpWindowScale = -1
      options.tcpOptionsOverflow = 0
      const start = offset + TRANSPORT_OFFSET
      decodeTcpOptions(bytes, start + TCP_HEADER_BYTES, start + (lengthAndFlags >>> 12) * 4, end, options)
    }
    const tools = matchIpv4TcpTools(options, ipId, ttl, dst, dstPort, seq, flags, window, view.getInt32(offset + 42))
    const signs = tools | (ipv4SpoofBits(src, dst, ttl, srcPort, dstPort, flags) << SIGN_SPOOF_SHIFT)
    const header = PROTOCOL.tcp | (ttl << 8) | (trafficClass << 20) | (backscatterSlot(second, trafficClass) << 24)
    const isScan = trafficClass === CLASS_SCAN
    const ports = trafficClass === CLASS_BACKSCATTER ? srcPort | (dstPort << 16) : dstPort
    const synLow = isScan ? window | ((options.tcpMss < 0 ? 0 : options.tcpMss) << 16) : 0
    const synHigh = isScan ? synProfileUpper(options, ttl, dontFragment) | 0 : 0
    const ipLength = view.getUint16(offset + 16)
    this.#table.addPlain(
      second,
      src,
      place,
      header,
      ports,
      flags,
      signs,
      synLow,
      synHigh,
      ipLength,
      isScan ? srcPort : 0,
    )
    return true
  }

  #countUdp(view: DataView, offset: number, second: number): boolean {
    const dst = view.getInt32(offset + 30)
    const place = this.#dstIndex.placeOfIpv4(dst)
    if (place < 0) return false
    const src = view.getInt32(offset + 26)
    if (this.#dstIndex.holdsIpv4(src)) return false
    const ttl = view.getUint8(offset + 22)
    const srcPort = view.getUint16(offset + 34)
    const dstPort = view.getUint16(offset + 36)
    const trafficClass = classifyUdp(srcPort, dstPort)
    const tools = matchIpId(view.getUint16(offset + 18))
    const signs = tools | (ipv4SpoofBits(src, dst, ttl, srcPort, dstPort, -1) << SIGN_SPOOF_SHIFT)
    const header = PROTOCOL.udp | (ttl << 8) | (trafficClass << 20) | (backscatterSlot(second, trafficClass) << 24)
    const ports = trafficClass === CLASS_BACKSCATTER ? srcPort | (dstPort << 16) : dstPort
    const ipLength = view.getUint16(offset + 16)
    this.#table.addPlain(
      second,
      src,
      place,
      header,
      ports,
      0,
      signs,
      0,
      0,
      ipLength,
      trafficClass === CLASS_SCAN ? srcPort : 0,
    )
    return true
  }
}
