import { formatPrefix, isIpv4 } from '../schemas/address.ts'
import type { AddressTally } from './address-tally.ts'
import type { DestinationTally } from './destination-tally.ts'
import { type CoveringPrefix, coverWithPrefixes, lowerBound } from './prefix-cover.ts'

/**
 * Which prefixes a capture is likely of: those whose addresses receive packets from many sources and send none. A
 * guess, because an address that nobody probed looks like one that is not there, and a host that never answers looks
 * like a dark one.
 */

type Confidence = 'high' | 'medium' | 'low'

export interface LikelyPrefix {
  readonly prefix: string
  readonly packets: number
  /** Distinct destinations seen in it. */
  readonly destinations: number
  /** Addresses it has; null above 2^53. */
  readonly addresses: number | null
  /** Sources whose first packet in the capture went to it: the least number of sources there are. */
  readonly first_contacts: number
  readonly confidence: Confidence
  /** True for those that `collect --telescope auto` would use. */
  readonly proposed: boolean
}

/** An address that sends more than this share of what it receives is a host; less is forged in its name now and then. */
const SENT_SHARE_MAX = 1 / 20
/** So many packets, and this share, within TCP connections make a host: scans by bare ACK are rarer. */
const CONNECTION_PACKETS_MIN = 10
const CONNECTION_SHARE_MIN = 1 / 4
/** From so many sources chance no longer hides an equal neighbour prefix that is dark too. */
const SOURCES_MANY = 30
const SOURCES_SOME = 10
/** Without better evidence, prefixes with this share of all packets are proposed: of other traffic there is always some. */
const LOW_PROPOSED_SHARE_MIN = 1 / 20
const PROPOSED_MAX = 32
/** Scattered over a subnet of IPv6 (RFC 4291 section 2.5.1: /64), so many prefixes stand for the subnet. */
const IPV6_SCATTERED_MIN = 4
const IPV6_SUBNET_BITS = 64

/**
 * @param packets of the whole capture, without those that were dropped
 * @returns the prefixes that are proposed first, then by packets, most first
 */
export function likelyPrefixes(destinations: DestinationTally, sources: AddressTally, packets: number): LikelyPrefix[] {
  const evidence = gatherEvidence(destinations, sources)
  const found = coverWithPrefixes({ ...evidence, arrivals: (from, to) => sourcesAt(evidence, from, to) })
  const rows = subnetsForScattered(found, evidence).map(prefix => describe(prefix, evidence))
  rows.sort((a, b) => b.packets - a.packets)
  const best = rows.filter(({ confidence }) => confidence !== 'low')
  const chosen = best.length > 0 ? best : rows.filter(row => row.packets >= packets * LOW_PROPOSED_SHARE_MIN)
  const proposed = new Set(chosen.slice(0, PROPOSED_MAX))
  return [...proposed, ...rows.filter(row => !proposed.has(row))].map(row => ({ ...row, proposed: proposed.has(row) }))
}

/** The destinations that may be dark, in address order, and the hosts. */
interface Evidence {
  readonly addresses: readonly bigint[]
  readonly excluded: readonly bigint[]
  /** Sums before each position, and the whole at the end. */
  readonly packetsBefore: Float64Array
  readonly firstContactsBefore: Float64Array
  /** By position. */
  readonly sourcesSeen: Uint32Array
}

function gatherEvidence(destinations: DestinationTally, sources: AddressTally): Evidence {
  const { addresses } = destinations
  const hosts = hostRows(destinations, sources)
  const dark: { address: bigint; row: number }[] = []
  const excluded: bigint[] = []
  for (let row = 0; row < addresses.rowCount; row++) {
    if (hosts[row] !== 0) excluded.push(addressOf(addresses, row))
    else if (mayBeDark(row, destinations, sources)) dark.push({ address: addressOf(addresses, row), row })
  }
  dark.sort((a, b) => (a.address < b.address ? -1 : 1))
  excluded.sort((a, b) => (a < b ? -1 : 1))
  const packetsBefore = new Float64Array(dark.length + 1)
  const firstContactsBefore = new Float64Array(dark.length + 1)
  dark.forEach(({ row }, at) => {
    packetsBefore[at + 1] = packetsBefore[at]! + addresses.packets[row]!
    firstContactsBefore[at + 1] = firstContactsBefore[at]! + destinations.firstContacts(row)
  })
  const sourcesSeen = Uint32Array.from(dark, ({ row }) => destinations.sourcesSeen(row))
  return { addresses: dark.map(({ address }) => address), excluded, packetsBefore, firstContactsBefore, sourcesSeen }
}

function addressOf(addresses: AddressTally, row: number): bigint {
  const upper = (BigInt(addresses.word(row, 0)) << 32n) | BigInt(addresses.word(row, 1))
  return (upper << 64n) | (BigInt(addresses.word(row, 2)) << 32n) | BigInt(addresses.word(row, 3))
}

