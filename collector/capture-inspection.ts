import { DROP_REASON_NAMES, type DropReason } from '../schemas/drop-reason.ts'
import { protocolName, TRAFFIC_CLASSES, type TrafficClass } from '../schemas/protocol.ts'
import { formatTime } from '../schemas/time.ts'
import { TOOLS, type ToolName } from '../schemas/tool.ts'
import type { ToolEvidence } from '../schemas/tool-evidence.ts'
import { UDP_PROBE_NAMES, type UdpProbeName } from '../schemas/udp-probe.ts'
import type { CaptureResult } from './capture-result.ts'
import { classify, servicePort } from './classify.ts'
import { DestinationTally } from './destination-tally.ts'
import { DROP_NONE } from './drop.ts'
import { type LikelyPrefix, likelyPrefixes } from './likely-prefixes.ts'
import { linkTypeName } from './link-type.ts'
import type { Packet } from './packet.ts'
import { isTimeValid } from './pcapng-time.ts'
import { type PortCount, PortTally } from './port-tally.ts'
import { SourceEvidence } from './source-evidence.ts'
import { TimeHistogram } from './time-histogram.ts'
import { matchTools } from './tools.ts'

/** Sources that are counted one by one: 10 MB, 40 MB when tools are among them, and more than a quiet sensor sees in a day. */
const SOURCES_MAX = 2 ** 19
const TOP_PORTS = 10
const TOP_SOURCES = 10
const TOP_PREFIXES = 8
const BUCKETS_MAX = 120

export interface Counted<Name extends string> {
  readonly name: Name
  readonly packets: number
}

/** A source, and the tools that made its packets as far as they cannot be chance, most matches first. */
interface CountedSource extends Counted<string> {
  readonly tools: readonly ToolEvidence[]
}

/**
 * What is in a capture, or in several, for people. Counts other than packets, bytes, times and drops are of packets
 * without drop reason.
 */
export interface CaptureInspection {
  /** Null for several captures together. */
  readonly path: string | null
  readonly format: string | null
  readonly link_types: readonly { readonly number: number; readonly name: string | null }[]
  readonly packets: number
  /** Packets without drop reason. */
  readonly packets_kept: number
  readonly bytes_captured: number
  readonly bytes_on_wire: number
  /** Earliest and latest, ISO 8601; null when no packet has a time. */
  readonly first_packet: string | null
  readonly last_packet: string | null
  readonly duration_seconds: number
  /** Null when all packets came at once. */
  readonly packets_per_second: number | null
  /** Packets in equal buckets; null when no packet has a time. */
  readonly packets_over_time: null | {
    /** Start of the first bucket, a whole multiple of the width since 1970. */
    readonly start: string
    readonly bucket_seconds: number
    readonly packets: readonly number[]
  }
  readonly classes: readonly Counted<TrafficClass>[]
  readonly protocols: readonly Counted<string>[]
  readonly ports: readonly PortCount[]
  readonly sources: readonly CountedSource[]
  readonly source_count: number
  /**
   * True when there are more sources than were counted one by one. Then source_count is the least there can be, and
   * sources_other_packets came from sources that are not in the list.
   */
  readonly sources_capped: boolean
  readonly sources_other_packets: number
  readonly tools: readonly Counted<ToolName>[]
  /** Requests in UDP payloads. */
  readonly udp_probes: readonly Counted<UdpProbeName>[]
  readonly drops: readonly Counted<DropReason>[]
  readonly likely_prefixes: readonly LikelyPrefix[]
  /** Packets to destinations that were not followed, because there are too many; the likely prefixes leave them out. */
  readonly destinations_other_packets: number
  /** Packets that the capturing machine lost; null when the capture does not say. */
  readonly interface_drops: number | null
  readonly truncated: boolean
  readonly error: CaptureResult['error']
}

/** What the packets of a capture do not say. */
type CaptureFacts = Pick<CaptureResult, 'format' | 'linkTypes' | 'interfaceDrops' | 'truncated' | 'error'> & {
  readonly path: string | null
}

/** Counts the packets of one capture; several inspectors are joined by `merge`. Memory is bounded: 80 MB at most. */
export class CaptureInspector {
  private packets = 0
  private bytesCaptured = 0
  private bytesOnWire = 0
  private firstTime = Number.POSITIVE_INFINITY
  private lastTime = Number.NEGATIVE_INFINITY
  private readonly classes = new Float64Array(TRAFFIC_CLASSES.length)
  private readonly protocols = new Float64Array(256)
  private readonly tools = new Float64Array(TOOLS.length)
  private readonly udpProbes = new Float64Array(UDP_PROBE_NAMES.length)
  private readonly drops = new Float64Array(DROP_REASON_NAMES.length)
  private readonly histogram = new TimeHistogram()
  private readonly ports = new PortTally()
  private readonly sources: SourceEvidence
  private readonly destinations = new DestinationTally()

  /** @param sourcesMax for tests */
  constructor(sourcesMax = SOURCES_MAX) {
    this.sources = new SourceEvidence(sourcesMax)
  }

