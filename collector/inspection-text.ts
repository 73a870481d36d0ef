import { DROP_REASONS } from '../schemas/drop-reason.ts'
import { TOOLS } from '../schemas/tool.ts'
import type { CaptureInspection, Counted } from './capture-inspection.ts'
import { formatDuration } from './duration-text.ts'
import type { LikelyPrefix } from './likely-prefixes.ts'
import { formatLinkType } from './link-type.ts'
import { columnsOf, type PageStyle, paint } from './page-style.ts'
import type { PortCount } from './port-tally.ts'
import { prefixLines } from './prefix-text.ts'
import { formatCount } from './progress.ts'
import { columnLines, countLines, formatBytes, formatShare, wrap } from './text-table.ts'
import { timeChartLines } from './time-chart.ts'
import { visibleText } from './visible-text.ts'

/** From this width on two sections stand side by side. */
const TWO_COLUMNS_FROM = 120
const GUTTER = 4
const INDENT = '  '

/** A part of the page. It is left out when it has no lines. */
interface Section {
  readonly title: string
  /** True when it always has the whole width. */
  readonly isWide?: boolean
  readonly lines: (inspection: CaptureInspection, width: number, style: PageStyle) => string[]
}

/** In order; a new kind of finding is one more row. */
const SECTIONS: readonly Section[] = [
  { title: 'Packets over time', isWide: true, lines: overTime },
  { title: 'Classes', lines: ({ classes, packets_kept }, ...how) => countLines(classes, packets_kept, ...how) },
  {
    title: 'Protocols',
    lines: ({ protocols, packets_kept }, ...how) => shortList(protocols, packets_kept, ...how),
  },
  { title: 'Ports', lines: ({ ports, packets_kept }, ...how) => countLines(ports.map(portRow), packets_kept, ...how) },
  { title: 'Sources', lines: sourceLines },
  { title: 'Tools, by what headers say', isWide: true, lines: toolLines },
  { title: 'Not counted', isWide: true, lines: dropLines },
  {
    title: 'Likely dark prefixes',
    isWide: true,
    lines: ({ likely_prefixes, packets_kept }, width, style) => [
      ...prefixLines(likely_prefixes, packets_kept, width, style),
      ...hint(likely_prefixes, width, style),
    ],
  },
]

/**
 * An inspection as a page of text, without a line end at its end.
 * @param title of the page; by default the path
 */
export function inspectionText(inspection: CaptureInspection, style: PageStyle, title = inspection.path ?? ''): string {
  return [
    paint(style, 'title', visibleText(title)),
    ...factLines(inspection, style),
    ...bodyLines(inspection, style),
  ].join('\n')
}

function factLines(inspection: CaptureInspection, style: PageStyle): string[] {
  const { packets, interface_drops, error } = inspection
  const lines: string[] = []
  const links = inspection.link_types.map(({ number }) => formatLinkType(number)).join(', ')
  const kind = [inspection.format, links === '' ? null : `link type ${links}`].filter(part => part !== null).join(', ')
  if (kind !== '') lines.push(...fact('format', kind, style))
  lines.push(...fact('packets', `${formatCount(packets)}, ${bytesText(inspection)}`, style))
  lines.push(...timeFacts(inspection, style))
  if (interface_drops !== null) {
    lines.push(...fact('lost', `${formatCount(interface_drops)} packets, as the capturing machine says`, style))
  }
  if (error !== null) {
    const text = wrap(`${visibleText(error.message)} [${error.code}]`, style.width - LABEL_WIDTH - INDENT.length)
    const label = paint(style, 'error', 'error'.padEnd(LABEL_WIDTH))
    lines.push(...text.map((line, at) => INDENT + (at === 0 ? label : ' '.repeat(LABEL_WIDTH)) + line))
  }
  return lines
}

const LABEL_WIDTH = 10

function fact(label: string, text: string, style: PageStyle): string[] {
  return wrap(text, style.width - LABEL_WIDTH - INDENT.length).map(
    (line, at) => INDENT + paint(style, 'label', (at === 0 ? label : '').padEnd(LABEL_WIDTH)) + line,
  )
}

function bytesText({ bytes_captured, bytes_on_wire }: CaptureInspection): string {
  const captured = `${formatBytes(bytes_captured)} captured`
  return bytes_captured === bytes_on_wire ? captured : `${captured} of ${formatBytes(bytes_on_wire)} on the wire`
}

function timeFacts(inspection: CaptureInspection, style: PageStyle): string[] {
  const { first_packet, last_packet, duration_seconds, packets_per_second } = inspection
  if (first_packet === null || last_packet === null) return []
  const rate = packets_per_second === null ? '' : `, ${rateText(packets_per_second)} packets/s`
  const later = duration_seconds === 0 ? 'the same moment' : `${formatDuration(duration_seconds)} later${rate}`
  const width = first_packet.length
  return [...fact('first', first_packet, style), ...fact('last', `${last_packet.padEnd(width)}  ${later}`, style)]
}