/** 1 for each row of a destination that answers, or is spoken with. */
function hostRows(destinations: DestinationTally, sources: AddressTally): Uint8Array {
  const { addresses } = destinations
  return Uint8Array.from({ length: addresses.rowCount }, (_, row) => {
    const received = addresses.packets[row]!
    const within = destinations.packetsWithinConnection(row)
    const isSpokenWith = within >= CONNECTION_PACKETS_MIN && within >= received * CONNECTION_SHARE_MIN
    return isSpokenWith || packetsFrom(addresses, row, sources) > received * SENT_SHARE_MAX ? 1 : 0
  })
}

function packetsFrom(addresses: AddressTally, row: number, sources: AddressTally): number {
  const [word0, word1] = [addresses.word(row, 0), addresses.word(row, 1)]
  return sources.packetsOf(word0, word1, addresses.word(row, 2), addresses.word(row, 3))
}

function mayBeDark(row: number, destinations: DestinationTally, sources: AddressTally): boolean {
  const { addresses } = destinations
  const isIpv4Address = addresses.isIpv4(row)
  if (isNobodysAddress(isIpv4Address, addresses.word(row, isIpv4Address ? 3 : 0))) return false
  // Broadcasts, and hosts of the same network that find each other.
  if (destinations.nearPackets(row) * 2 > addresses.packets[row]!) return false
  return !isSpokenToByHost(row, destinations, sources)
}

/** Multicast, loopback, link-local, broadcast, unspecified (RFC 6890, RFC 4291): no sensor has these. */
function isNobodysAddress(isIpv4Address: boolean, word: number): boolean {
  if (!isIpv4Address) return word === 0 || word >>> 24 === 0xff || word >>> 22 === 0xfe80 >>> 6
  const first = word >>> 24
  return first === 0 || first === 127 || first >= 224 || word >>> 16 === 0xa9fe
}

/** True when the only source is itself a host that receives packets: then it is somebody's server, not a dark address. */
function isSpokenToByHost(row: number, destinations: DestinationTally, sources: AddressTally): boolean {
  const { addresses } = destinations
  const seen = destinations.sourcesSeen(row)
  if (!addresses.isIpv4(row) || (seen & (seen - 1)) !== 0) return false
  const source = (destinations.lastSource(row) ^ 0xffff) >>> 0
  const received = addresses.packetsOf(0, 0, 0xffff, source)
  return received > 0 && sources.packetsOf(0, 0, 0xffff, source) > received * SENT_SHARE_MAX
}

/** At least how many sources sent to the addresses of these positions. */
function sourcesAt({ firstContactsBefore, sourcesSeen }: Evidence, from: number, to: number): number {
  let bits = 0
  for (let at = from; at < to && bits !== -1; at++) bits |= sourcesSeen[at]!
  let distinct = 0
  for (; bits !== 0; bits &= bits - 1) distinct++
  return Math.max(firstContactsBefore[to]! - firstContactsBefore[from]!, distinct)
}

/** Replaces what lies scattered in a subnet of IPv6 by the subnet: nobody probes enough of one to show its bounds. */
function subnetsForScattered(found: readonly CoveringPrefix[], { excluded }: Evidence): CoveringPrefix[] {
  const bySubnet = new Map<bigint, CoveringPrefix[]>()
  const rows: CoveringPrefix[] = []
  for (const prefix of found) {
    const subnet = prefix.first >> BigInt(IPV6_SUBNET_BITS)
    if (isIpv4(prefix.first) || prefix.bits >= IPV6_SUBNET_BITS) rows.push(prefix)
    else bySubnet.set(subnet, [...(bySubnet.get(subnet) ?? []), prefix])
  }
  for (const [subnet, prefixes] of bySubnet) {
    const first = subnet << BigInt(IPV6_SUBNET_BITS)
    const hosts = lowerBound(excluded, first + (1n << BigInt(IPV6_SUBNET_BITS))) - lowerBound(excluded, first)
    if (prefixes.length < IPV6_SCATTERED_MIN || hosts > 0) rows.push(...prefixes)
    else rows.push({ first, bits: IPV6_SUBNET_BITS, from: prefixes[0]!.from, to: prefixes.at(-1)!.to })
  }
  return rows
}

function describe({ first, bits, from, to }: CoveringPrefix, evidence: Evidence): Omit<LikelyPrefix, 'proposed'> {
  const { packetsBefore, firstContactsBefore } = evidence
  const size = 1n << BigInt(bits)
  const sources = sourcesAt(evidence, from, to)
  return {
    prefix: formatPrefix({ first, last: first + size - 1n, length: 128 - bits }),
    packets: packetsBefore[to]! - packetsBefore[from]!,
    destinations: to - from,
    addresses: size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null,
    first_contacts: firstContactsBefore[to]! - firstContactsBefore[from]!,
    confidence: confidenceOf(sources, (to - from) / 2 ** bits),
  }
}

function confidenceOf(sources: number, seenShare: number): Confidence {
  if (sources >= SOURCES_MANY) return seenShare >= 0.9 ? 'high' : 'medium'
  return sources >= SOURCES_SOME && seenShare >= 0.5 ? 'medium' : 'low'
}
