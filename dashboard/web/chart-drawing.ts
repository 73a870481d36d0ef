import uPlot from 'uplot'
import { DAY_SECONDS, HOUR_SECONDS } from '../../schemas/time.ts'
import { formatClock, formatShortDate } from './format.ts'

/** What uPlot does not draw by itself: buckets as steps, hatching, and a time axis in UTC. */

/**
 * A path builder that draws each value as a step over its whole bucket. Between two values the line is joined, at a
 * null it stops; a single value between gaps still shows.
 */
export function bucketSteps(bucketSeconds: number): uPlot.Series.PathBuilder {
  return (plot, seriesIndex, first, last) => {
    const stroke = new Path2D()
    const fill = new Path2D()
    const times = plot.data[0]
    const values = plot.data[seriesIndex]!
    const base = plot.valToPos(0, 'y', true)
    let open = false
    let right = 0
    for (let index = first; index <= last; index++) {
      const value = values[index]
      if (value === null || value === undefined) {
        if (open) fill.lineTo(right, base)
        open = false
        continue
      }
      const left = plot.valToPos(times[index]!, 'x', true)
      right = plot.valToPos(times[index]! + bucketSeconds, 'x', true)
      const top = plot.valToPos(value, 'y', true)
      if (open) {
        stroke.lineTo(left, top)
        fill.lineTo(left, top)
      } else {
        stroke.moveTo(left, top)
        fill.moveTo(left, base)
        fill.lineTo(left, top)
      }
      stroke.lineTo(right, top)
      fill.lineTo(right, top)
      open = true
    }
    if (open) fill.lineTo(right, base)
    return { stroke, fill, clip: null, gaps: [], flags: 3 }
  }
}

const HATCH_CSS_PIXELS = 8

/** Diagonal lines, as coverage gaps are drawn everywhere. */
export function hatchPattern(context: CanvasRenderingContext2D, colour: string): CanvasPattern | null {
  const ratio = uPlot.pxRatio
  const size = Math.round(HATCH_CSS_PIXELS * ratio)
  const tile = document.createElement('canvas')
  tile.width = size
  tile.height = size
  const pen = tile.getContext('2d')
  if (!pen) return null
  pen.strokeStyle = colour
  pen.lineWidth = 1.25 * ratio
  pen.beginPath()
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size)
    pen.lineTo(shift + size, 0)
  }
  pen.stroke()
  return context.createPattern(tile, 'repeat')
}

/** Fills the plotting area over the buckets for which `marked` is true. */
export function fillBuckets(
  plot: uPlot,
  marked: readonly boolean[],
  bucketSeconds: number,
  fill: string | CanvasPattern,
): void {
  const { ctx, bbox } = plot
  const times = plot.data[0]
  ctx.save()
  ctx.fillStyle = fill
  for (let index = 0; index < marked.length; index++) {
    if (!marked[index]) continue
    let end = index
    while (marked[end + 1]) end++
    const left = Math.max(bbox.left, plot.valToPos(times[index]!, 'x', true))
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(times[end]! + bucketSeconds, 'x', true))
    if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height)
    index = end
  }
  ctx.restore()
}

/** Steps between ticks: hours that divide a day, then days. All are multiples of the epoch, so ticks stand on UTC days. */
export const TIME_STEPS = [
  ...[1, 2, 3, 6, 12].map(hours => hours * HOUR_SECONDS),
  ...[1, 2, 3, 7, 14, 28, 91, 182, 365].map(days => days * DAY_SECONDS),
]

/** `15 Nov` at a day's start, `06:00` within it. */
export function timeLabels(splits: readonly number[]): string[] {
  return splits.map(split => (split % DAY_SECONDS === 0 ? formatShortDate(split) : formatClock(split)))
}
