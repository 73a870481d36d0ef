import { formatIpv4 } from '../schemas/address.ts'
import { DROP_REASON_NAMES, type DropReason } from '../schemas/drop-reason.ts'
import { PROTOCOL, protocolName, TRAFFIC_CLASSES, type TrafficClass } from '../schemas/protocol.ts'
import { formatTime } from '../schemas/time.ts'
import { TOOLS, type ToolName } from '../schemas/tool.ts'
import type { ToolEvidence } from '../schemas/tool-evidence.ts'
import { UDP_PROBE_NAMES, type UdpProbeName } from '../schemas/udp-probe.ts'
import { BoundedTally } from './bounded-tally.ts'
import type { CaptureResult } from './capture-result.ts'
import { classify, servicePort } from './classify.ts'
import { DROP_NONE } from './drop.ts'
import { type LikelyPrefix, LikelyPrefixes } from './likely-prefixes.ts'
import { linkTypeName } from './link-type.ts'
import type { Packet } from './packet.ts'
import { sourceText } from './packet-line.ts'
import { isTimeValid } from './pcapng-time.ts'
import { SourceEvidence } from './source-evidence.ts'
import { matchTools } from './tools.ts'

/** Sources that are counted one by one: some tens of MB, and more than a quiet sensor sees in a day. */
const SOURCES_MAX = 200_000
const TOP_PORTS = 10
const TOP_SOURCES = 10
const TOP_PREFIXES = 8
/** Key of the ports tally: protocol × this + port. */
const PORTS = 65_536
/** TCP, UDP, ICMP and ICMPv6: no more keys than these can have. */
const PORT_PROTOCOLS = 4

export interface Counted<Name extends string> {
  readonly name: Name
  readonly packets: number
}

/** A source, and the tools that made its packets as far as they cannot be chance. */
export interface CountedSource extends Counted<string> {
  readonly tools: readonly ToolEvidence[]
}

/** What is in a capture, for people. Counts other than packets, bytes and drops are of packets without drop reason. */
export interface CaptureInspection {
  readonly path: string
  readonly format: string | null
  readonly link_types: readonly { readonly number: number; readonly name: string | null }[]
  readonly packets: number
  readonly bytes_captured: number
  readonly bytes_on_wire: number
  /** Earliest and latest, ISO 8601; null when no packet has a time. */
  readonly first_packet: string | null
  readonly last_packet: string | null
  readonly duration_seconds: number
  /** Null when all packets came at once. */
  readonly packets_per_second: number | null
  readonly classes: readonly Counted<TrafficClass>[]
  readonly protocols: readonly Counted<string>[]
  /** `23/tcp`; ICMP as `icmp type 8 code 0`. */
  readonly ports: readonly Counted<string>[]
  readonly sources: readonly CountedSource[]
  readonly source_count: number
  /** True when there are more sources than were counted one by one. */
  readonly sources_capped: boolean
  readonly tools: readonly Counted<ToolName>[]
  /** Requests in UDP payloads, most first. */
  readonly udp_probes: readonly Counted<UdpProbeName>[]
  readonly drops: readonly Counted<DropReason>[]
  readonly likely_prefixes: readonly LikelyPrefix[]
  /** Packets that the capturing machine lost; null when the capture does not say. */
  readonly interface_drops: number | null
  readonly truncated: boolean
  readonly error: CaptureResult['error']
}

export class CaptureInspector {
  private bytesCaptured = 0
  private bytesOnWire = 0
  private firstTime = Number.POSITIVE_INFINITY
  private lastTime = Number.NEGATIVE_INFINITY
  private readonly classes = new Array<number>(TRAFFIC_CLASSES.length).fill(0)
  private readonly protocols = new Array<number>(256).fill(0)
  private readonly tools = new Array<number>(TOOLS.length).fill(0)
  private readonly udpProbes = new Array<number>(UDP_PROBE_NAMES.length).fill(0)
  private readonly drops = new Array<number>(DROP_REASON_NAMES.length).fill(0)
  private readonly ports = new BoundedTally<number>(PORT_PROTOCOLS * PORTS)
  /** IPv4 by its number, IPv6 by its text. */
  private readonly sources = new SourceEvidence<number | string>(SOURCES_MAX)
  private readonly prefixes = new LikelyPrefixes()

