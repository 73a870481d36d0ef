import { TCP_FLAG } from '../schemas/protocol.ts'
import { AddressTally } from './address-tally.ts'
import type { Packet } from './packet.ts'

/** Destinations that are followed: a /14 whole, of a larger telescope the ones that are seen first. */
const DESTINATIONS_MAX = 2 ** 18

const MARKS = 2
const SOURCES_SEEN = 0
const LAST_SOURCE = 1
const COUNTS = 3
const FIRST_CONTACTS = 0
const NEAR = 1
const WITHIN_CONNECTION = 2

const CONNECTION_FLAGS = TCP_FLAG.syn | TCP_FLAG.rst | TCP_FLAG.ack

/** What was seen of each destination address, as far as it helps to tell dark addresses from hosts in use. */
export class DestinationTally {
  readonly addresses: AddressTally
  /** Two words a row: a bit for each of 32 parts of the source addresses, and the latest source. */
  private marks = new Uint32Array(0)
  private counts = new Float64Array(0)

  /** @param destinationsMax for tests */
  constructor(destinationsMax = DESTINATIONS_MAX) {
    this.addresses = new AddressTally(destinationsMax)
  }

  /** @param isFirstContact true when the packet is the first of its source in the capture */
  add(packet: Packet, isFirstContact: boolean): void {
    const { src0, src1, src2, src3, dst0, dst1, dst2, dst3 } = packet
    const row = this.addresses.add(dst0, dst1, dst2, dst3)
    if (row < 0) return
    if ((row + 1) * MARKS > this.marks.length) this.grow()
    const source = src0 ^ src1 ^ src2 ^ src3
    this.marks[row * MARKS + SOURCES_SEEN]! |= 1 << (Math.imul(source, 0x9e3779b1) >>> 27)
    this.marks[row * MARKS + LAST_SOURCE] = source
    if (isFirstContact) this.counts[row * COUNTS + FIRST_CONTACTS]!++
    const isNear = packet.ipVersion === 4 ? (src3 ^ dst3) >>> 8 === 0 : src0 === dst0 && src1 === dst1
    if (isNear) this.counts[row * COUNTS + NEAR]!++
    if (packet.tcpFlags > 0 && (packet.tcpFlags & CONNECTION_FLAGS) === TCP_FLAG.ack) {
      this.counts[row * COUNTS + WITHIN_CONNECTION]!++
    }
  }

  merge(other: DestinationTally): void {
    this.addresses.merge(other.addresses, (row, from) => {
      if ((row + 1) * MARKS > this.marks.length) this.grow()
      this.marks[row * MARKS + SOURCES_SEEN]! |= other.sourcesSeen(from)
      this.marks[row * MARKS + LAST_SOURCE] = other.lastSource(from)
      for (let count = 0; count < COUNTS; count++) {
        this.counts[row * COUNTS + count]! += other.counts[from * COUNTS + count]!
      }
    })
  }

  /** One bit for each of 32 parts that the sources are divided into by a hash. */
  sourcesSeen(row: number): number {
    return this.marks[row * MARKS + SOURCES_SEEN]!
  }

  /** Exclusive or of the four words of the latest source; of IPv4, whose upper words are fixed, it tells the source. */
  lastSource(row: number): number {
    return this.marks[row * MARKS + LAST_SOURCE]!
  }

  /** Sources whose first packet in the capture went here. */
  firstContacts(row: number): number {
    return this.counts[row * COUNTS + FIRST_CONTACTS]!
  }

  /** Packets from the destination's own /24 or /64. */
  nearPackets(row: number): number {
    return this.counts[row * COUNTS + NEAR]!
  }

  /** TCP packets that only come in an open connection, or pretend to: ACK without SYN and RST. */
  packetsWithinConnection(row: number): number {
    return this.counts[row * COUNTS + WITHIN_CONNECTION]!
  }

  private grow(): void {
    // The address tally has the room that this one needs.
    const rows = this.addresses.packets.length
    const marks = new Uint32Array(rows * MARKS)
    marks.set(this.marks)
    this.marks = marks
    const counts = new Float64Array(rows * COUNTS)
    counts.set(this.counts)
    this.counts = counts
  }
}
