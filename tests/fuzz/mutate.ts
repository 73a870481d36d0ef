import type { Random } from '../../fixtures/simulator/random.ts'
import { type Field, type Layout, layoutOf, type Span } from './layout.ts'

/**
 * One change of an input. Every kind of mutation is one: so a list of them can be applied without some of its members,
 * which is how a failing case is made smaller.
 */
export interface Splice {
  /** The kind of mutation, for people. */
  readonly name: string
  readonly at: number
  /** Bytes that are taken out from there; fewer when the input ends before. */
  readonly remove: number
  readonly insert: Uint8Array
}

/** More makes nothing that less does not. */
const INPUT_BYTES_MAX = 256 * 1024
/** Bytes of a chunk that is no unit. */
const CHUNK_BYTES_MAX = 64
const NOTHING = new Uint8Array(0)

export function applySplice(bytes: Uint8Array, { at, remove, insert }: Splice): Uint8Array {
  const from = Math.min(at, bytes.length)
  const to = Math.min(from + remove, bytes.length)
  const result = new Uint8Array(bytes.length - (to - from) + insert.length)
  result.set(bytes.subarray(0, from))
  result.set(insert, from)
  result.set(bytes.subarray(to), from + insert.length)
  return result
}

/**
 * Values at which readers change their mind: sizes of headers, limits of the formats and of ours and their neighbours,
 * signs, magic numbers in either order.
 */
const LIMITS = [0, 8, 12, 16, 20, 24, 28, 32, 64, 0x80, 0x100, 0x8000, 0x1_0000, 262_144, 16 * 1024 * 1024, 0x8000_0000]
const VALUES: readonly number[] = [
  ...LIMITS.flatMap(limit => [limit - 1, limit, limit + 1, -limit]),
  ...[0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34, 0x0a0d_0d0a, 0x1a2b_3c4d, 0x4d3c_2b1a, 0xd4c3_b2a1],
  // IP versions, ethertypes, protocols with headers of their own, pcapng blocks and options, link types.
  ...[
    0x0800, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8863, 0x8864, 0x894f, 0x0806, 1, 2, 3, 4, 5, 6, 9, 14, 17, 41, 43, 44, 47,
  ],
  ...[50, 51, 58, 59, 60, 0x45, 0x46, 0x4f, 0x60, 101, 104, 108, 113, 228, 229, 276],
]

interface MutationInput {
  readonly bytes: Uint8Array
  readonly random: Random
  /** Another input to take parts from. */
  readonly donor: Uint8Array
  readonly layout: () => Layout
}

type Mutation = (input: MutationInput) => Omit<Splice, 'name'>

const MUTATIONS: Readonly<Record<string, { readonly weight: number; readonly make: Mutation }>> = {
  'bit flipped': { weight: 4, make: flipBit },
  'byte set': { weight: 4, make: setByte },
  'number set': { weight: 4, make: setNumber },
  'number moved': { weight: 3, make: moveNumber },
  'text set': { weight: 2, make: setText },
  'field set': { weight: 10, make: setField },
  'field moved': { weight: 4, make: moveField },
  'field copied': { weight: 3, make: copyField },
  'bytes overwritten': { weight: 2, make: overwrite },
  'bytes deleted': { weight: 2, make: deleteBytes },
  'bytes repeated': { weight: 2, make: repeatBytes },
  'unit deleted': { weight: 2, make: deleteUnit },
  'unit repeated': { weight: 2, make: repeatUnit },
  'units exchanged': { weight: 2, make: exchangeUnits },
  'unit of another input': { weight: 2, make: insertDonorUnit },
  'tail of another input': { weight: 1, make: spliceTail },
  'cut short': { weight: 3, make: truncate },
}
const MUTATION_LIST = Object.entries(MUTATIONS).flatMap(([name, { weight, make }]) =>
  new Array<{ name: string; make: Mutation }>(weight).fill({ name, make }),
)

/** Draws one mutation of the bytes. */
export function drawSplice(bytes: Uint8Array, donor: Uint8Array, random: Random): Splice {
  const { name, make } = pick(MUTATION_LIST, random)
  let layout: Layout | null = null
  const splice = make({
    bytes,
    random,
    donor,
    layout: () => {
      layout ??= layoutOf(bytes)
      return layout
    },
  })
  const room = INPUT_BYTES_MAX - bytes.length
  return splice.insert.length - splice.remove > room
    ? { name, at: splice.at, remove: splice.remove, insert: NOTHING }
    : { name, ...splice }
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[random.below(values.length)]!
}

function anywhere({ bytes, random }: MutationInput): number {
  return random.below(Math.max(1, bytes.length))
}

/** Bytes of a number, cut to the size. */
function numberBytes(value: number, size: Field['bytes'], isLittleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  // A negative number fills the upper half, too.
  view.setInt32(isLittleEndian ? 4 : 0, value < 0 ? -1 : 0, isLittleEndian)
  view.setInt32(isLittleEndian ? 0 : 4, value | 0, isLittleEndian)
  return isLittleEndian ? bytes.slice(0, size) : bytes.slice(8 - size)
}

/** The lower 32 bits of what stands there. */
function numberAt(bytes: Uint8Array, at: number, size: number, isLittleEndian: boolean): number {
  let value = 0
  for (let index = 0; index < Math.min(size, 4); index++) {
    const place = isLittleEndian ? at + Math.min(size, 4) - 1 - index : at + size - Math.min(size, 4) + index
    value = (value << 8) | (bytes[place] ?? 0)
  }
  return value
}

