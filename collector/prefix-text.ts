import type { LikelyPrefix } from './likely-prefixes.ts'
import { columnsOf, type PageStyle, paint } from './page-style.ts'
import { formatCount } from './progress.ts'
import { columnLines, formatShare } from './text-table.ts'

const ROLES = { high: 'good', medium: 'doubtful', low: 'doubtful' } as const

/** Columns; `keep` says how long each stays when there is no room for all, 0 for ever. */
const COLUMNS: readonly {
  readonly head: string
  readonly keep: number
  readonly isNumber?: boolean
  readonly cell: (row: LikelyPrefix, packetsKept: number, style: PageStyle) => string
}[] = [
  { head: '', keep: 0, cell: ({ proposed }) => (proposed ? '*' : ' ') },
  { head: 'prefix', keep: 0, cell: ({ prefix }) => prefix },
  { head: 'seen', keep: 0, isNumber: true, cell: row => `${formatCount(row.destinations)} of ${sizeText(row)}` },
  { head: 'packets', keep: 3, isNumber: true, cell: ({ packets }) => formatCount(packets) },
  { head: 'share', keep: 2, isNumber: true, cell: ({ packets }, whole) => formatShare(packets, whole) },
  { head: 'first contacts', keep: 1, isNumber: true, cell: row => formatCount(row.first_contacts) },
  { head: 'confidence', keep: 0, cell: ({ confidence }, _, style) => paint(style, ROLES[confidence], confidence) },
]

/**
 * Likely dark prefixes with their evidence, one a line under a heading; those that are proposed are marked. What does
 * not fit the width is left out, column by column.
 */
export function prefixLines(
  prefixes: readonly LikelyPrefix[],
  packetsKept: number,
  width: number,
  style: PageStyle,
): string[] {
  if (prefixes.length === 0) return []
  for (let dropped = 0; ; dropped++) {
    const columns = COLUMNS.filter(({ keep }) => keep === 0 || keep > dropped)
    const head = columns.map(column => paint(style, 'faint', column.head))
    const rows = prefixes.map(row => columns.map(({ cell }) => cell(row, packetsKept, style)))
    const right = columns.flatMap(({ isNumber }, at) => (isNumber ? [at] : []))
    const lines = columnLines([head, ...rows], right)
    if (dropped === 3 || lines.every(line => columnsOf(line) <= width)) return lines
  }
}

/** Number of addresses; beyond exact numbers, which only IPv6 has, as a power of two. */
function sizeText({ addresses, prefix }: LikelyPrefix): string {
  return addresses === null ? `2^${128 - Number(prefix.slice(prefix.indexOf('/') + 1))}` : formatCount(addresses)
}
