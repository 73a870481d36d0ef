import { DECAPSULATE_ERSPAN, DECAPSULATE_GRE } from '../decode-options.ts'
import type { Packet } from '../packet.ts'
import { ERSPAN_I_II, ERSPAN_III, enterErspan } from './erspan.ts'
import { ETHERTYPE_MIN, enterTunnel, hasTunnelBytes, TUNNELLED_PPP } from './tunnel-header.ts'

const GRE_HEADER_BYTES = 4
/** Checksum, key and sequence number each add a word (RFC 2784 section 2.1, RFC 2890 section 2). */
const CHECKSUM = 0x8000
const KEY = 0x2000
const SEQUENCE = 0x1000
const OPTIONAL_WORD_BYTES = 4
/** Source routing of RFC 1701: a receiver that does not know it must not read on (RFC 2784 section 2.3). */
const ROUTING_BITS = 0x4c00
const VERSION = 7
/** Version 1, for PPTP (RFC 2637 section 4.1): the key holds length and call; a word acknowledges. */
const ENHANCED = 1
const ACKNOWLEDGMENT = 0x0080

/**
 * GRE with any payload that has an ethertype, as `--decapsulate gre` and `erspan` ask for.
 * @returns false when there is nothing to enter; the packet stays, or is dropped when its capture ends too early
 */
export function enterGre(bytes: Uint8Array, packet: Packet): boolean {
  if (!hasTunnelBytes(packet, GRE_HEADER_BYTES)) return false
  const at = packet.payloadOffset
  const flags = (bytes[at]! << 8) | bytes[at + 1]!
  const type = (bytes[at + 2]! << 8) | bytes[at + 3]!
  const isErspan = type === ERSPAN_I_II || type === ERSPAN_III
  const wanted = isErspan ? DECAPSULATE_ERSPAN : DECAPSULATE_GRE
  if ((packet.decodeOptions & wanted) === 0 || type < ETHERTYPE_MIN) return false
  if ((flags & VERSION) === ENHANCED) return type === TUNNELLED_PPP && enterEnhanced(packet, flags)
  if ((flags & (VERSION | ROUTING_BITS)) !== 0) return false
  const words = wordCount(flags, CHECKSUM) + wordCount(flags, KEY) + wordCount(flags, SEQUENCE)
  if (!enterTunnel(packet, GRE_HEADER_BYTES + words * OPTIONAL_WORD_BYTES, type)) return false
  return !isErspan || enterErspan(bytes, packet, (flags & SEQUENCE) !== 0)
}

function wordCount(flags: number, flag: number): number {
  return (flags & flag) === 0 ? 0 : 1
}

/** Without a sequence number it only acknowledges and carries nothing. */
function enterEnhanced(packet: Packet, flags: number): boolean {
  if ((flags & (CHECKSUM | ROUTING_BITS)) !== 0 || (flags & KEY) === 0 || (flags & SEQUENCE) === 0) return false
  const words = 2 + wordCount(flags, ACKNOWLEDGMENT)
  return enterTunnel(packet, GRE_HEADER_BYTES + words * OPTIONAL_WORD_BYTES, TUNNELLED_PPP)
}
