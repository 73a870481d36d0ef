import { formatDuration } from './duration-text.ts'
import { type PageStyle, paint } from './page-style.ts'
import { formatCount } from './progress.ts'
import { rebucket, type TimeSeries } from './time-histogram.ts'

const ROWS = 4
/** A column a bucket, or up to so many where there are few. */
const COLUMNS_PER_BUCKET_MAX = 6
/** From none to full. */
const BLOCKS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const
const ASCII = [' ', '.', ':', '#'] as const
const DAY_MS = 86_400_000

/** Packets over time as columns, with the largest count at the side and times below. */
export function timeChartLines(series: TimeSeries, width: number, style: PageStyle): string[] {
  const labelWidth = formatCount(Math.max(...series.packets)).length
  // The count of a joined bucket may be longer than that of the parts, by few digits.
  const shown = rebucket(series, width - labelWidth - 6)
  const largest = Math.max(...shown.packets)
  const label = formatCount(largest)
  const room = width - label.length - 2
  const each = Math.max(1, Math.min(COLUMNS_PER_BUCKET_MAX, Math.floor(room / shown.packets.length)))
  const axis = style.hasBlocks ? '│' : '|'
  const lines = []
  for (let row = ROWS - 1; row >= 0; row--) {
    const side = (row === ROWS - 1 ? label : row === 0 ? '0' : '').padStart(label.length)
    const cells = shown.packets.map(packets => cellOf(packets, largest, row, style).repeat(each)).join('')
    lines.push(`${side} ${paint(style, 'faint', axis)}${paint(style, 'bar', cells.trimEnd())}`)
  }
  const indent = ' '.repeat(label.length + 2)
  lines.push(indent + timeLabels(shown, each, room))
  const bucket = formatDuration(shown.bucketMilliseconds / 1000)
  lines.push(indent + paint(style, 'faint', `packets in ${bucket} ${each === 1 ? 'a column' : 'a bar'}, UTC`))
  return lines
}

function cellOf(packets: number, largest: number, row: number, style: PageStyle): string {
  const signs = style.hasBlocks ? BLOCKS : ASCII
  const steps = signs.length - 1
  // What is there is seen, however little it is.
  const level = packets === 0 ? 0 : Math.max(1, Math.round((packets / largest) * ROWS * steps))
  return signs[Math.max(0, Math.min(steps, level - row * steps))]!
}

/** The times of some buckets, each under its first column, as many as there is room for. */
function timeLabels({ start, bucketMilliseconds, packets }: TimeSeries, each: number, room: number): string {
  const isLong = packets.length * bucketMilliseconds > DAY_MS
  const text = (bucket: number) => timeText(start + bucket * bucketMilliseconds, bucketMilliseconds, isLong)
  const every = Math.max(1, Math.ceil((text(0).length + 3) / each))
  let line = ''
  for (let bucket = 0; bucket < packets.length; bucket += every) {
    const at = bucket * each
    if (at + text(bucket).length <= room) line = line.padEnd(at) + text(bucket)
  }
  return line
}

/** As much of a time as tells the buckets apart: `11-22`, `11-22 10:00`, `10:00`, `10:00:05`, `10:00:05.250`. */
function timeText(milliseconds: number, bucketMilliseconds: number, isLong: boolean): string {
  const iso = new Date(milliseconds).toISOString()
  if (bucketMilliseconds % DAY_MS === 0) return iso.slice(0, 10)
  const end = bucketMilliseconds % 60_000 === 0 ? 16 : bucketMilliseconds % 1000 === 0 ? 19 : 23
  return isLong ? iso.slice(5, end).replace('T', ' ') : iso.slice(11, end)
}
