import { DROP_REASONS } from '../schemas/drop-reason.ts'
import { TOOLS } from '../schemas/tool.ts'
import type { ToolEvidence } from '../schemas/tool-evidence.ts'
import { UDP_PROBES } from '../schemas/udp-probe.ts'
import type { CaptureInspection, Counted } from './capture-inspection.ts'
import { formatDuration } from './duration-text.ts'
import type { LikelyPrefix } from './likely-prefixes.ts'
import { formatLinkType, isLinkTypeSupported } from './link-type.ts'
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

const TOOL_RULES = new Map<string, string>(TOOLS.map(({ name, rule }) => [name, rule]))
const PROBE_RULES = new Map<string, string>(UDP_PROBES.map(({ name, rule }) => [name, rule]))

/** In order; a new kind of finding is one more row. */
const SECTIONS: readonly Section[] = [
  { title: 'Packets over time', isWide: true, lines: overTime },
  { title: 'Classes', lines: ({ classes, packets_kept }, ...how) => countLines(classes, packets_kept, ...how) },
  {
    title: 'Protocols',
    lines: ({ protocols, packets_kept }, ...how) => countLines(largest(protocols), packets_kept, ...how),
  },
  { title: 'Ports', lines: ({ ports, packets_kept }, ...how) => countLines(ports.map(portRow), packets_kept, ...how) },
  { title: 'Sources', lines: sourceLines },
  {
    title: 'Tools, by what headers say',
    isWide: true,
    lines: ({ tools, packets_kept }, ...how) => ruledLines(tools, TOOL_RULES, packets_kept, ...how),
  },
  {
    title: 'UDP probes, by their first bytes',
    isWide: true,
    lines: ({ udp_probes, packets_kept }, ...how) => ruledLines(udp_probes, PROBE_RULES, packets_kept, ...how),
  },
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
  const links = inspection.link_types.map(linkTypeText).join(', ')
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

function linkTypeText({ number }: { readonly number: number }): string {
  return isLinkTypeSupported(number) ? formatLinkType(number) : `${formatLinkType(number)} not supported`
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

/** The largest, and the others together. */
function largest(rows: readonly Counted<string>[]): Counted<string>[] {
  const others = rows.slice(LIST_MAX)
  const packets = others.reduce((sum, row) => sum + row.packets, 0)
  return [...rows.slice(0, LIST_MAX), ...(packets === 0 ? [] : [{ name: `${others.length} others`, packets }])]
}

/** Each line with what explains it below; nothing is below a line whose text is empty. */
function explained(lines: readonly string[], texts: readonly string[], width: number, style: PageStyle): string[] {
  return lines.flatMap((line, at) => {
    const below = texts[at] === '' ? [] : wrap(ownText(texts[at]!, style), width - INDENT.length)
    return [line, ...below.map(part => INDENT + paint(style, 'faint', part))]
  })
}

/** Counts, each with the rule that its name stands for. */
function ruledLines(
  counts: readonly Counted<string>[],
  rules: ReadonlyMap<string, string>,
  whole: number,
  width: number,
  style: PageStyle,
): string[] {
  const rows = largest(counts)
  const texts = rows.map(({ name }) => rules.get(name) ?? '')
  return explained(countLines(rows, whole, width, style), texts, width, style)
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
  const evidence = sources.map(({ tools }) => tools.map(evidenceText).join(', '))
  const lines = explained(countLines(sources, packets_kept, width, style), evidence, width, style)
  return [...wrap(head, width), ...capped, ...lines]
}

function evidenceText({ name, matched, packets, chance }: ToolEvidence): string {
  return `${name} ${formatCount(matched)} of ${formatCount(packets)} (${chanceText(chance)})`
}

/** In words where there is no number: of a profile nobody knows the chance, and 0 is less than a double holds. */
function chanceText(chance: number | null): string {
  if (chance === null) return 'chance unknown'
  return chance === 0 ? 'chance below 1e-300' : `chance ${chance.toExponential(0)}`
}

function dropLines({ drops, packets }: CaptureInspection, width: number, style: PageStyle): string[] {
  const counts = columnLines(
    drops.map(drop => [drop.name, formatCount(drop.packets), formatShare(drop.packets, packets)]),
    [1, 2],
  )
  const meanings = drops.map(({ name }) => DROP_REASONS[name])
  return explained(counts, meanings, width, style)
}

/** Our own sentences, in characters that the output has. */
function ownText(text: string, style: PageStyle): string {
  return style.hasBlocks ? text : text.replaceAll('…', '...')
}

function hint(prefixes: readonly LikelyPrefix[], width: number, style: PageStyle): string[] {
  if (prefixes.length === 0) return []
  const text = prefixes.some(({ proposed }) => proposed)
    ? 'A guess from destinations that many sources send to and that send nothing; collect --telescope auto uses those marked *.'
    : 'None is marked: too few packets go to any of them to take it for a dark prefix.'
  return wrap(text, width).map(line => paint(style, 'faint', line))
}
