import uPlot from 'uplot'
import { DAY_SECONDS, HOUR_SECONDS } from '../../schemas/time.ts'
import { formatClock, formatShortDate } from './format.ts'

/** What uPlot does not draw by itself: buckets as steps, hatching, and a time axis in UTC. */

/**
 * A path builder that draws each value over its whole bucket: as a step, or, when many lines would hide each other, as
 * a point in the middle joined to its neighbours. At a null the line stops; a single value between gaps still shows.
 */
export function bucketPaths(bucketSeconds: number, shape: 'steps' | 'lines'): uPlot.Series.PathBuilder {
  return (plot, seriesIndex, first, last) => {
    const stroke = new Path2D()
    const fill = new Path2D()
    const values = plot.data[seriesIndex]!
    const x = (index: number, part: number): number =>
      plot.valToPos(plot.data[0][index]! + part * bucketSeconds, 'x', true)
    const base = plot.valToPos(0, 'y', true)
    const has = (index: number): boolean => index >= first && index <= last && typeof values[index] === 'number'
    for (let index = first; index <= last; index++) {
      if (!has(index)) continue
      const top = plot.valToPos(values[index]!, 'y', true)
      const alone = !has(index - 1) && !has(index + 1)
      const corners = shape === 'steps' || alone ? [x(index, 0), x(index, 1)] : [x(index, 0.5)]
      for (const [nth, left] of corners.entries()) {
        if (nth === 0 && !has(index - 1)) {
          stroke.moveTo(left, top)
          fill.moveTo(left, base)
        } else stroke.lineTo(left, top)
        fill.lineTo(left, top)
      }
      if (!has(index + 1)) fill.lineTo(corners.at(-1)!, base)
    }
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

/** Hatches the buckets in which sensors are missing of those expected, the fainter the fewer are. */
export function fillMissing(
  plot: uPlot,
  listening: readonly number[],
  expected: readonly number[],
  bucketSeconds: number,
  hatch: CanvasPattern,
): void {
  const { ctx, bbox } = plot
  const times = plot.data[0]
  ctx.save()
  ctx.fillStyle = hatch
  for (let index = 0; index < listening.length; index++) {
    const missing = expected[index]! - listening[index]!
    if (missing <= 0) continue
    let end = index
    while (listening[end + 1] === listening[index] && expected[end + 1] === expected[index]) end++
    const left = Math.max(bbox.left, plot.valToPos(times[index]!, 'x', true))
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(times[end]! + bucketSeconds, 'x', true))
    ctx.globalAlpha = 0.4 + (0.6 * missing) / expected[index]!
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

/** `15 Nov` at a day's start, `06:00` within it; none at the very end, where it would be cut. */
export function timeLabels(splits: readonly number[], until: number): string[] {
  return splits.map(split => {
    if (split >= until) return ''
    return split % DAY_SECONDS === 0 ? formatShortDate(split) : formatClock(split)
  })
}
