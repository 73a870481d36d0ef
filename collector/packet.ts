/**
 * Starting value of the fields that hold all 32 bits in nearly every packet: V8 then keeps them as doubles from the
 * start. The others start small and turn into doubles when the first large value comes; IPv4 captures run a quarter
 * faster for it.
 */
const UNSIGNED = 0xffff_ffff

/**
 * The one packet that is reused for all packets of a run: the reader fills the record fields, `decode` fills the rest,
 * the consumer reads them during its call and keeps no reference. All fields are numbers, so that the object keeps one
 * hidden class and the hot path allocates nothing.
 *
 * -1 means "does not apply, or was not captured", except where a field says otherwise. Decoding stops at the first
 * header that is not there in full: what was found before it stays filled in, also when `drop` is set.
 *
 * Contract of `decode(bytes, offset, end, packet)` (decode.ts): `bytes[offset]` is the first byte of the frame, `end`
 * is the first byte past what was captured; nothing at or past `end` is read. The caller has set the record fields.
 * It sets every other field, keeps no reference to `bytes`, allocates nothing and never throws.
 */
export class Packet {
  // Run: set once by whoever begins it; decoding leaves them alone.
  /** DECAPSULATE_ and VERIFY_ bits of decode-options.ts: what is done beyond the first IP packet. 0 for most runs. */
  decodeOptions = 0

  // Record: what the capture file says about the packet.
  /** Place in the capture, from 1. Dropped packets count too. */
  index = 0
  /**
   * Unix seconds, whole; may be above 2³¹ and, in a pcapng with an odd clock, below zero. -1 with 0 nanoseconds when
   * the capture does not say (pcapng simple packets).
   */
  seconds = 0
  /** 0 to 999 999 999. */
  nanoseconds = 0
  /** LINKTYPE value of the capture or of the packet's pcapng interface; -1 when the interface is unknown. */
  linkType = -1
  /** Bytes of the frame in the capture. */
  capturedLength = 0
  /** Bytes of the frame on the wire, as the capture says. */
  originalLength = 0

  // Verdict
  /** Place in DROP_REASON_NAMES, or -1 when the packet is good for a flow as far as its headers go. */
  drop = -1

  // IP: the first IP header of the frame; with decapsulation the innermost that the options ask for
  /** 0 when no IP header was reached, 4 or 6. */
  ipVersion = 0
  /**
   * Addresses as unsigned 32-bit words in host order, most significant first. IPv4 is IPv4-mapped: 0, 0, 0xffff and
   * the address in the last word, which is all that an IPv4-only path has to look at. All zero when ipVersion is 0.
   */
  src0 = 0
  src1 = 0
  src2 = 0
  src3 = UNSIGNED
  dst0 = 0
  dst1 = 0
  dst2 = 0
  dst3 = UNSIGNED
  /** IANA number of the header after the IP header and, for IPv6, after its extension headers as far as captured. */
  protocol = -1
  /** IPv4 total length; IPv6 payload length + 40 (RFC 8200; a jumbo payload by RFC 2675). */
  ipLength = 0
  /** TTL or hop limit. */
  ttl = -1
  /** IPv4 identification; -1 for IPv6. */
  ipId = -1
  /** 1 when the packet is a fragment: more fragments follow or the offset is not 0. */
  isFragment = 0
  /** Bytes; ports and types are known only where it is 0. */
  fragmentOffset = 0
  /** IPv4 DF flag, 0 or 1; 0 for IPv6. */
  dontFragment = 0
  /** IPv4 reserved flag, 0 or 1; 0 for IPv6. */
  reservedFlag = 0

  // Transport
  /** TCP and UDP. */
  srcPort = -1
  dstPort = -1
  /** ICMP and ICMPv6. */
  icmpType = -1
  icmpCode = -1
  /** The twelve flag and reserved bits, 0 to 4095. */
  tcpFlags = -1
  /** Unsigned 32 bits. */
  tcpSeq = UNSIGNED
  tcpWindow = -1
  /** Unsigned 32 bits, also where the ACK flag is not set. */
  tcpAck = UNSIGNED
  /** The request in a UDP payload: position in UDP_PROBE_NAMES, 0 for none, unknown or not captured. */
  udpProbe = 0

  // TCP options, read for packets with SYN only
  /** Maximum segment size option, 0 to 65 535; -1 without one. */
  tcpMss = -1
  /** Window scale option, 0 to 255 as sent; -1 without one. */
  tcpWindowScale = -1
  /**
   * Kinds of the first six options in order of sending, 4 bits each, the first in the lowest bits. NOP (1) counts, the
   * end of the list (0) ends it, kinds from 15 up are 15. 0 without options.
   */
  tcpOptionKinds = 0
  /** 1 when there are more than six options, or the list is malformed or not captured in full. */
  tcpOptionsOverflow = 0

  // The packet quoted in an ICMP or ICMPv6 error message
  /** 0 when there is none or its addresses are not there, 4 or 6. */
  quotedVersion = 0
  /** Destination of the quoted packet, as above: the victim that the error speaks of. All zero without one. */
  quotedDst0 = 0
  quotedDst1 = 0
  quotedDst2 = 0
  quotedDst3 = 0
  quotedProtocol = -1
  quotedSrcPort = -1
  quotedDstPort = -1

  // Places of the IP packet in the bytes, for decoding only and with decodeOptions only; 0 before and after.
  /** Of the IP header. */
  ipOffset = 0
  /** Of what follows the IP header and its extension headers. */
  payloadOffset = 0
  /** First byte past the IP packet as far as it was captured. */
  payloadEnd = 0
  /** Ethertype of what a tunnel carries. */
  payloadType = 0
}

/** Called for each packet in order of the capture, synchronously; the packet is valid only during the call. */
export type OnPacket = (packet: Packet) => void

/** How the records lie that a shortcut may read: little-endian, Ethernet. */
export interface Framing {
  /** Classic pcap otherwise. */
  readonly isPcapng: boolean
  /** Of the time stamps: 1 000 000 or 1 000 000 000. */
  readonly ticksPerSecond: number
  /** pcapng: the interface whose packets are taken. */
  readonly interfaceId: number
}

/** Counts packets from their records alone, where it can. */
export interface RecordShortcut {
  /** Packets counted; whoever settles them sets it back. */
  readonly packets: number
  /**
   * Counts records in bytes [start, limit), in order, until one comes that must go the general way or is not there in full.
   * @param view over the same memory
   * @returns offset of that record
   */
  count(bytes: Uint8Array, view: DataView, start: number, limit: number, framing: Framing): number
}
