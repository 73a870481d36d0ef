import type { Packet } from '../../collector/packet.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { UDP_PROBE_NAMES } from '../../schemas/udp-probe.ts'

const WORD: readonly [number, number] = [0, 0xffff_ffff]
const PORT: readonly [number, number] = [-1, 0xffff]
const BYTE: readonly [number, number] = [-1, 0xff]
const FLAG: readonly [number, number] = [0, 1]
/** Lowest and highest value of each field that decoding sets. */
const BOUNDS: Readonly<Partial<Record<keyof Packet, readonly [number, number]>>> = {
  drop: [-1, DROP_REASON_NAMES.length - 1],
  ipVersion: [0, 6],
  src0: WORD,
  src1: WORD,
  src2: WORD,
  src3: WORD,
  dst0: WORD,
  dst1: WORD,
  dst2: WORD,
  dst3: WORD,
  protocol: BYTE,
  ipLength: [-1, 0xffff_ffff + 40],
  ttl: BYTE,
  ipId: PORT,
  isFragment: FLAG,
  fragmentOffset: [0, 0xfff8],
  dontFragment: FLAG,
  reservedFlag: FLAG,
  srcPort: PORT,
  dstPort: PORT,
  icmpType: BYTE,
  icmpCode: BYTE,
  tcpFlags: [-1, 0xfff],
  tcpSeq: [-1, 0xffff_ffff],
  tcpWindow: PORT,
  tcpAck: [-1, 0xffff_ffff],
  udpProbe: [0, UDP_PROBE_NAMES.length - 1],
  tcpMss: PORT,
  tcpWindowScale: BYTE,
  tcpOptionKinds: [0, 0xff_ffff],
  tcpOptionsOverflow: FLAG,
  quotedVersion: [0, 6],
  quotedDst0: WORD,
  quotedDst1: WORD,
  quotedDst2: WORD,
  quotedDst3: WORD,
  quotedProtocol: BYTE,
  quotedSrcPort: PORT,
  quotedDstPort: PORT,
}
const BOUND_LIST = Object.entries(BOUNDS).map(([field, [low, high]]) => ({ field: field as keyof Packet, low, high }))

/** The fields of a decoded packet that are no whole number within their bounds. */
export function fieldsOutOfBounds(packet: Packet): string[] {
  const wrong: string[] = []
  for (const { field, low, high } of BOUND_LIST) {
    const value = packet[field]
    if (!Number.isInteger(value) || value < low || value > high) wrong.push(`${field} ${value}`)
  }
  return wrong
}
