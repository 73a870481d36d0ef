import { CLASS_BACKSCATTER, PROTOCOL, protocolName } from '../schemas/protocol.ts'
import { serviceName } from '../schemas/service-names.ts'

/** Protocols whose packets have a service port, or a type and code in its place. */
const PROTOCOLS: readonly number[] = [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp, PROTOCOL.icmpv6]
const PORTS = 65_536
/** Where the counts of a protocol begin; below zero for those without ports. */
const STARTS = Int32Array.from({ length: 256 }, (_, protocol) => PROTOCOLS.indexOf(protocol) * PORTS)

export interface PortCount {
  /** `23/tcp`; ICMP as `icmp type 8 code 0`. */
  readonly name: string
  readonly packets: number
  /** Of these, replies that came from the port; the others were sent to it. */
  readonly backscatter: number
  /** What IANA has registered the port or the ICMP type for; null when there is nothing. */
  readonly service: string | null
}

/** Packets by service port: a table of 2 MB for all packets and one for backscatter, so that a packet costs two adds. */
export class PortTally {
  private readonly all = new Float64Array(PROTOCOLS.length * PORTS)
  private readonly replies = new Float64Array(PROTOCOLS.length * PORTS)

  /** @param port service port, 0 to 65 535; a protocol without ports is not counted */
  add(protocol: number, port: number, trafficClass: number): void {
    const start = STARTS[protocol]!
    if (start < 0) return
    const at = start + port
    this.all[at]!++
    if (trafficClass === CLASS_BACKSCATTER) this.replies[at]!++
  }

  merge(other: PortTally): void {
    for (let at = 0; at < this.all.length; at++) {
      if (other.all[at] === 0) continue
      this.all[at]! += other.all[at]!
      this.replies[at]! += other.replies[at]!
    }
  }

  /** The ports with most packets, most first; among equals TCP before UDP before ICMP, then the lower port. */
  top(limit: number): PortCount[] {
    const used: number[] = []
    for (let at = 0; at < this.all.length; at++) if (this.all[at]! > 0) used.push(at)
    used.sort((a, b) => this.all[b]! - this.all[a]! || a - b)
    return used.slice(0, limit).map(at => {
      const protocol = PROTOCOLS[Math.floor(at / PORTS)]!
      const port = at % PORTS
      return {
        name: portText(protocol, port),
        packets: this.all[at]!,
        backscatter: this.replies[at]!,
        service: serviceName(protocol, port),
      }
    })
  }
}

function portText(protocol: number, port: number): string {
  const name = protocolName(protocol)
  const isIcmp = protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6
  return isIcmp ? `${name} type ${port >>> 8} code ${port & 255}` : `${port}/${name}`
}
