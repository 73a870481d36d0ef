import type { ByteSource } from '../../collector/byte-source.ts'
import { CAPTURED_LENGTH_MAX } from '../../collector/capture-parser.ts'
import type { CaptureError, CaptureResult, ReadOptions } from '../../collector/capture-result.ts'
import { classify, servicePort } from '../../collector/classify.ts'
import { DROP_NONE } from '../../collector/drop.ts'
import { Packet } from '../../collector/packet.ts'
import { PACKET_COLUMNS, packetCsv, packetJson } from '../../collector/packet-line.ts'
import type { readCaptureSource } from '../../collector/read-capture.ts'
import { spoofBits } from '../../collector/spoof.ts'
import { synProfileHigh, synProfileLow } from '../../collector/syn-profile.ts'
import { matchTools } from '../../collector/tools.ts'
import { createRandom, hashText, type Random } from '../../fixtures/simulator/random.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { ERROR_CODES } from '../../schemas/errors.ts'
import { SPOOF_BITS, TOOLS } from '../../schemas/tool.ts'
import { fieldsOutOfBounds } from '../support/packet-bounds.ts'
import { memorySource } from '../support/read-packets.ts'

/** Reads an input and holds all that comes of it against what must be true of any input. */

export type ReadSource = typeof readCaptureSource

export interface Reading {
  readonly result: Omit<CaptureResult, 'path'>
  /** All fields of each packet. */
  readonly packets: readonly string[]
  /** Packets by drop reason. */
  readonly drops: readonly number[]
}

/** Something that must hold for every input does not. */
export function fail(what: string): never {
  throw new Error(what)
}

/** Chance that belongs to the input: the same input is always checked in the same way. */
export function inputRandom(bytes: Uint8Array): Random {
  return createRandom('input', hashText(Buffer.from(bytes).toString('latin1')))
}

/** Every bit of `Packet.decodeOptions`. */
export const DECODE_OPTIONS_ALL = 63

/** Bytes of the rest of the buffer that a source spoils: more than any header that could be read past the end. */
const SPOILED_BYTES = 512

/**
 * A source of pieces that leaves other bytes behind those it hands out: whoever looks past what is there sees them.
 */
function spoilingSource(bytes: Uint8Array, pieceBytes: readonly number[], spoil: number): ByteSource {
  const source = memorySource(bytes, pieceBytes)
  return {
    get bytesRead() {
      return source.bytesRead
    },
    error: null,
    async read(target, offset, length) {
      const count = await source.read(target, offset, length)
      const rest = offset + Math.min(length, count + SPOILED_BYTES)
      for (let at = offset + count; at < rest; at++) target[at] = spoil ^ (at & 0x0f)
      return count
    },
    close: () => source.close(),
  }
}

/** Buffer of a reading; records of the corpus are smaller, and some are larger. */
const CHUNK_BYTES = 16 * 1024

/**
 * Reads all of the input.
 * @param onPacket what else is to be done with each packet
 */
export async function readInput(
  read: ReadSource,
  bytes: Uint8Array,
  pieceBytes: readonly number[],
  spoil: number,
  onPacket: (packet: Packet) => void = () => {},
  options: ReadOptions = {},
): Promise<Reading> {
  const packets: string[] = []
  const drops = new Array<number>(DROP_REASON_NAMES.length).fill(0)
  const source = spoilingSource(bytes, pieceBytes, spoil)
  let captured = 0
  const reused = new Packet()
  const random = inputRandom(bytes)
  reused.decodeOptions = random.below(2) === 0 ? 0 : random.below(DECODE_OPTIONS_ALL + 1)
  const result = await read(
    source,
    reused,
    packet => {
      if (packet.drop !== DROP_NONE) drops[packet.drop]!++
      captured += packet.capturedLength
      packets.push(Object.values(packet).join())
      checkRecord(packet, packets.length)
      onPacket(packet)
    },
    { chunkBytes: CHUNK_BYTES, ...options },
  )
  if (result.packetsRead !== packets.length) fail(`${result.packetsRead} packets read, ${packets.length} handed over`)
  if (captured > result.contentBytes) fail(`packets of ${captured} bytes in ${result.contentBytes} bytes of content`)
  checkResult(result, bytes.length)
  return { result, packets, drops }
}

