import type { CaptureError } from './capture-result.ts'

/** A larger record is refused: libpcap's MAXIMUM_SNAPLEN. */
export const CAPTURED_LENGTH_MAX = 262_144
/** Link types of a capture that are told; a hostile one can name all 65 536, each in a few bytes. */
export const LINK_TYPES_TOLD_MAX = 16

/** Turns the bytes of a capture, fed in pieces of any size, into packets. */
export interface CaptureParser {
  readonly format: 'pcap' | 'pcapng' | 'snoop'
  /** Link types in order of appearance, the first LINK_TYPES_TOLD_MAX. */
  readonly linkTypes: readonly number[]
  /** Packets handed over. */
  readonly packetsRead: number
  /** Of these, the packets of a link type that is not decoded. */
  readonly packetsOfUnsupportedLink: number
  /** Packets that the capturing machine lost, when the capture says so. */
  readonly interfaceDrops: number | null
  /** Once set, feeding has no effect. */
  readonly error: CaptureError | null
  /** An error that did not stop the reading. */
  readonly warning: CaptureError | null
  /**
   * Hands over all packets that are there in full.
   * @returns offset of the first byte that was not consumed: the caller keeps it, and what follows, for the next call
   */
  feed(bytes: Uint8Array, offset: number, end: number): number
  /** What is missing when the capture ends with this many bytes not consumed; null when it ends well. */
  finish(bytesLeft: number): CaptureError | null
}