function replace(at: number, insert: Uint8Array): Omit<Splice, 'name'> {
  return { at, remove: insert.length, insert }
}

function flipBit(input: MutationInput) {
  const at = anywhere(input)
  return replace(at, Uint8Array.of((input.bytes[at] ?? 0) ^ (1 << input.random.below(8))))
}

function setByte(input: MutationInput) {
  const value = input.random.below(2) === 0 ? pick(VALUES, input.random) : input.random.below(256)
  return replace(anywhere(input), Uint8Array.of(value & 0xff))
}

function anyNumber(input: MutationInput): Field {
  return { at: anywhere(input), bytes: pick([2, 4], input.random), isLittleEndian: input.random.below(2) === 0 }
}

/** A value to put at a place: from the list, what is left of the input there, or anything. */
function valueFor({ bytes, random }: MutationInput, at: number): number {
  const what = random.below(8)
  if (what === 0) return random.int32()
  if (what === 1) return bytes.length - at + random.below(65) - 32
  return pick(VALUES, random)
}

function setNumber(input: MutationInput) {
  const { at, bytes, isLittleEndian } = anyNumber(input)
  return replace(at, numberBytes(valueFor(input, at), bytes, isLittleEndian))
}

function moved(input: MutationInput, { at, bytes, isLittleEndian }: Field) {
  const by = pick([-32, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 32], input.random)
  return replace(at, numberBytes((numberAt(input.bytes, at, bytes, isLittleEndian) + by) | 0, bytes, isLittleEndian))
}

function moveNumber(input: MutationInput) {
  return moved(input, anyNumber(input))
}

const TEXT_START = Buffer.from('{"')
const TEXT_BYTES = 320
const TEXT = [...'0123456789-+.eaz"n[]{}:, ']

/** Of the JSON in a batch; anywhere where there is none. */
function setText(input: MutationInput) {
  const { bytes, random } = input
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(TEXT_START)
  const at = start < 0 ? anywhere(input) : start + random.below(TEXT_BYTES)
  return replace(at, Uint8Array.of(pick(TEXT, random).charCodeAt(0)))
}

function anyField(input: MutationInput): Field {
  const { fields } = input.layout()
  return fields.length === 0 ? anyNumber(input) : pick(fields, input.random)
}

function setField(input: MutationInput) {
  const { at, bytes, isLittleEndian } = anyField(input)
  // The other byte order now and then: a value that a program of the other kind would have left.
  const order = input.random.below(8) === 0 ? !isLittleEndian : isLittleEndian
  return replace(at, numberBytes(valueFor(input, at), bytes, order))
}

function moveField(input: MutationInput) {
  return moved(input, anyField(input))
}

function copyField(input: MutationInput) {
  const from = anyField(input)
  const to = anyField(input)
  const value = numberAt(input.bytes, from.at, from.bytes, from.isLittleEndian)
  return replace(to.at, numberBytes(value, to.bytes, to.isLittleEndian))
}

function chunk(input: MutationInput): Span {
  const from = anywhere(input)
  return { from, to: from + 1 + input.random.below(CHUNK_BYTES_MAX) }
}

function overwrite(input: MutationInput) {
  const { from, to } = chunk(input)
  const fill = pick([0, 0xff, -1], input.random)
  const insert = new Uint8Array(to - from).map(() => (fill < 0 ? input.random.below(256) : fill))
  return replace(from, insert)
}

function deleteBytes(input: MutationInput) {
  const { from, to } = chunk(input)
  return { at: from, remove: to - from, insert: NOTHING }
}

function repeatBytes(input: MutationInput) {
  const { from, to } = chunk(input)
  return { at: from, remove: 0, insert: input.bytes.slice(from, to) }
}

function anyUnit(input: MutationInput, { units }: Layout = input.layout()): Span {
  return units.length === 0 ? chunk(input) : pick(units, input.random)
}

function deleteUnit(input: MutationInput) {
  const { from, to } = anyUnit(input)
  return { at: from, remove: to - from, insert: NOTHING }
}

function repeatUnit(input: MutationInput) {
  const { from, to } = anyUnit(input)
  const unit = input.bytes.subarray(from, to)
  const times = pick([1, 1, 2, 7], input.random)
  const insert = new Uint8Array(unit.length * times)
  for (let time = 0; time < times; time++) insert.set(unit, time * unit.length)
  return { at: anyUnit(input).from, remove: 0, insert }
}

function exchangeUnits(input: MutationInput) {
  const [one, other] = [anyUnit(input), anyUnit(input)].sort((a, b) => a.from - b.from) as [Span, Span]
  if (one.to > other.from) return repeatUnit(input)
  const { bytes } = input
  const insert = Buffer.concat([
    bytes.subarray(other.from, other.to),
    bytes.subarray(one.to, other.from),
    bytes.subarray(one.from, one.to),
  ])
  return { at: one.from, remove: other.to - one.from, insert: new Uint8Array(insert) }
}

function insertDonorUnit(input: MutationInput) {
  const unit = anyUnit({ ...input, bytes: input.donor }, layoutOf(input.donor))
  return { at: anyUnit(input).from, remove: 0, insert: input.donor.slice(unit.from, unit.to) }
}

function spliceTail(input: MutationInput) {
  const from = input.random.below(Math.max(1, input.donor.length))
  return { at: anywhere(input), remove: input.bytes.length, insert: input.donor.slice(from, from + 4096) }
}

function truncate(input: MutationInput) {
  return { at: anywhere(input), remove: input.bytes.length, insert: NOTHING }
}
