import { CaptureInspector } from '../../collector/capture-inspection.ts'
import { decode } from '../../collector/decode.ts'
import { inspectionText } from '../../collector/inspection-text.ts'
import { Packet } from '../../collector/packet.ts'
import { pageStyle } from '../../collector/page-style.ts'
import { readCaptureSource } from '../../collector/read-capture.ts'
import type { Random } from '../../fixtures/simulator/random.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import {
  checkPacket,
  DECODE_OPTIONS_ALL,
  fail,
  firstDifference,
  inputRandom,
  type Reading,
  type ReadSource,
  readInput,
} from './reading.ts'
import type { InputKind } from './recipe.ts'

/** What an input came to when nothing was wrong with how it was taken. */
export interface Outcome {
  /** The error of the input; null when it is good. */
  readonly code: ErrorCode | null
  readonly packets: number
  /** Packets by drop reason, in the order of DROP_REASON_NAMES; empty when they were not counted. */
  readonly drops: readonly number[]
}

export interface Target {
  readonly name: string
  readonly input: InputKind
  /** Cases of this target for each case of a target with 1. */
  readonly share: number
  /** @throws whatever is wrong with how the input was taken */
  check(bytes: Uint8Array): Promise<Outcome>
}

/** The target of a case: the first that is drawn of its chance. */
export function drawTarget(targets: readonly Target[], random: Random): Target {
  let left = random.below(targets.reduce((sum, { share }) => sum + share, 0))
  for (const target of targets) {
    if (left < target.share) return target
    left -= target.share
  }
  throw new RangeError('no targets')
}

/** What lies behind the bytes in one reading and in another. */
const SPOILS = [0x00, 0xa5] as const
const NO_DROPS: readonly number[] = []

function outcomeOf({ result, drops }: Reading): Outcome {
  return { code: result.error?.code ?? null, packets: result.packetsRead, drops }
}

/** Frames alone, which is what most of decoding is about. The input begins with the link type, in two bytes, and the options. */
export function decodeTarget(decodeFrame: typeof decode = decode): Target {
  return {
    name: 'decode',
    input: 'frame',
    share: 20,
    async check(bytes) {
      const frame = bytes.subarray(3)
      const linkType = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
      const options = (bytes[2] ?? 0) & DECODE_OPTIONS_ALL
      const packet = decoded(decodeFrame, frame.slice(), 0, frame.length, linkType, options)
      checkPacket(packet)
      for (const spoil of SPOILS) {
        const around = new Uint8Array(AROUND_BYTES + frame.length + AROUND_BYTES).fill(spoil)
        around.set(frame, AROUND_BYTES)
        const other = decoded(decodeFrame, around, AROUND_BYTES, AROUND_BYTES + frame.length, linkType, options)
        const difference = firstDifference([Object.values(packet).join()], [Object.values(other).join()])
        if (difference !== null) fail(`what lies around the frame changes ${difference}`)
      }
      const drops = new Array<number>(DROP_REASON_NAMES.length).fill(0)
      if (packet.drop >= 0) drops[packet.drop] = 1
      return { code: null, packets: 1, drops }
    },
  }
}

const AROUND_BYTES = 128

function decoded(
  decodeFrame: typeof decode,
  bytes: Uint8Array,
  from: number,
  to: number,
  linkType: number,
  options: number,
): Packet {
  const packet = new Packet()
  packet.index = 1
  packet.decodeOptions = options
  packet.linkType = linkType
  packet.capturedLength = to - from
  packet.originalLength = to - from
  decodeFrame(bytes, from, to, packet)
  return packet
}

/** Reading and all that is asked of each packet; what lies behind the bytes changes nothing. */
export function readTarget(read: ReadSource = readCaptureSource): Target {
  return {
    name: 'read',
    input: 'capture',
    share: 14,
    async check(bytes) {
      const reading = await readInput(read, bytes, [bytes.length], SPOILS[0], checkPacket)
      const other = await readInput(read, bytes, [bytes.length], SPOILS[1])
      const difference =
        firstDifference(reading.packets, other.packets) ?? resultDifference(reading.result, other.result)
      if (difference !== null) fail(`what lies behind the input changes ${difference}`)
      return outcomeOf(reading)
    },
  }
}

function resultDifference(one: object, other: object): string | null {
  const texts = [JSON.stringify(one), JSON.stringify(other)]
  return texts[0] === texts[1] ? null : `the result: ${texts.join(' and ')}`
}

/** How a pipe hands out an input: whole, byte by byte, or in pieces of some sizes over and over. */
function pieceSizes(random: Random, length: number): number[] {
  const most = [1, 4, 40, 5000, Math.max(1, length)][random.below(5)]!
  return Array.from({ length: 1 + random.below(5) }, () => 1 + random.below(most))
}

/** The smallest buffer that a reading takes. */
const CHUNK_BYTES_MIN = 64

/** In pieces of any size an input is the same capture; `onBytes` sees all of its content. */
export function splitTarget(read: ReadSource = readCaptureSource): Target {
  return {
    name: 'split',
    input: 'capture',
    share: 10,
    async check(bytes) {
      const whole = new ContentTally()
      const reading = await readInput(read, bytes, [bytes.length], SPOILS[0], undefined, { onBytes: whole.add })
      const random = inputRandom(bytes)
      const pieces = pieceSizes(random, bytes.length)
      const split = new ContentTally()
      const chunkBytes = CHUNK_BYTES_MIN << random.below(9)
      const other = await readInput(read, bytes, pieces, SPOILS[1], undefined, { onBytes: split.add, chunkBytes })
      const difference =
        firstDifference(reading.packets, other.packets) ??
        resultDifference(comparable(reading.result, whole), comparable(other.result, split))
      if (difference !== null) fail(`pieces of ${pieces.join(', ')} bytes change ${difference}`)
      return outcomeOf(reading)
    },
  }
}

/** Without what may depend on the pieces: how far what is no capture, or is damaged, was read. */
function comparable({ bytesRead, contentBytes, ...result }: Reading['result'], content: ContentTally) {
  return result.format === null ? result : { ...result, contentBytes, content: content.hash }
}

class ContentTally {
  hash = 0
  readonly add = (chunk: Uint8Array): void => {
    for (const byte of chunk) this.hash = (Math.imul(this.hash, 31) + byte) | 0
  }
}

/** As on a console without Unicode, so that the page may hold nothing else. */
const ASCII_PAGE = pageStyle({ isTTY: false, columns: 80 }, { TERM: 'linux' })

/** What `hirundo inspect` says of a capture, as text and as JSON. */
export const INSPECT_TARGET: Target = {
  name: 'inspect',
  input: 'capture',
  // The tables of an inspection take more time than reading a small capture.
  share: 1,
  async check(bytes) {
    const inspector = new CaptureInspector()
    const reading = await readInput(readCaptureSource, bytes, [bytes.length], SPOILS[0], packet =>
      inspector.add(packet),
    )
    const inspection = inspector.finish({ path: 'capture', ...reading.result })
    const text = inspectionText(inspection, ASCII_PAGE)
    if (!/^[\x20-\x7e…\n]+$/.test(text) || /undefined|NaN|Infinity/.test(text)) fail(`inspection: ${text}`)
    JSON.parse(JSON.stringify(inspection))
    const dropped = inspection.drops.reduce((sum, { packets }) => sum + packets, 0)
    const judged = inspection.classes.reduce((sum, { packets }) => sum + packets, 0)
    if (dropped + judged !== inspection.packets)
      fail(`${inspection.packets} packets, ${judged} judged, ${dropped} dropped`)
    return { ...outcomeOf(reading), drops: NO_DROPS }
  },
}
