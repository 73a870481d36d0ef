import { CLASS_BACKSCATTER, CLASS_SCAN, icmpService, PROTOCOL } from '../schemas/protocol.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { CAPTURED_LENGTH_MAX } from './capture-parser.ts'
import { backscatterSlot, classifyIcmp, classifyTcp, classifyUdp } from './classify.ts'
import type { DstIndex } from './dst-index.ts'
import {
  HEADER_CLASS_SHIFT,
  HEADER_FLAGS_SHIFT,
  HEADER_TTL_SHIFT,
  SIGN_SPOOF_SHIFT,
  SIGNS_PROBE_SHIFT,
  SIGNS_SLOT_SHIFT,
} from './flow-block.ts'
import type { FlowTable } from './flow-table.ts'
import { quotesPacket } from './layers/icmp.ts'
import { decodeTcpOptions } from './layers/tcp.ts'
import { type Framing, Packet, type RecordShortcut } from './packet.ts'
import { ipv4SpoofBits } from './spoof.ts'
import { NO_WINDOW_SCALE, synProfileUpper, windowScale } from './syn-profile.ts'
import { KIND_MSS, MIRAI, matchIpId, matchSynProfiles, matchTcp } from './tools.ts'
import { udpProbe } from './udp-probe.ts'

/** A record of classic pcap, little-endian. */
const RECORD_CAPTURED = 8
const RECORD_HEADER_BYTES = 16
/** An enhanced packet block of pcapng, little-endian. */
const ENHANCED_PACKET = 6
const BLOCK_LENGTH = 4
const BLOCK_INTERFACE = 8
const BLOCK_TIME_HIGH = 12
const BLOCK_TIME_LOW = 16
const BLOCK_CAPTURED = 20
const BLOCK_FRAME = 28
const BLOCK_TRAILER_BYTES = 4

/** Offsets in an Ethernet frame with an IPv4 packet without options; each is read as a word of 32 bits. */
const ETHERTYPE = 12
const TOTAL_LENGTH = 16
const FRAGMENT = 20
const SOURCE = 26
const DESTINATION = 30
const TRANSPORT = 34
const SEQUENCE = TRANSPORT + 4
const ACKNOWLEDGEMENT = TRANSPORT + 8
const DATA_OFFSET = TRANSPORT + 12
const UDP_PAYLOAD = TRANSPORT + 8
const OPTIONS = TRANSPORT + 20

const IPV4_OFFSET = 14
/** Ethertype, IP version and header length; behind them the type of service. */
const IPV4_WITHOUT_OPTIONS = 0x0800_4500
const ETHERTYPE_AND_VERSION_MASK = ~0xff
const TCP_HEADER_BYTES = 20
/** With the maximum segment size alone: what most tools send, if they send options. */
const MSS_HEADER_BYTES = 24
const MSS_OPTION = (KIND_MSS << 8) | 4
const UDP_PORTS_BYTES = 4
/** Of the word with fragment field, TTL and protocol: what is set in fragments and odd packets. */
const FRAGMENT_OR_RESERVED_BITS = 0xbfff_0000

/**
 * Counts the frames that a telescope mostly sees, straight from the bytes of the capture: little-endian pcap and pcapng,
 * Ethernet without tags, IPv4 without options or fragments, TCP, UDP and ICMP that are not cut short, within a minute and
 * in order of time. It does what `decode` and `FlowTable.add` do, without filling a `Packet`, and leaves all else to
 * them. One loop on purpose: what V8 compiles at one go is three times as fast as the same in small methods.
 */
export class FrameShortcut implements RecordShortcut {
  /** Packets counted since `open`. */
  packets = 0
  /** Time of the packet counted last, or given to `open` or `pass`. */
  #seconds = 0
  #nanoseconds = 0
  #table: FlowTable
  #dstIndex: DstIndex
  #intervalStart = 0
  /** First Unix second that the shortcut may not take; 0 when it takes none. */
  #end = 0
  /** Packets that it may still count. */
  #left = 0
  #options = new Packet()

  constructor(table: FlowTable, dstIndex: DstIndex) {
    this.#table = table
    this.#dstIndex = dstIndex
  }

  /** Unix microseconds of the packet counted last. */
  get microseconds(): number {
    return this.#seconds * MICROSECONDS + Math.trunc(this.#nanoseconds / 1000)
  }

  /**
   * Begins after a packet that was counted into the table the general way.
   * @param end Unix second; packets from there on are not taken
   * @param packetsMax how many may be taken
   */
  open(seconds: number, nanoseconds: number, end: number, packetsMax: number): void {
    const start = this.#table.intervalStart
    // Differences of seconds are taken modulo 2³²: at the very end of 32-bit time they would not tell early from late.
    const isWithin32Bits = start >= 0 && start < 2 ** 32 - 2 * INTERVAL_SECONDS
    this.#intervalStart = start
    this.#end = isWithin32Bits ? Math.min(end, start + INTERVAL_SECONDS) : 0
    this.#left = packetsMax
    this.#seconds = seconds
    this.#nanoseconds = nanoseconds
    this.packets = 0
  }