  add(packet: Packet): void {
    this.bytesCaptured += packet.capturedLength
    this.bytesOnWire += packet.originalLength
    if (isTimeValid(packet.seconds)) {
      const time = packet.seconds + packet.nanoseconds / 1e9
      if (time < this.firstTime) this.firstTime = time
      if (time > this.lastTime) this.lastTime = time
    }
    if (packet.drop !== DROP_NONE) {
      this.drops[packet.drop]!++
      return
    }
    const trafficClass = classify(packet)
    this.classes[trafficClass]!++
    this.protocols[packet.protocol]!++
    if (packet.srcPort >= 0 || packet.icmpType >= 0) {
      this.ports.add(packet.protocol * PORTS + servicePort(packet, trafficClass))
    }
    const tools = matchTools(packet)
    this.sources.add(packet.ipVersion === 4 ? packet.src3 : sourceText(packet), tools)
    if (tools !== 0) for (let at = 0; at < TOOLS.length; at++) if (tools & (1 << at)) this.tools[at]!++
    if (packet.udpProbe !== 0) this.udpProbes[packet.udpProbe]!++
    if (packet.ipVersion === 4) this.prefixes.add(packet.dst3)
  }

  finish(result: CaptureResult): CaptureInspection {
    const hasTime = this.firstTime <= this.lastTime
    const duration = hasTime ? this.lastTime - this.firstTime : 0
    return {
      path: result.path,
      format: result.format,
      link_types: result.linkTypes.map(number => ({ number, name: linkTypeName(number) })),
      packets: result.packetsRead,
      bytes_captured: this.bytesCaptured,
      bytes_on_wire: this.bytesOnWire,
      first_packet: hasTime ? formatTime(this.firstTime) : null,
      last_packet: hasTime ? formatTime(this.lastTime) : null,
      duration_seconds: duration,
      packets_per_second: duration > 0 ? result.packetsRead / duration : null,
      classes: counted(TRAFFIC_CLASSES, this.classes),
      protocols: counted(
        this.protocols.map((_, protocol) => protocolName(protocol)),
        this.protocols,
      ),
      ports: this.ports.top(TOP_PORTS).map(({ key, count }) => ({ name: portText(key), packets: count })),
      sources: this.sources.top(TOP_SOURCES).map(({ key, ...counts }) => ({ name: sourceName(key), ...counts })),
      source_count: this.sources.sourceCount,
      sources_capped: this.sources.isCapped,
      tools: counted(
        TOOLS.map(({ name }) => name),
        this.tools,
      ),
      udp_probes: counted(UDP_PROBE_NAMES, this.udpProbes),
      drops: counted(DROP_REASON_NAMES, this.drops),
      likely_prefixes: this.prefixes.list(TOP_PREFIXES),
      interface_drops: result.interfaceDrops,
      truncated: result.truncated,
      error: result.error,
    }
  }
}

/** Names with counts above zero, most first. */
function counted<Name extends string>(names: readonly Name[], counts: readonly number[]): Counted<Name>[] {
  const rows = names.map((name, at) => ({ name, packets: counts[at]! }))
  return rows.filter(({ packets }) => packets > 0).sort((a, b) => b.packets - a.packets)
}

function portText(key: number): string {
  const protocol = Math.floor(key / PORTS)
  const port = key % PORTS
  const name = protocolName(protocol)
  const isIcmp = protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6
  return isIcmp ? `${name} type ${port >>> 8} code ${port & 255}` : `${port}/${name}`
}

function sourceName(key: number | string): string {
  return typeof key === 'number' ? formatIpv4(key) : key
}