function rateText(rate: number): string {
  return rate >= 100 ? formatCount(Math.round(rate)) : String(Number(rate.toPrecision(2)))
}

/** The sections under their titles; in a wide terminal two of them side by side. */
function bodyLines(inspection: CaptureInspection, style: PageStyle): string[] {
  const isNarrow = style.width < TWO_COLUMNS_FROM
  const half = Math.floor((style.width - GUTTER) / 2)
  const lines: string[] = []
  let left: string[] = []
  for (const { title, isWide, lines: makeLines } of SECTIONS) {
    const width = isNarrow || isWide ? style.width : half
    const made = makeLines(inspection, width - INDENT.length, style)
    if (made.length === 0) continue
    const block = ['', paint(style, 'title', title), ...made.map(line => INDENT + line)]
    if (width === style.width) {
      lines.push(...left, ...block)
      left = []
    } else if (left.length === 0) left = block
    else {
      lines.push(...besides(left, block, half + GUTTER))
      left = []
    }
  }
  return [...lines, ...left]
}

function besides(left: readonly string[], right: readonly string[], column: number): string[] {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, at) => {
    const line = left[at] ?? ''
    return (line + ' '.repeat(column - columnsOf(line)) + (right[at] ?? '')).trimEnd()
  })
}

function overTime({ packets_over_time }: CaptureInspection, width: number, style: PageStyle): string[] {
  // One bucket is all packets at once, and shows nothing.
  if (packets_over_time === null || packets_over_time.packets.length < 2) return []
  const { start, bucket_seconds, packets } = packets_over_time
  return timeChartLines({ start: Date.parse(start), bucketMilliseconds: bucket_seconds * 1000, packets }, width, style)
}

const LIST_MAX = 10
const TOOL_RULES_FROM = 110

/** The largest, and the others together. */
function shortList(rows: readonly Counted<string>[], whole: number, width: number, style: PageStyle): string[] {
  const others = rows.slice(LIST_MAX)
  const packets = others.reduce((sum, row) => sum + row.packets, 0)
  const shown = [...rows.slice(0, LIST_MAX), ...(packets === 0 ? [] : [{ name: `${others.length} others`, packets }])]
  return countLines(shown, whole, width, style)
}

function portRow({ name, packets, service, backscatter }: PortCount): { name: string; note: string; packets: number } {
  const replies =
    backscatter === 0 ? '' : backscatter === packets ? 'replies' : `${formatShare(backscatter, packets)} replies`
  return { name, note: [service ?? '', replies].filter(part => part !== '').join(', '), packets }
}

function sourceLines(inspection: CaptureInspection, width: number, style: PageStyle): string[] {
  const { sources, source_count, sources_capped, sources_other_packets, packets_kept } = inspection
  if (sources.length === 0) return []
  const top = sources.reduce((sum, { packets }) => sum + packets, 0)
  const listed = sources.length === 1 ? 'the first' : `the first ${sources.length}`
  const count = `${sources_capped ? 'more than ' : ''}${formatCount(source_count)}`
  const all = sources.length === source_count && !sources_capped
  const head = all ? `${count} in all` : `${count}; ${listed} sent ${formatShare(top, packets_kept)} of the packets`
  const capped = sources_capped
    ? wrap(`${formatCount(sources_other_packets)} packets came from sources that were not counted one by one`, width)
    : []
  return [...wrap(head, width), ...capped, ...countLines(sources, packets_kept, width, style)]
}

function toolLines({ tools, packets_kept }: CaptureInspection, width: number, style: PageStyle): string[] {
  // Of the start of a rule nobody learns anything.
  const rules = new Map<string, string>(width < TOOL_RULES_FROM ? [] : TOOLS.map(({ name, rule }) => [name, rule]))
  return countLines(
    tools.map(({ name, packets }) => ({ name, note: rules.get(name) ?? '', packets })),
    packets_kept,
    width,
    style,
  )
}

function dropLines({ drops, packets }: CaptureInspection, width: number, style: PageStyle): string[] {
  const counts = columnLines(
    drops.map(drop => [drop.name, formatCount(drop.packets), formatShare(drop.packets, packets)]),
    [1, 2],
  )
  return drops.flatMap(({ name }, at) => [
    counts[at]!,
    ...wrap(meaning(DROP_REASONS[name], style), width - INDENT.length).map(
      line => INDENT + paint(style, 'faint', line),
    ),
  ])
}

/** Our own sentences, in characters that the output has. */
function meaning(text: string, style: PageStyle): string {
  return style.hasBlocks ? text : text.replaceAll('…', '...')
}

function hint(prefixes: readonly LikelyPrefix[], width: number, style: PageStyle): string[] {
  if (prefixes.length === 0) return []
  const text = prefixes.some(({ proposed }) => proposed)
    ? 'A guess from destinations that many sources send to and that send nothing; collect --telescope auto uses those marked *.'
    : 'None is marked: too few packets go to any of them to take it for a dark prefix.'
  return wrap(text, width).map(line => paint(style, 'faint', line))
}
