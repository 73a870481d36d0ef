import { columnsOf, type PageStyle, paint } from './page-style.ts'
import { formatCount } from './progress.ts'

/** Tables of counts in text: columns aligned, bars in proportion to the largest count. */

interface CountRow {
  readonly name: string
  /** Beside the name, cut where there is no room. */
  readonly note?: string
  readonly packets: number
}

const GAP = '  '
const BAR_MAX = 40
const BAR_MIN = 4
const NOTE_MIN = 6
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** One line a row: name, note, packets, share of the whole, bar. No line is wider than `width`. */
export function countLines(rows: readonly CountRow[], whole: number, width: number, style: PageStyle): string[] {
  const nameWidth = widest(rows.map(({ name }) => name))
  const counts = rows.map(({ packets }) => formatCount(packets))
  const shares = rows.map(({ packets }) => formatShare(packets, whole))
  const countWidth = widest(counts)
  const shareWidth = widest(shares)
  const numbers = countWidth + shareWidth + GAP.length
  const room = Math.max(0, width - nameWidth - numbers - 2 * GAP.length)
  const notes = rows.map(({ note = '' }) => note)
  // Whole notes are worth a short bar; notes that are cut all the same get half of the room.
  const noteRoom = room - BAR_MIN - GAP.length
  const noteWidest = widest(notes)
  const noteWidth = noteWidest <= noteRoom ? noteWidest : Math.floor(room / 2) < NOTE_MIN ? 0 : Math.floor(room / 2)
  const barWidth = Math.min(BAR_MAX, room - (noteWidth === 0 ? 0 : noteWidth + GAP.length))
  const largest = Math.max(1, ...rows.map(({ packets }) => packets))
  return rows.map(({ name, packets }, at) => {
    const note = noteWidth === 0 ? '' : GAP + paint(style, 'faint', cut(notes[at]!, noteWidth, style).padEnd(noteWidth))
    const bar = paint(style, 'bar', barOf(packets / largest, barWidth, style))
    return `${name.padEnd(nameWidth)}${note}${GAP}${counts[at]!.padStart(countWidth)}${GAP}${shares[at]!.padStart(shareWidth)}${GAP}${bar}`.trimEnd()
  })
}

/** Columns of text, the left ones to the left and those named in `right` to the right. */
export function columnLines(rows: readonly (readonly string[])[], right: readonly number[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => widest(rows.map(row => row[column]!)))
  return rows.map(row =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat(widths[column]! - columnsOf(cell))
        return right.includes(column) ? padding + cell : cell + padding
      })
      .join(GAP)
      .trimEnd(),
  )
}

/** `12.3 %`; what is there is never shown as nothing, and what is not all never as all. */
export function formatShare(part: number, whole: number): string {
  if (whole === 0 || part === 0) return '0 %'
  const percent = (part / whole) * 100
  if (percent < 0.1) return '< 0.1 %'
  return part < whole && percent > 99.9 ? '> 99.9 %' : `${percent.toFixed(1)} %`
}

/** `335.4 MB`; below a megabyte every byte. */
export function formatBytes(bytes: number): string {
  if (bytes < 1e6) return `${formatCount(bytes)} bytes`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

/** Breaks text between words into lines of at most `width`, where words allow it. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  // The spaces within a number such as 4 200 000 hold it together.
  for (const word of text.split(/(?<!\d) | (?!\d{3}\b)/)) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

function barOf(part: number, width: number, style: PageStyle): string {
  if (width < BAR_MIN) return ''
  if (!style.hasBlocks) return '#'.repeat(Math.max(1, Math.round(part * width)))
  const eighths = Math.max(1, Math.round(part * width * 8))
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7]!
}

function widest(cells: readonly string[]): number {
  return cells.reduce((width, cell) => Math.max(width, columnsOf(cell)), 0)
}

function cut(text: string, width: number, style: PageStyle): string {
  const end = style.hasBlocks ? '…' : '..'
  return text.length <= width ? text : text.slice(0, width - end.length) + end
}