function checkRecord(packet: Packet, index: number): void {
  if (packet.index !== index) fail(`packet ${index} says that it is number ${packet.index}`)
  const { capturedLength, originalLength, seconds, nanoseconds } = packet
  if (!(capturedLength >= 0 && capturedLength <= CAPTURED_LENGTH_MAX)) fail(`captured length ${capturedLength}`)
  if (!(originalLength >= 0 && originalLength <= 0xffff_ffff)) fail(`original length ${originalLength}`)
  if (!Number.isInteger(seconds)) fail(`${seconds} seconds`)
  if (!(nanoseconds >= 0 && nanoseconds < 1e9 && Number.isInteger(nanoseconds))) fail(`${nanoseconds} nanoseconds`)
}

function checkResult(result: Omit<CaptureResult, 'path'>, inputBytes: number): void {
  const { bytesRead, contentBytes, format, error, interfaceDrops, truncated } = result
  if (bytesRead > inputBytes) fail(`${bytesRead} bytes read of ${inputBytes}`)
  if (format !== null && !format.includes('(') && contentBytes !== bytesRead) {
    fail(`${contentBytes} bytes of content in ${bytesRead} bytes that are not compressed`)
  }
  if (interfaceDrops !== null && !(interfaceDrops >= 0)) fail(`${interfaceDrops} interface drops`)
  if (truncated && error === null) fail('cut short without an error')
  if (error !== null) checkError(error, contentBytes)
}

/** Printable, and on one line. */
const MESSAGE = /^[a-z][\x20-\x7e…]{0,499}$/
/** What a value looks like that was never set. */
const UNSET = /undefined|NaN|\[object/

export function checkError({ code, message, offset }: CaptureError, contentBytes: number): void {
  if (!Object.hasOwn(ERROR_CODES, code)) fail(`error code ${code} is not in the table`)
  if (ERROR_CODES[code].kind !== 'input') fail(`${code} is not an error of the input: ${message}`)
  if (!MESSAGE.test(message)) fail(`${code} says ${JSON.stringify(message.slice(0, 600))}`)
  // What a bomb would hold is told, and it was not handed over.
  if (offset !== null && code !== 'COMPRESSION_BOMB' && !(offset >= 0 && offset <= contentBytes)) {
    fail(`${code} at byte ${offset} of ${contentBytes}`)
  }
}

/** What must hold of any packet, and that all that is asked of packets has an answer. */
export function checkPacket(packet: Packet): void {
  const wrong = fieldsOutOfBounds(packet)
  if (wrong.length > 0) fail(`out of bounds: ${wrong.join(', ')}`)
  const line = packetCsv(packet)
  if (line.split(',').length !== PACKET_COLUMNS.length || UNSET.test(line)) fail(`line of a packet: ${line}`)
  const json = packetJson(packet)
  if (Object.keys(JSON.parse(json)).length !== PACKET_COLUMNS.length) fail(`JSON of a packet: ${json}`)
  if (packet.drop !== DROP_NONE) return
  if (packet.ipVersion !== 4 && packet.ipVersion !== 6) fail(`a good packet of IP version ${packet.ipVersion}`)
  const trafficClass = classify(packet)
  if (!(trafficClass >= 0 && trafficClass <= 2)) fail(`traffic class ${trafficClass}`)
  const port = servicePort(packet, trafficClass)
  if (!(port >= 0 && port <= 0xffff)) fail(`service port ${port}`)
  const tools = matchTools(packet)
  if (!(tools >= 0 && tools < 2 ** TOOLS.length)) fail(`tools ${tools}`)
  const signs = spoofBits(packet)
  if (!(signs >= 0 && signs < 2 ** SPOOF_BITS.length)) fail(`signs of a forged source ${signs}`)
  for (const word of [synProfileLow(packet), synProfileHigh(packet)]) {
    if (!Number.isInteger(word)) fail(`SYN profile ${word}`)
  }
}

/** The first packet in which two readings differ, for a message. */
export function firstDifference(one: readonly string[], other: readonly string[]): string | null {
  if (one.length !== other.length) return `${one.length} packets and ${other.length}`
  const index = one.findIndex((packet, at) => packet !== other[at])
  return index < 0 ? null : `packet ${index + 1}: ${one[index]} and ${other[index]}`
}
