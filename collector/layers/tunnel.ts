import { PROTOCOL } from '../../schemas/protocol.ts'
import { DECAPSULATE_GENEVE, DECAPSULATE_IPIP, DECAPSULATE_VXLAN } from '../decode-options.ts'
import type { Packet } from '../packet.ts'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ethertype.ts'
import { enterGeneve, GENEVE_PORT } from './geneve.ts'
import { enterGre } from './gre.ts'
import { enterTunnel, hasTunnelBytes } from './tunnel-header.ts'
import { enterVxlan, VXLAN_PORT } from './vxlan.ts'

const IPIP = 4
const IPV6 = 41
const GRE = 47
const UDP_HEADER_BYTES = 8

/**
 * Finds what a tunnel packet carries, for the tunnels that `decodeOptions` names: `payloadOffset`, `payloadEnd` and
 * `payloadType` are then of the inner packet. A packet that only has the number of a tunnel, and not the header or the
 * content of one, stays what it is: a telescope gets probes of these ports and protocols, and they count. A first
 * fragment is looked into, a later one cannot be.
 * @returns false when there is nothing to enter; `drop` is set when the capture ends within the tunnel header
 */
export function enterInner(bytes: Uint8Array, packet: Packet): boolean {
  if (packet.fragmentOffset !== 0) return false
  switch (packet.protocol) {
    case IPIP:
      return enterIp(bytes, packet, 4, ETHERTYPE_IPV4)
    case IPV6:
      return enterIp(bytes, packet, 6, ETHERTYPE_IPV6)
    case GRE:
      return enterGre(bytes, packet)
    case PROTOCOL.udp:
      return enterUdp(bytes, packet)
    default:
      return false
  }
}

/** IP in IP (RFC 2003, RFC 2473, RFC 4213 section 3). */
function enterIp(bytes: Uint8Array, packet: Packet, version: number, type: number): boolean {
  if ((packet.decodeOptions & DECAPSULATE_IPIP) === 0 || !hasTunnelBytes(packet, 1)) return false
  return bytes[packet.payloadOffset]! >> 4 === version && enterTunnel(packet, 0, type)
}

function enterUdp(bytes: Uint8Array, packet: Packet): boolean {
  const isVxlan = packet.dstPort === VXLAN_PORT && (packet.decodeOptions & DECAPSULATE_VXLAN) !== 0
  const isGeneve = packet.dstPort === GENEVE_PORT && (packet.decodeOptions & DECAPSULATE_GENEVE) !== 0
  if ((!isVxlan && !isGeneve) || !enterTunnel(packet, UDP_HEADER_BYTES, 0)) return false
  return isVxlan ? enterVxlan(bytes, packet) : enterGeneve(bytes, packet)
}
