import type { QueryRow } from '../../schemas/api.ts'
import { protocolName, protocolNumber } from '../../schemas/protocol.ts'

/** A service port as people write it. */
interface PortKey {
  readonly protocol: string
  readonly port: number
}

/** A port row that was seen, most sources first. */
type SeenPort = Pick<QueryRow<'ports'>, 'protocol' | 'service_port' | 'service'>

/** `23/tcp`; `icmp 8/0` (type and code) for ICMP; `gre` where there are no ports. */
export function formatPort(protocol: string, port: number): string {
  if (protocol === 'icmp' || protocol === 'icmpv6') return `${protocol} ${port >> 8}/${port & 255}`
  const hasPorts = protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp' || port > 0
  return hasPorts ? `${port}/${protocol}` : protocol
}

/**
 * Reads `23/tcp`, `tcp/23`, `tcp 23`, `icmp 8/0`, `23` or a service name. A number alone means the protocol under
 * which it was seen most, TCP when it was not seen; a name must be among the ports seen.
 * @returns null when it is none of these
 */
export function parsePort(text: string, seen: readonly SeenPort[]): PortKey | null {
  const words = text.trim().toLowerCase()
  const icmp = /^(icmp|icmpv6)[\s/]+(\d{1,3})[/.](\d{1,3})$/.exec(words)
  if (icmp) return portKey(icmp[1]!, Number(icmp[2]) * 256 + Number(icmp[3]))
  const ordered =
    /^([a-z][a-z0-9]*)[\s/:]*(\d{1,5})$/.exec(words) ?? swap(/^(\d{1,5})[\s/:]*([a-z][a-z0-9]*)$/.exec(words))
  if (ordered && protocolNumber(ordered[1]!) !== null) return portKey(ordered[1]!, Number(ordered[2]))
  if (/^\d{1,5}$/.test(words)) {
    const row = seen.find(port => port.service_port === Number(words) && !port.protocol.startsWith('icmp'))
    return portKey(row?.protocol ?? 'tcp', Number(words))
  }
  const named = seen.find(port => port.service?.toLowerCase() === words)
  if (named) return portKey(named.protocol, named.service_port)
  return null
}

function swap(match: RegExpExecArray | null): string[] | null {
  return match ? [match[0], match[2]!, match[1]!] : null
}

function portKey(protocol: string, port: number): PortKey | null {
  const number = protocolNumber(protocol)
  return number === null || port > 65_535 ? null : { protocol: protocolName(number), port }
}
