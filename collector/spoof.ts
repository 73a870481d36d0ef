import { PROTOCOL, TCP_FLAG } from '../schemas/protocol.ts'
import { SPOOF_BITS } from '../schemas/tool.ts'
import type { Packet } from './packet.ts'

/**
 * Signs that a source address may be forged (corsaro3's list), each its own bit and never one verdict. The rules behind
 * SPOOF_BITS, written out for speed as in tools.ts; the tests hold that every row has its rule here.
 */

const SPECIAL_SOURCE = spoofBit('special_source')
const SOURCE_LAST_BYTE = spoofBit('source_last_byte')
const SOURCE_IS_DESTINATION = spoofBit('source_is_destination')
const PORT_ZERO = spoofBit('port_zero')
const FRAGMENT_OR_RESERVED = spoofBit('fragment_or_reserved')
const TCP_FLAGS_ODD = spoofBit('tcp_flags_odd')
const TTL_HIGH = spoofBit('ttl_high')

function spoofBit(name: (typeof SPOOF_BITS)[number]['name']): number {
  return 1 << SPOOF_BITS.findIndex(bit => bit.name === name)
}

const HIGH_TTL_MIN = 200

/** Signs of a forged source: bit i is set for SPOOF_BITS[i]. */
export function spoofBits(packet: Packet): number {
  const { src3, tcpFlags } = packet
  const flags = packet.protocol === PROTOCOL.tcp ? tcpFlags : -1
  let bits = 0
  if (packet.ipVersion === 4) {
    bits = ipv4SpoofBits(src3 | 0, packet.dst3 | 0, packet.ttl, packet.srcPort, packet.dstPort, flags)
  } else {
    bits = commonSpoofBits(packet.ttl, packet.srcPort, packet.dstPort, flags)
    if (isSpecialIpv6(packet.src0, packet.src1, packet.src2, src3)) bits |= SPECIAL_SOURCE
    const { dst0, dst1, dst2, dst3 } = packet
    if (src3 === dst3 && packet.src2 === dst2 && packet.src1 === dst1 && packet.src0 === dst0) {
      bits |= SOURCE_IS_DESTINATION
    }
  }
  return (packet.isFragment | packet.reservedFlag) === 0 ? bits : bits | FRAGMENT_OR_RESERVED
}

/**
 * The same for an IPv4 packet that is no fragment and has no reserved flag. Addresses are signed.
 * @param srcPort -1 without ports, as dstPort
 * @param tcpFlags -1 when it is not TCP
 */
export function ipv4SpoofBits(
  src: number,
  dst: number,
  ttl: number,
  srcPort: number,
  dstPort: number,
  tcpFlags: number,
): number {
  let bits = commonSpoofBits(ttl, srcPort, dstPort, tcpFlags)
  if (isSpecialIpv4(src)) bits |= SPECIAL_SOURCE
  // 255 and 0 become 0 and 1.
  if (((src + 1) & 0xff) <= 1) bits |= SOURCE_LAST_BYTE
  if (src === dst) bits |= SOURCE_IS_DESTINATION
  return bits
}

function commonSpoofBits(ttl: number, srcPort: number, dstPort: number, tcpFlags: number): number {
  let bits = SPOOF_BY_TTL[ttl]!
  if (srcPort === 0 || dstPort === 0) bits |= PORT_ZERO
  if (tcpFlags >= 0) bits |= SPOOF_BY_FLAGS[tcpFlags & SIX_FLAGS]!
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
/** The sign that each combination of the six flags gives. */
const SPOOF_BY_FLAGS = Uint8Array.from({ length: SIX_FLAGS + 1 }, (_, flags) => (isOrdinary(flags) ? 0 : TCP_FLAGS_ODD))
/** The sign that each TTL gives. */
const SPOOF_BY_TTL = Uint8Array.from({ length: 256 }, (_, ttl) => (ttl >= HIGH_TTL_MIN ? TTL_HIGH : 0))

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

/** By the first 16 bits of an address: 0 not special, 1 special, from 2 on special by the row of SPECIAL_24 so named. */
const SPECIAL_BY_16 = new Uint8Array(65_536)
const ROW_FIRST = 2
/** Rows of 256: 1 where the third byte makes an address special. */
const SPECIAL_24 = new Uint8Array(SPECIAL_IPV4.length * 256)
/** By the first byte: 1 when any address below it is special. Small enough to stay in the nearest cache. */
const MAY_BE_SPECIAL = new Uint8Array(256)
for (const [row, [first, length]] of SPECIAL_IPV4.entries()) {
  const lastByte = (first + 2 ** (32 - length) - 1) >>> 24
  MAY_BE_SPECIAL.fill(1, first >>> 24, lastByte + 1)
  const first16 = first >>> 16
  if (length <= 16) SPECIAL_BY_16.fill(1, first16, first16 + 2 ** (16 - length))
  else {
    // Two blocks in the same 16 bits share a row.
    if (SPECIAL_BY_16[first16] === 0) SPECIAL_BY_16[first16] = ROW_FIRST + row
    SPECIAL_24[(SPECIAL_BY_16[first16]! - ROW_FIRST) * 256 + ((first >>> 8) & 0xff)] = 1
  }
}

function isSpecialIpv4(address: number): boolean {
  if (MAY_BE_SPECIAL[address >>> 24] === 0) return false
  const special = SPECIAL_BY_16[address >>> 16]!
  if (special < ROW_FIRST) return special === 1
  return SPECIAL_24[(special - ROW_FIRST) * 256 + ((address >>> 8) & 0xff)] === 1
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
