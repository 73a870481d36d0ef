/**
 * Where the fields and the records of an input lie, as far as it can be told: what a mutation aims at. A walker of its
 * own and not the product's reader, which is what is under test.
 */

/** A number in the input whose value decides how the rest is read. */
export interface Field {
  readonly at: number
  readonly bytes: 1 | 2 | 4 | 8
  readonly isLittleEndian: boolean
}

export interface Span {
  readonly from: number
  /** First byte behind it. */
  readonly to: number
}

export interface Layout {
  readonly fields: readonly Field[]
  /** Records, blocks or messages: what is deleted, repeated and exchanged as a whole. */
  readonly units: readonly Span[]
  /** What was captured of each packet. */
  readonly frames: readonly (Span & { readonly linkType: number })[]
}

/** Units that are looked at: mutations of the first few hundred reach whatever those of the others would. */
const UNITS_MAX = 256
const PCAP_MAGICS: Readonly<Record<number, number>> = {
  [0xa1b2_c3d4]: 16,
  [0xa1b2_3c4d]: 16,
  [0xa1b2_cd34]: 24,
}
const PCAP_HEADER_BYTES = 24
const SECTION_HEADER = 0x0a0d_0d0a
/** The first half of it. */
const SNOOP_MAGIC = 0x736e_6f6f
const ARROW_CONTINUATION = 0xffff_ffff
/** Aligned words of an Arrow message that are fields: nearly all in it are offsets and lengths. */
const ARROW_WORDS_MAX = 512

class LayoutBuilder implements Layout {
  readonly fields: Field[] = []
  readonly units: Span[] = []
  readonly frames: (Span & { linkType: number })[] = []
  readonly view: DataView
  isLittleEndian = true

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Notes a field, and reads it when it is all there. */
  field(at: number, bytes: Field['bytes']): number {
    if (at + bytes > this.view.byteLength) return 0
    this.fields.push({ at, bytes, isLittleEndian: this.isLittleEndian })
    if (bytes === 1) return this.view.getUint8(at)
    return bytes === 2 ? this.view.getUint16(at, this.isLittleEndian) : this.view.getUint32(at, this.isLittleEndian)
  }
}

/** Empty for what is neither pcap nor pcapng nor an Arrow stream. */
export function layoutOf(bytes: Uint8Array): Layout {
  const layout = new LayoutBuilder(bytes)
  if (bytes.length < 12) return layout
  const big = layout.view.getUint32(0)
  const little = layout.view.getUint32(0, true)
  layout.isLittleEndian = PCAP_MAGICS[little] !== undefined
  const recordHeader = PCAP_MAGICS[little] ?? PCAP_MAGICS[big]
  if (recordHeader !== undefined) walkPcap(layout, recordHeader)
  else if (big === SECTION_HEADER) walkPcapng(layout)
  else if (big === SNOOP_MAGIC) walkSnoop(layout)
  else if (big === ARROW_CONTINUATION) walkArrow(layout)
  return layout
}

function walkPcap(layout: LayoutBuilder, recordHeader: number): void {
  layout.field(0, 4)
  layout.field(4, 2)
  layout.field(6, 2)
  layout.field(16, 4)
  const linkType = layout.field(20, 4) & 0xffff
  const end = layout.view.byteLength
  for (let at = PCAP_HEADER_BYTES; at + recordHeader <= end && layout.units.length < UNITS_MAX; ) {
    layout.field(at, 4)
    layout.field(at + 4, 4)
    const captured = layout.field(at + 8, 4)
    layout.field(at + 12, 4)
    const from = at + recordHeader
    if (captured > end - from) break
    layout.frames.push({ from, to: from + captured, linkType })
    layout.units.push({ from: at, to: from + captured })
    at = from + captured
  }
}

/** Version and datalink, then records of 24 bytes and a frame with padding (RFC 1761). */
function walkSnoop(layout: LayoutBuilder): void {
  layout.isLittleEndian = false
  layout.field(8, 4)
  const datalink = layout.field(12, 4)
  const end = layout.view.byteLength
  for (let at = 16; at + 24 <= end && layout.units.length < UNITS_MAX; ) {
    layout.field(at, 4)
    const captured = layout.field(at + 4, 4)
    const length = layout.field(at + 8, 4)
    for (const offset of [12, 16, 20]) layout.field(at + offset, 4)
    if (length < 24 + captured || length > end - at) break
    const from = at + 24
    if (datalink === SNOOP_ETHERNET) layout.frames.push({ from, to: from + captured, linkType: 1 })
    layout.units.push({ from: at, to: at + length })
    at += length
  }
}

const SNOOP_ETHERNET = 4

