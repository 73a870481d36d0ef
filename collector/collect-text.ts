import type { CaptureSummary, CollectSummary } from '../schemas/batch.ts'
import { DROP_REASONS, type DropReason } from '../schemas/drop-reason.ts'
import { formatDuration } from './duration-text.ts'
import { columnsOf, type PageStyle, paint } from './page-style.ts'
import { formatCount } from './progress.ts'
import { columnLines, formatBytes, formatShare, wrap } from './text-table.ts'
import { visibleText } from './visible-text.ts'

const INDENT = '  '

/** What `hirundo collect` came to, for people; ends with a line end. */
export function collectText(summary: CollectSummary, style: PageStyle): string {
  const lines = summary.captures.flatMap(capture => captureLines(capture, style))
  const { captures, flows, batches, bytes_read, seconds } = summary
  const packets = captures.reduce((sum, { packets_read }) => sum + packets_read, 0)
  const kept = captures.reduce((sum, { packets_kept }) => sum + packets_kept, 0)
  const all = captures.length > 1 ? `${formatCount(packets)} packets read, ${formatCount(kept)} kept; ` : ''
  const result = `${all}${formatCount(flows)} flows in ${batches === 1 ? '1 batch' : `${formatCount(batches)} batches`}`
  lines.push(paint(style, 'title', result))
  lines.push(
    `${formatBytes(bytes_read)} in ${formatDuration(seconds)}, ${rateText(summary.packets_per_second)} packets/s`,
  )
  return `${lines.join('\n')}\n`
}

function captureLines(capture: CaptureSummary, style: PageStyle): string[] {
  const { path, format, packets_read, packets_kept, first_packet, last_packet, error } = capture
  const share = packets_read === packets_kept ? '' : ` (${formatShare(packets_kept, packets_read)})`
  const facts = [`${formatCount(packets_read)} packets read, ${formatCount(packets_kept)} kept${share}`]
  if (first_packet !== null) facts.push(`${first_packet} to ${last_packet}`)
  const lines = [paint(style, 'title', visibleText(path)) + (format === null ? '' : `: ${format}`)]
  lines.push(...facts.map(fact => INDENT + fact), ...dropLines(capture, style))
  if (error) {
    const place = error.offset === null ? '' : ` (byte ${formatCount(error.offset)})`
    const text = wrap(
      `${visibleText(error.message)}${place} [${error.code}]`,
      style.width - INDENT.length - 'error '.length,
    )
    const label = `${paint(style, 'error', 'error')} `
    lines.push(...text.map((line, at) => INDENT + (at === 0 ? label : ' '.repeat(columnsOf(label))) + line))
  }
  return lines
}

/** Each reason with what it means. */
function dropLines({ drops, packets_read }: CaptureSummary, style: PageStyle): string[] {
  const rows = Object.entries(drops) as [DropReason, number][]
  const counts = columnLines(
    rows.map(([name, count]) => ['dropped', formatCount(count), formatShare(count, packets_read), name]),
    [1, 2],
  )
  return rows.flatMap(([name], at) => [
    INDENT + counts[at]!,
    ...wrap(DROP_REASONS[name], style.width - 2 * INDENT.length).map(
      line => INDENT + INDENT + paint(style, 'faint', line),
    ),
  ])
}

function rateText(rate: number): string {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} M` : formatCount(rate)
}
