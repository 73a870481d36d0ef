import { html, nothing, svg, type TemplateResult } from 'lit'
import { type CoverageRun, coverageRuns } from './align.ts'
import { formatMoment, formatShare } from './format.ts'
import type { TimeRange } from './range.ts'
import { STRINGS } from './strings.ts'

const BAR_HEIGHT = 10

/**
 * One bar a sensor, on the time axis of the chart above: filled where it listened, as high as the part of the bucket
 * it listened to, hatched (the bar's own ground) where it did not, and plain where
 * it had not begun or the time is still to come.
 */
export function coverageStrip(
  sensors: readonly string[],
  cells: ReadonlyMap<string, readonly number[]>,
  countable: ReadonlyMap<string, readonly number[]>,
  range: TimeRange,
  bucketSeconds: number,
): TemplateResult {
  return html`<div class="strip" role="group" aria-label=${STRINGS.coverageTitle}>
    ${sensors.map(sensor => {
      const runs = coverageRuns(cells.get(sensor) ?? [], countable.get(sensor) ?? [], range, bucketSeconds)
      return bar(sensor, runs, range, bucketSeconds)
    })}
  </div>`
}

function bar(sensor: string, runs: readonly CoverageRun[], range: TimeRange, bucketSeconds: number): TemplateResult {
  const seconds = range.until - range.since
  const counted = runs.filter(run => run.level !== 'outside')
  const countedSeconds = counted.reduce((sum, run) => sum + run.to - run.from, 0)
  const listened = counted.reduce((sum, run) => sum + run.coverage * (run.to - run.from), 0) / countedSeconds
  const gaps = runs.filter(run => run.level === 'none').map(run => runText(run, bucketSeconds))
  const gapsText = gaps.length > 0 ? STRINGS.coverageGaps(gaps.join('; ')) : ''
  const label =
    countedSeconds === 0 ? STRINGS.coverageNone(sensor) : STRINGS.coverageOf(sensor, formatShare(listened), gapsText)
  return html`<div class="strip-row">
    <span class="strip-label" title=${sensor} aria-hidden="true">${sensor}</span>
    <svg class="strip-bar" viewBox="0 0 ${seconds} ${BAR_HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
      ${runs.map(run => {
        const height =
          run.level === 'full' || run.level === 'outside'
            ? BAR_HEIGHT
            : run.level === 'part'
              ? Math.max(2, run.coverage * BAR_HEIGHT)
              : 0
        return height === 0
          ? nothing
          : svg`<rect class=${run.level} x=${run.from - range.since} width=${run.to - run.from} y=${BAR_HEIGHT - height} height=${height}/>`
      })}
    </svg>
  </div>`
}

function runText(run: CoverageRun, bucketSeconds: number): string {
  const last = bucketSeconds >= 86_400 ? run.to - bucketSeconds : run.to
  const [from, to] = [formatMoment(run.from, bucketSeconds), formatMoment(last, bucketSeconds)]
  return from === to ? from : `${from} – ${to}`
}
