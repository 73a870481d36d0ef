import type { ByteSource } from '../../collector/byte-source.ts'
import type { CaptureResult, ReadOptions } from '../../collector/capture-result.ts'
import { decode } from '../../collector/decode.ts'
import { Packet } from '../../collector/packet.ts'
import { packetCsv } from '../../collector/packet-line.ts'
import { readCaptureSource } from '../../collector/read-capture.ts'

/** Bytes in memory as a source that hands out pieces of the given sizes, over and over. */
export function memorySource(bytes: Uint8Array, pieceBytes: readonly number[] = [bytes.length]): ByteSource {
  let position = 0
  let piece = 0
  return {
    get bytesRead() {
      return position
    },
    error: null,
    async read(target, offset, length) {
      const wanted = Math.max(1, pieceBytes[piece++ % pieceBytes.length]!)
      const chunk = bytes.subarray(position, position + Math.min(wanted, length))
      target.set(chunk, offset)
      position += chunk.length
      return chunk.length
    },
    async close() {},
  }
}

export interface ReadPackets {
  readonly packets: Packet[]
  readonly result: Omit<CaptureResult, 'path'>
}

/** All packets of a capture in memory, copied. */
export async function readPackets(
  bytes: Uint8Array,
  options: ReadOptions & { readonly pieceBytes?: readonly number[] } = {},
): Promise<ReadPackets> {
  const packets: Packet[] = []
  const take = (packet: Packet): void => void packets.push(Object.assign(new Packet(), packet))
  const source = memorySource(bytes, options.pieceBytes)
  const result = await readCaptureSource(source, new Packet(), take, options)
  return { packets, result }
}

/**
 * The packet that a frame of this link type is decoded into.
 * @param decodeOptions as Packet has it
 */
export function decodeFrame(frame: Uint8Array, linkType = 1, originalLength = frame.length, decodeOptions = 0): Packet {
  const packet = new Packet()
  packet.decodeOptions = decodeOptions
  packet.index = 1
  packet.linkType = linkType
  packet.capturedLength = frame.length
  packet.originalLength = originalLength
  decode(frame, 0, frame.length, packet)
  return packet
}

/** The columns of `hirundo packets` from `ip_version` on, as the line shows them. */
export function decodedText(packet: Packet): string {
  return packetCsv(packet).split(',').slice(5).join(',')
}