function walkPcapng(layout: LayoutBuilder): void {
  const end = layout.view.byteLength
  const linkTypes: number[] = []
  for (let at = 0; at + 12 <= end && layout.units.length < UNITS_MAX; ) {
    if (layout.view.getUint32(at) === SECTION_HEADER) {
      layout.isLittleEndian = layout.view.getUint32(at + 8, true) === 0x1a2b_3c4d
      linkTypes.length = 0
    }
    const type = layout.field(at, 4)
    const length = layout.field(at + 4, 4)
    const next = at + length + ((4 - (length % 4)) % 4)
    if (length < 12 || next > end) break
    layout.field(next - 4, 4)
    walkBlock(layout, type, at, next - 4, linkTypes)
    layout.units.push({ from: at, to: next })
    at = next
  }
}

/** Fields of the fixed part of the blocks, by type: offset and size. Packets have the captured length at 20. */
const BLOCK_FIELDS: Readonly<Record<number, readonly (readonly [number, Field['bytes']])[]>> = {
  [SECTION_HEADER]: [
    [8, 4],
    [12, 2],
    [14, 2],
    [16, 8],
  ],
  1: [
    [8, 2],
    [12, 4],
  ],
  2: [
    [8, 2],
    [12, 4],
    [16, 4],
    [20, 4],
    [24, 4],
  ],
  3: [[8, 4]],
  5: [
    [8, 4],
    [12, 4],
    [16, 4],
  ],
  6: [
    [8, 4],
    [12, 4],
    [16, 4],
    [20, 4],
    [24, 4],
  ],
}
/** Where the options begin in the blocks that have them right behind the fixed part. */
const OPTIONS_AT: Readonly<Record<number, number>> = { [SECTION_HEADER]: 24, 1: 16, 5: 20 }

function walkBlock(layout: LayoutBuilder, type: number, at: number, end: number, linkTypes: number[]): void {
  for (const [offset, bytes] of BLOCK_FIELDS[type] ?? [])
    if (at + offset + bytes <= end) layout.field(at + offset, bytes)
  const optionsAt = OPTIONS_AT[type]
  if (optionsAt !== undefined) walkOptions(layout, at + optionsAt, end)
  if (type === 1 && at + 10 <= end) linkTypes.push(layout.view.getUint16(at + 8, layout.isLittleEndian))
  if ((type === 2 || type === 6) && at + 28 <= end) {
    const captured = layout.view.getUint32(at + 20, layout.isLittleEndian)
    const from = at + 28
    if (captured <= end - from) layout.frames.push({ from, to: from + captured, linkType: linkTypes[0] ?? 1 })
  }
}

function walkOptions(layout: LayoutBuilder, from: number, end: number): void {
  for (let at = from; at + 4 <= end; ) {
    layout.field(at, 2)
    const length = layout.field(at + 2, 2)
    if (length > 0 && at + 4 < end) layout.field(at + 4, 1)
    at += 4 + length + ((4 - (length % 4)) % 4)
  }
}

function walkArrow(layout: LayoutBuilder): void {
  layout.isLittleEndian = true
  const end = layout.view.byteLength
  for (let at = 0; at + 8 <= end && layout.units.length < UNITS_MAX; ) {
    if (layout.field(at, 4) !== ARROW_CONTINUATION) break
    const metadata = layout.field(at + 4, 4)
    const body = at + 8 + metadata
    if (metadata === 0 || body > end) break
    for (let word = at + 8, count = 0; word + 8 <= body && count < ARROW_WORDS_MAX; word += 4, count++) {
      layout.field(word, word % 8 === 0 ? 8 : 4)
    }
    const next = nextMessage(layout.view, body)
    walkLz4Frames(layout, body, next)
    layout.units.push({ from: at, to: next })
    at = next
  }
}

const LZ4_MAGIC = 0x184d_2204
const LZ4_FRAMES_MAX = 32

/** Length in front of each compressed buffer, magic, descriptor, size of the first block, and its first tokens. */
function walkLz4Frames(layout: LayoutBuilder, from: number, to: number): void {
  for (let at = from, frames = 0; at + 24 <= to && frames < LZ4_FRAMES_MAX; at += 8) {
    if (layout.view.getUint32(at + 8, true) !== LZ4_MAGIC) continue
    frames++
    layout.field(at, 8)
    for (const descriptor of [12, 13]) layout.field(at + descriptor, 1)
    layout.field(at + 15, 4)
    for (const token of [19, 20, 21, 22, 23]) layout.field(at + token, 1)
  }
}

/** The body's length stands in a flatbuffer; the next mark on a boundary of 8 bytes is found without reading that. */
function nextMessage(view: DataView, from: number): number {
  for (let at = from; at + 8 <= view.byteLength; at += 8) {
    if (view.getUint32(at, true) !== ARROW_CONTINUATION) continue
    const length = view.getUint32(at + 4, true)
    if (length < 65_536 && length % 8 === 0) return at
  }
  return view.byteLength
}