  /** Takes no packet until it is opened again. */
  close(): void {
    this.#end = 0
    this.packets = 0
  }

  /**
   * Goes on after a packet that was dropped the general way. One with a later time than those before it may be a clock
   * that was wrong: what comes before it goes the general way, too, where steps back are seen.
   * @param seconds null when its time cannot be
   */
  pass(seconds: number | null, nanoseconds: number): void {
    this.#left--
    if (seconds === null || this.#end === 0) return
    if (seconds >= this.#end) this.close()
    else if (seconds > this.#seconds || (seconds === this.#seconds && nanoseconds > this.#nanoseconds)) {
      this.#seconds = seconds
      this.#nanoseconds = nanoseconds
    }
  }

  count(bytes: Uint8Array, view: DataView, start: number, limit: number, framing: Framing): number {
    if (this.#end === 0) return start
    const { isPcapng, ticksPerSecond, interfaceId } = framing
    const table = this.#table
    const dstIndex = this.#dstIndex
    const headerBytes = isPcapng ? BLOCK_FRAME : RECORD_HEADER_BYTES
    const capturedAt = isPcapng ? BLOCK_CAPTURED : RECORD_CAPTURED
    const intervalStart = this.#intervalStart
    const start32 = intervalStart | 0
    const secondsMax = (this.#end - intervalStart) | 0
    const [intervalHigh, intervalLow] = ticksOf(intervalStart, ticksPerSecond)
    const nanosecondsPerTick = 1e9 / ticksPerSecond
    // Whole 32-bit numbers throughout, and told so to the compiler: a fraction anywhere would make all of it slower.
    let second = (this.#seconds - intervalStart) | 0
    let ticks = (this.#nanoseconds / nanosecondsPerTick) | 0
    let left = Math.min(this.#left, table.flowsMax - table.rowCount) | 0
    const leftAtStart = left
    let at = start
    while (left > 0 && limit - at >= headerBytes) {
      const captured = view.getInt32(at + capturedAt, true)
      const offset = at + headerBytes
      let next = offset + captured
      if (captured < TRANSPORT + UDP_PORTS_BYTES || captured > CAPTURED_LENGTH_MAX || next > limit) break

      let packetSecond: number
      let packetTicks: number
      if (isPcapng) {
        const length = view.getInt32(at + BLOCK_LENGTH, true)
        next = at + length
        if (
          view.getInt32(at, true) !== ENHANCED_PACKET ||
          view.getInt32(at + BLOCK_INTERFACE, true) !== interfaceId ||
          (length & 3) !== 0 ||
          offset + captured + BLOCK_TRAILER_BYTES > next ||
          next > limit ||
          view.getInt32(next - BLOCK_TRAILER_BYTES, true) !== length
        ) {
          break
        }
        const high = view.getUint32(at + BLOCK_TIME_HIGH, true) - intervalHigh
        const sinceStart = high * 2 ** 32 + (view.getUint32(at + BLOCK_TIME_LOW, true) - intervalLow)
        if (sinceStart < 0 || sinceStart >= secondsMax * ticksPerSecond) break
        packetSecond = (sinceStart / ticksPerSecond) | 0
        packetTicks = (sinceStart - packetSecond * ticksPerSecond) | 0
      } else {
        packetSecond = (view.getInt32(at, true) - start32) | 0
        packetTicks = view.getInt32(at + 4, true)
        if (packetTicks < 0 || packetTicks >= ticksPerSecond) break
      }
      if (packetSecond >= secondsMax || packetSecond < second || (packetSecond === second && packetTicks < ticks)) break

      if ((view.getInt32(offset + ETHERTYPE) & ETHERTYPE_AND_VERSION_MASK) !== IPV4_WITHOUT_OPTIONS) break
      const fragment = view.getInt32(offset + FRAGMENT)
      if ((fragment & FRAGMENT_OR_RESERVED_BITS) !== 0) break
      const src = view.getInt32(offset + SOURCE)
      const dst = view.getInt32(offset + DESTINATION)
      const place = dstIndex.placeOfIpv4(dst)
      if (place < 0 || dstIndex.holdsIpv4(src)) break
      const lengthAndId = view.getInt32(offset + TOTAL_LENGTH)
      const ipLength = lengthAndId >>> 16
      const lengthEnd = offset + IPV4_OFFSET + ipLength
      const packetEnd = lengthEnd < offset + captured ? lengthEnd : offset + captured
      const ipId = lengthAndId & 0xffff
      const protocol = fragment & 0xff
      const ttl = (fragment >>> 8) & 0xff
      let header = protocol | (ttl << HEADER_TTL_SHIFT)
      let trafficClass: number
      let ports: number
      let signs: number
      let synLow = 0
      let synHigh = 0
      let srcPort = 0
      if (protocol === PROTOCOL.tcp) {
        if (packetEnd - offset < OPTIONS) break
        const bothPorts = view.getInt32(offset + TRANSPORT)
        srcPort = bothPorts >>> 16
        const dstPort = bothPorts & 0xffff
        const seq = view.getInt32(offset + SEQUENCE)
        const flagsAndWindow = view.getInt32(offset + DATA_OFFSET)
        const window = flagsAndWindow & 0xffff
        const flags = (flagsAndWindow >>> 16) & 0xfff
        const tcpBytes = (flagsAndWindow >>> 28) * 4
        trafficClass = classifyTcp(flags)
        header |= flags << HEADER_FLAGS_SHIFT
        ports = dstPort
        signs =
          matchTcp(ipId, dst, dstPort, seq) |
          (ipv4SpoofBits(src, dst, ttl, srcPort, dstPort, flags) << SIGN_SPOOF_SHIFT)
        if (trafficClass === CLASS_SCAN) {
          let kinds = 0
          let mss = -1
          let scale = NO_WINDOW_SCALE
          let overflow = 0
          if (tcpBytes !== TCP_HEADER_BYTES) {
            const optionsAt = offset + OPTIONS
            const optionsEnd = offset + TRANSPORT + tcpBytes
            if (tcpBytes === MSS_HEADER_BYTES && optionsEnd <= packetEnd && view.getUint16(optionsAt) === MSS_OPTION) {
              kinds = KIND_MSS
              mss = view.getUint16(optionsAt + 2)
            } else {
              const options = this.#readOptions(bytes, optionsAt, optionsEnd, packetEnd)
              kinds = options.tcpOptionKinds
              mss = options.tcpMss
              scale = windowScale(options)
              overflow = options.tcpOptionsOverflow
            }
          }
          synLow = window | ((mss < 0 ? 0 : mss) << 16)
          synHigh = synProfileUpper(scale, (fragment >>> 30) & 1, ttl, kinds, overflow)
          if (seq === dst) signs |= MIRAI
          const ack = view.getInt32(offset + ACKNOWLEDGEMENT)
          if (overflow === 0) signs |= matchSynProfiles(kinds, mss, 4, ttl, window, ack)
        } else if (trafficClass === CLASS_BACKSCATTER) ports = srcPort | (dstPort << 16)
      } else if (protocol === PROTOCOL.udp) {
        if (packetEnd - offset < TRANSPORT + UDP_PORTS_BYTES) break
        const bothPorts = view.getInt32(offset + TRANSPORT)
        srcPort = bothPorts >>> 16
        const dstPort = bothPorts & 0xffff
        trafficClass = classifyUdp(srcPort, dstPort)
        ports = trafficClass === CLASS_BACKSCATTER ? srcPort | (dstPort << 16) : dstPort
        signs =
          matchIpId(ipId) |
          (ipv4SpoofBits(src, dst, ttl, srcPort, dstPort, -1) << SIGN_SPOOF_SHIFT) |
          (udpProbe(bytes, offset + UDP_PAYLOAD, packetEnd, dstPort) << SIGNS_PROBE_SHIFT)
      } else {
        const type = view.getUint8(offset + TRANSPORT)
        if (protocol !== PROTOCOL.icmp || packetEnd - offset < TRANSPORT + 2 || quotesPacket(type)) break
        trafficClass = classifyIcmp(type)
        ports = icmpService(type, view.getUint8(offset + TRANSPORT + 1))
        signs = matchIpId(ipId) | (ipv4SpoofBits(src, dst, ttl, -1, -1, -1) << SIGN_SPOOF_SHIFT)
      }
      table.addKey(
        packetSecond,
        src,
        place,
        header | (trafficClass << HEADER_CLASS_SHIFT),
        ports,
        signs | (backscatterSlot(packetSecond, trafficClass) << SIGNS_SLOT_SHIFT),
        synLow,
        synHigh,
        ipLength,
        trafficClass === CLASS_SCAN ? srcPort : 0,
        null,
      )
      second = packetSecond
      ticks = packetTicks
      left--
      at = next
    }
    this.packets += leftAtStart - left
    this.#left -= leftAtStart - left
    this.#seconds = intervalStart + second
    this.#nanoseconds = ticks * nanosecondsPerTick
    return at
  }

  #readOptions(bytes: Uint8Array, start: number, headerEnd: number, end: number): Packet {
    const options = this.#options
    options.tcpMss = -1
    options.tcpWindowScale = -1
    options.tcpOptionsOverflow = 0
    decodeTcpOptions(bytes, start, headerEnd, end, options)
    return options
  }
}

/** Unix seconds as ticks, in two 32-bit halves, exactly: in 16-bit steps no product is above 2⁵³. */
function ticksOf(seconds: number, ticksPerSecond: number): [high: number, low: number] {
  const upper = Math.floor(seconds / 2 ** 16)
  const product = (seconds - upper * 2 ** 16) * ticksPerSecond
  const middle = upper * ticksPerSecond + Math.floor(product / 2 ** 16)
  const high = Math.floor(middle / 2 ** 16)
  return [high, (middle - high * 2 ** 16) * 2 ** 16 + (product % 2 ** 16)]
}
