import { MAGIC_MICROSECONDS, pcap } from './capture-builder.ts'

/** First packet of every capture of synCapture: 2025-11-22T08:26:40Z. */
export const SYN_CAPTURE_START = 1_763_800_000

/**
 * A raw-IP capture of SYN packets to port 23, from 198.18.<seed>.0/24 to `network`.0/24, within a minute of its own
 * for each seed: captures of different seeds are different content.
 */
export function synCapture(seed: number, packets: number, network: readonly [number, number, number]): Uint8Array {
  const records = Array.from({ length: packets }, (_, index) => {
    const frame = new Uint8Array(40)
    const view = new DataView(frame.buffer)
    frame.set([0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 198, 18, seed & 255, index & 255, ...network, index & 255])
    view.setUint16(20, 40_000 + (index % 1000))
    view.setUint16(22, 23)
    view.setUint8(32, 0x50)
    view.setUint8(33, 2)
    return { frame, seconds: SYN_CAPTURE_START + seed * 60 + (index % 60) }
  })
  return pcap(records, { magic: MAGIC_MICROSECONDS, linkType: 101 })
}
