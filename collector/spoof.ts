import { PROTOCOL, TCP_FLAG } from '../schemas/protocol.ts'
import { SPOOF_BITS } from '../schemas/tool.ts'
import type { Packet } from './packet.ts'

/**
 * Signs that a source address may be forged (corsaro3's list), each its own bit and never one verdict. The code
 * behind each row of SPOOF_BITS; a row without a rule here is a compile error.
 */
const SPOOF_RULES: Readonly<Record<(typeof SPOOF_BITS)[number]['name'], (packet: Packet) => boolean>> = {
  special_source: packet =>
    packet.ipVersion === 4
      ? isSpecialIpv4(packet.src3)
      : isSpecialIpv6(packet.src0, packet.src1, packet.src2, packet.src3),
  source_last_byte: packet => packet.ipVersion === 4 && ((packet.src3 + 1) & 0xff) <= 1,
  source_is_destination: packet =>
    packet.src3 === packet.dst3 &&
    packet.src2 === packet.dst2 &&
    packet.src1 === packet.dst1 &&
    packet.src0 === packet.dst0,
  port_zero: packet => packet.srcPort === 0 || packet.dstPort === 0,
  fragment_or_reserved: packet => packet.isFragment !== 0 || packet.reservedFlag !== 0,
  tcp_flags_odd: packet =>
    packet.protocol === PROTOCOL.tcp && packet.tcpFlags >= 0 && IS_ODD[packet.tcpFlags & SIX_FLAGS] === 1,
  ttl_high: packet => packet.ttl >= 200,
}

const RULES = SPOOF_BITS.map(({ name }) => SPOOF_RULES[name])

/** Signs of a forged source: bit i is set for SPOOF_BITS[i]. */
export function spoofBits(packet: Packet): number {
  let bits = 0
  for (let index = 0; index < RULES.length; index++) if (RULES[index]!(packet)) bits |= 1 << index
  return bits
}

/** Without ECE, CWR and AE, which ordinary stacks combine with the others (RFC 3168). */
const SIX_FLAGS = 63

/** What stacks send: SYN; SYN+ACK; RST; RST+ACK; ACK with any of FIN, PSH, URG (RFC 9293 section 3.10). */
function isOrdinary(flags: number): boolean {
  const { fin, syn, rst, psh, ack, urg } = TCP_FLAG
  if (flags === syn || flags === (syn | ack) || flags === rst || flags === (rst | ack)) return true
  return (flags & ack) !== 0 && (flags & ~(ack | fin | psh | urg)) === 0
}
const IS_ODD = Uint8Array.from({ length: SIX_FLAGS + 1 }, (_, flags) => (isOrdinary(flags) ? 0 : 1))

/** Special-purpose IPv4 blocks, RFC 6890 section 2.2.2, as [first address, prefix length]. */
const SPECIAL_IPV4: readonly (readonly [number, number])[] = [
  [0x00000000, 8],
  [0x0a000000, 8],
  [0x64400000, 10],
  [0x7f000000, 8],
  [0xa9fe0000, 16],
  [0xac100000, 12],
  [0xc0000000, 24],
  [0xc0000200, 24],
  [0xc0586300, 24],
  [0xc0a80000, 16],
  [0xc6120000, 15],
  [0xc6336400, 24],
  [0xcb007100, 24],
  [0xf0000000, 4],
]

/** First bytes that any special block begins with, so that most sources cost one load. */
const MAY_BE_SPECIAL = new Uint8Array(256)
for (const [first, length] of SPECIAL_IPV4) {
  const byte = first >>> 24
  const bytes = length < 8 ? 1 << (8 - length) : 1
  MAY_BE_SPECIAL.fill(1, byte, byte + bytes)
}

function isSpecialIpv4(address: number): boolean {
  if (MAY_BE_SPECIAL[address >>> 24] === 0) return false
  for (const [first, length] of SPECIAL_IPV4) if ((address ^ first) >>> (32 - length) === 0) return true
  return false
}

/** Special-purpose IPv6 blocks, RFC 6890 section 2.2.3; the ones inside 2001::/23 are covered by it. */
function isSpecialIpv6(word0: number, word1: number, word2: number, word3: number): boolean {
  if (word0 === 0) {
    // ::/128, ::1/128, and IPv4-mapped, which never travels on a wire.
    return word1 === 0 && ((word2 === 0 && word3 <= 1) || word2 === 0xffff)
  }
  if (word0 === 0x0064ff9b) return word1 === 0 && word2 === 0
  if (word0 === 0x01000000) return word1 === 0
  if (word0 >>> 16 === 0x2001) return (word0 & 0xffff) < 0x200 || word0 === 0x20010db8
  if (word0 >>> 16 === 0x2002) return true
  return word0 >>> 25 === 0xfc >>> 1 || word0 >>> 22 === 0xfe80 >>> 6
}
