import { formatFactor, formatShare } from './format.ts'
import type { SensorChange, Verdict } from './rising.ts'
import { STRINGS } from './strings.ts'

/** The verdict as people say it. */
export function verdictText(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'source':
      return STRINGS.verdict.source(verdict.source, formatShare(verdict.share))
    case 'sensor':
      return STRINGS.verdict.sensor(verdict.sensor)
    default:
      return STRINGS.verdict[verdict.kind](verdict.risen, verdict.sensors)
  }
}

/** Growth as a factor; a baseline of zero is `new`, never infinity. */
export function growthText(now: number, before: number): string {
  return before > 0 ? formatFactor(now / before) : STRINGS.risingNew
}

/** Mean rates over the sensors that listened in both periods. */
export function meanRates(changes: readonly SensorChange[]): { now: number; before: number } {
  const mean = (pick: (change: SensorChange) => number): number =>
    changes.length === 0 ? 0 : changes.reduce((sum, change) => sum + pick(change), 0) / changes.length
  return { now: mean(change => change.now), before: mean(change => change.before) }
}
