import { Builder } from 'flatbuffers'
import { encodeLz4Runs } from '../schemas/lz4-frame.ts'
import { type FlowColumn, ZEROS } from './flow-columns.ts'

/**
 * A record batch as a message of an Arrow stream (Arrow columnar format, "encapsulated message format" and "compression";
 * Message.fbs). apache-arrow writes it too, but copies every column on the way, and its one-file build cannot compress.
 */

const CONTINUATION = 0xffff_ffff
const ALIGNMENT = 8
/** In front of each buffer of a compressed body: its length without compression, or this when it is not compressed. */
const NOT_COMPRESSED = -1n
const PREFIX_BYTES = 8

const VERSION_5 = 4
const HEADER_RECORD_BATCH = 3
const PADDING = new Uint8Array(ALIGNMENT)

interface BodyBuffer {
  readonly offset: number
  readonly length: number
}

/**
 * The message for the first rows of columns without nulls, in pieces to write one after the other; they are views of
 * the columns where nothing is gained by compressing one.
 */
export function recordBatchPieces(columns: readonly FlowColumn[], rowCount: number): readonly Uint8Array[] {
  const body: Uint8Array[] = []
  const buffers: BodyBuffer[] = []
  let offset = 0
  for (const { values } of columns) {
    const rows = values.subarray(0, rowCount)
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)
    const frame = frameOf(bytes)
    const content = frame ?? bytes
    body.push(prefix(frame ? BigInt(bytes.length) : NOT_COMPRESSED), content)
    const length = PREFIX_BYTES + content.length
    buffers.push({ offset, length })
    const padding = padded(length) - length
    if (padding > 0) body.push(PADDING.subarray(0, padding))
    offset += length + padding
  }
  const metadata = encodeMetadata(rowCount, buffers, offset)
  const head = new Uint8Array(8 + padded(metadata.length))
  const view = new DataView(head.buffer)
  view.setUint32(0, CONTINUATION, true)
  view.setUint32(4, head.length - 8, true)
  head.set(metadata, 8)
  return [head, ...body]
}

function padded(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT
}

function prefix(length: bigint): Uint8Array {
  return new Uint8Array(BigInt64Array.of(length).buffer)
}

function encodeMetadata(rowCount: number, buffers: readonly BodyBuffer[], bodyLength: number): Uint8Array {
  const builder = new Builder(4096)
  // Vectors of structs are built from their end. Each column has a buffer for nulls, which is empty, and one of values.
  builder.startVector(16, buffers.length * 2, 8)
  for (const { offset, length } of buffers.toReversed()) {
    addPair(builder, offset, length)
    addPair(builder, offset, 0)
  }
  const bufferVector = builder.endVector()
  builder.startVector(16, buffers.length, 8)
  for (let column = 0; column < buffers.length; column++) addPair(builder, rowCount, 0)
  const nodeVector = builder.endVector()
  // LZ4_FRAME and BUFFER are the defaults of the table, so it is empty.
  builder.startObject(2)
  const compression = builder.endObject()
  builder.startObject(5)
  builder.addFieldInt64(0, BigInt(rowCount), 0n)
  builder.addFieldOffset(1, nodeVector, 0)
  builder.addFieldOffset(2, bufferVector, 0)
  builder.addFieldOffset(3, compression, 0)
  const recordBatch = builder.endObject()
  builder.startObject(5)
  builder.addFieldInt64(3, BigInt(bodyLength), 0n)
  builder.addFieldOffset(2, recordBatch, 0)
  builder.addFieldInt16(0, VERSION_5, 0)
  builder.addFieldInt8(1, HEADER_RECORD_BATCH, 0)
  builder.finish(builder.endObject())
  return builder.asUint8Array()
}

function addPair(builder: Builder, first: number, second: number): void {
  builder.prep(8, 16)
  builder.writeInt64(BigInt(second))
  builder.writeInt64(BigInt(first))
}

/** Frames of so many zeros: most columns of most record batches are nothing else. */
const zeroFrames = new Map<number, Uint8Array | null>()

function frameOf(bytes: Uint8Array): Uint8Array | null {
  if (bytes.buffer !== ZEROS) return encodeLz4Runs(bytes)
  let frame = zeroFrames.get(bytes.length)
  if (frame === undefined) {
    frame = encodeLz4Runs(bytes)
    zeroFrames.set(bytes.length, frame)
  }
  return frame
}
