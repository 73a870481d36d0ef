import { formatFactor, formatShare } from './format.ts'
import type { PageContext } from './page-context.ts'
import { isTooLittle, type LeftOut, type Verdict } from './rising.ts'
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

/** Why nothing can be compared: there is nothing before, or too little of it was listened to. */
export function noBaselineText({ range, data }: PageContext): string {
  return range.since <= data.since ? STRINGS.risingNoBaseline : STRINGS.noBaseline
}

/** Which sensors an answer leaves out, each with the reason where it is known. */
export function leftOutText(sensors: readonly string[], known: readonly LeftOut[]): string {
  const reasons = sensors.map(sensor => {
    const part = known.find(one => one.sensor === sensor)
    if (!part) return STRINGS.leftOut.unknown(sensor)
    if (isTooLittle(part.before) && isTooLittle(part.now)) {
      return STRINGS.leftOut.both(sensor, formatShare(part.before), formatShare(part.now))
    }
    if (isTooLittle(part.before)) return STRINGS.leftOut.before(sensor, formatShare(part.before))
    return isTooLittle(part.now) ? STRINGS.leftOut.now(sensor, formatShare(part.now)) : STRINGS.leftOut.unknown(sensor)
  })
  return STRINGS.leftOut.sentence(reasons)
}
