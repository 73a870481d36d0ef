import { gzipSync } from 'node:zlib'
import { createRandom, type Random } from '../../fixtures/simulator/random.ts'
import { rawBlock, zstdFrame } from '../support/zstd-builder.ts'
import type { Corpus, CorpusEntry } from './corpus.ts'
import { layoutOf } from './layout.ts'
import { applySplice, drawSplice, type Splice } from './mutate.ts'

/** How an input was made, so that it can be made again with less of it. */
export interface Recipe {
  readonly base: CorpusEntry
  /** Mutations of the content. */
  readonly inner: readonly Splice[]
  readonly compression: Compression
  /** Mutations of the compressed bytes; none without compression. */
  readonly outer: readonly Splice[]
}

interface Compression {
  readonly name: string
  readonly weight: number
  readonly compress: (content: Uint8Array) => Uint8Array
}

export type InputKind = 'capture' | 'frame' | 'batch'

/** Fast, because what is tested is the reading. */
const GZIP = { level: 1 } as const
const MEMBERS = 3
const ZSTD_BLOCK_BYTES = 2048
/** Formats that captures are compressed with; the first is "not at all". */
const COMPRESSIONS: readonly Compression[] = [
  { name: 'none', weight: 36, compress: content => content },
  { name: 'gzip', weight: 2, compress: content => gzipSync(content, GZIP) },
  { name: 'gzip in members', weight: 1, compress: gzipMembers },
  { name: 'zstd', weight: 2, compress: zstdBlocks },
  { name: 'gzip in gzip', weight: 1, compress: content => gzipSync(gzipSync(content, GZIP), GZIP) },
]
const COMPRESSION_LIST = COMPRESSIONS.flatMap(compression =>
  new Array<Compression>(compression.weight).fill(compression),
)

/** Mutations of one input: most often a few, so that what one does is not undone by the next. */
const MUTATION_COUNTS = [1, 1, 1, 2, 2, 3, 4, 6]
/** Units that are kept of a capture; more only repeat what these show. */
const UNITS_MAX = 24

function gzipMembers(content: Uint8Array): Uint8Array {
  const size = Math.ceil(content.length / MEMBERS)
  const parts = Array.from({ length: MEMBERS }, (_, index) => content.subarray(index * size, (index + 1) * size))
  return new Uint8Array(Buffer.concat(parts.map(part => gzipSync(part, GZIP))))
}

/** Nothing in Node 20 compresses with zstd, so the blocks hold the content as it is. */
function zstdBlocks(content: Uint8Array): Uint8Array {
  const count = Math.max(1, Math.ceil(content.length / ZSTD_BLOCK_BYTES))
  const blocks = Array.from({ length: count }, (_, index) =>
    rawBlock(content.subarray(index * ZSTD_BLOCK_BYTES, (index + 1) * ZSTD_BLOCK_BYTES), index === count - 1),
  )
  return zstdFrame(blocks)
}

/** An input as it is. */
export function plainRecipe(name: string, bytes: Uint8Array): Recipe {
  return { base: { name, bytes }, inner: [], compression: COMPRESSIONS[0]!, outer: [] }
}

/** The generator of a case: of seed and number alone, so that any case can be run without those before it. */
export function caseRandom(seed: number, number: number): Random {
  return createRandom('fuzz', seed, number)
}

export function drawRecipe(kind: InputKind, corpus: Corpus, random: Random): Recipe {
  const entries = kind === 'capture' ? corpus.captures : kind === 'frame' ? corpus.frames : corpus.batches
  const base = drawBase(entries, random)
  const donor = entries[random.below(entries.length)]!.bytes
  const inner = kind === 'capture' ? shortened(base.bytes, random) : []
  const content = drawSplices(inner.reduce(applySplice, base.bytes), donor, random)
  const compression = COMPRESSION_LIST[kind === 'capture' ? random.below(COMPRESSION_LIST.length) : 0]!
  const recipe = { base, inner: [...inner, ...content], compression, outer: [] }
  // Damage of the compressed bytes is a kind of its own: half of the cases keep it away from damage of the content.
  if (compression.name === 'none' || random.below(2) === 0) return recipe
  const undamaged = random.below(2) === 0 ? { ...recipe, inner } : recipe
  return { ...undamaged, outer: drawSplices(applyRecipe(undamaged), donor, random) }
}

export function applyRecipe({ base, inner, compression, outer }: Recipe): Uint8Array {
  return outer.reduce(applySplice, compression.compress(inner.reduce(applySplice, base.bytes)))
}

/** The smaller of two, so that cases are quick and large inputs still come. */
function drawBase(entries: readonly CorpusEntry[], random: Random): CorpusEntry {
  const one = entries[random.below(entries.length)]!
  const other = entries[random.below(entries.length)]!
  return one.bytes.length <= other.bytes.length ? one : other
}

function drawSplices(bytes: Uint8Array, donor: Uint8Array, random: Random): Splice[] {
  const splices: Splice[] = []
  let current = bytes
  for (let left = MUTATION_COUNTS[random.below(MUTATION_COUNTS.length)]!; left > 0; left--) {
    const splice = drawSplice(current, donor, random)
    splices.push(splice)
    current = applySplice(current, splice)
  }
  return splices
}

/** Most often only some units of a long capture, behind its first two: header blocks of pcapng. */
function shortened(bytes: Uint8Array, random: Random): Splice[] {
  const { units } = layoutOf(bytes)
  if (units.length <= UNITS_MAX || random.below(16) === 0) return []
  const first = 2 + random.below(units.length - UNITS_MAX - 1)
  const last = first + random.below(UNITS_MAX)
  const end = units[Math.min(last, units.length - 1)]!.to
  const nothing = new Uint8Array(0)
  return [
    { name: 'end left out', at: end, remove: bytes.length - end, insert: nothing },
    { name: 'middle left out', at: units[2]!.from, remove: units[first]!.from - units[2]!.from, insert: nothing },
  ]
}

/** The mutations as a line for people. */
export function describeRecipe({ base, inner, compression, outer }: Recipe): string {
  const splices = [...inner, ...outer].map(({ name, at }) => `${name} at ${at}`)
  return [base.name, ...splices, ...(compression.name === 'none' ? [] : [compression.name])].join('; ')
}