  add(packet: Packet): void {
    this.packets++
    this.bytesCaptured += packet.capturedLength
    this.bytesOnWire += packet.originalLength
    if (isTimeValid(packet.seconds)) this.addTime(packet.seconds, packet.nanoseconds)
    if (packet.drop === DROP_NONE) this.addKept(packet)
    else this.drops[packet.drop]!++
  }

  merge(other: CaptureInspector): void {
    this.packets += other.packets
    this.bytesCaptured += other.bytesCaptured
    this.bytesOnWire += other.bytesOnWire
    this.firstTime = Math.min(this.firstTime, other.firstTime)
    this.lastTime = Math.max(this.lastTime, other.lastTime)
    for (const name of ['classes', 'protocols', 'tools', 'udpProbes', 'drops'] as const) {
      for (let at = 0; at < this[name].length; at++) this[name][at]! += other[name][at]!
    }
    this.histogram.merge(other.histogram)
    this.ports.merge(other.ports)
    this.sources.merge(other.sources)
    this.destinations.merge(other.destinations)
  }

  /** @param facts of the one capture; of several, what they have in common */
  finish(facts: CaptureFacts): CaptureInspection {
    const { addresses } = this.sources
    return {
      path: facts.path,
      format: facts.format,
      link_types: facts.linkTypes.map(number => ({ number, name: linkTypeName(number) })),
      packets: this.packets,
      packets_kept: this.packetsKept,
      bytes_captured: this.bytesCaptured,
      bytes_on_wire: this.bytesOnWire,
      ...this.times(),
      classes: counted(TRAFFIC_CLASSES, this.classes),
      protocols: counted(
        Array.from(this.protocols, (_, protocol) => protocolName(protocol)),
        this.protocols,
      ),
      ports: this.ports.top(TOP_PORTS),
      sources: addresses.top(TOP_SOURCES).map(row => ({
        name: addresses.text(row),
        packets: addresses.packets[row]!,
        tools: this.sources.tools(row),
      })),
      source_count: addresses.rowCount,
      sources_capped: addresses.isCapped,
      sources_other_packets: addresses.otherPackets,
      tools: counted(
        TOOLS.map(({ name }) => name),
        this.tools,
      ),
      udp_probes: counted(UDP_PROBE_NAMES, this.udpProbes),
      drops: counted(DROP_REASON_NAMES, this.drops),
      likely_prefixes: this.likelyPrefixes().slice(0, TOP_PREFIXES),
      destinations_other_packets: this.destinations.addresses.otherPackets,
      interface_drops: facts.interfaceDrops,
      truncated: facts.truncated,
      error: facts.error,
    }
  }

  /** All that were found, those that are proposed first. */
  likelyPrefixes(): LikelyPrefix[] {
    return likelyPrefixes(this.destinations, this.sources.addresses, this.packetsKept)
  }

  private get packetsKept(): number {
    return this.classes.reduce((sum, packets) => sum + packets, 0)
  }

  private addTime(seconds: number, nanoseconds: number): void {
    const time = seconds + nanoseconds / 1e9
    if (time < this.firstTime) this.firstTime = time
    if (time > this.lastTime) this.lastTime = time
    this.histogram.add(seconds * 1000 + Math.trunc(nanoseconds / 1e6))
  }

  private addKept(packet: Packet): void {
    const trafficClass = classify(packet)
    this.classes[trafficClass]!++
    this.protocols[packet.protocol]!++
    if (packet.srcPort >= 0 || packet.icmpType >= 0) {
      this.ports.add(packet.protocol, servicePort(packet, trafficClass), trafficClass)
    }
    const tools = matchTools(packet)
    if (tools !== 0) for (let at = 0; at < TOOLS.length; at++) if (tools & (1 << at)) this.tools[at]!++
    if (packet.udpProbe !== 0) this.udpProbes[packet.udpProbe]!++
    const { addresses } = this.sources
    const sourcesBefore = addresses.rowCount
    this.sources.add(packet, tools)
    this.destinations.add(packet, addresses.rowCount !== sourcesBefore)
  }

  private times(): Pick<
    CaptureInspection,
    'first_packet' | 'last_packet' | 'duration_seconds' | 'packets_per_second' | 'packets_over_time'
  > {
    const series = this.histogram.series(BUCKETS_MAX)
    const duration = series === null ? 0 : this.lastTime - this.firstTime
    return {
      first_packet: series === null ? null : formatTime(this.firstTime),
      last_packet: series === null ? null : formatTime(this.lastTime),
      duration_seconds: duration,
      packets_per_second: duration > 0 ? this.packets / duration : null,
      packets_over_time:
        series === null
          ? null
          : {
              start: formatTime(series.start / 1000),
              bucket_seconds: series.bucketMilliseconds / 1000,
              packets: series.packets,
            },
    }
  }
}

/** Names with counts above zero, most first. */
function counted<Name extends string>(names: readonly Name[], counts: Float64Array): Counted<Name>[] {
  const rows = names.map((name, at) => ({ name, packets: counts[at]! }))
  return rows.filter(({ packets }) => packets > 0).sort((a, b) => b.packets - a.packets)
}
