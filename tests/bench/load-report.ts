import type { HubUse } from './bench-hub.ts'

export interface MemorySample extends HubUse {
  /** Since the first upload. */
  readonly minutes: number
  readonly lakeFiles: number
}

export interface LoadFigures {
  /** Milliseconds to each receipt. */
  readonly answers: readonly number[]
  /** What was answered instead of a receipt. */
  readonly refusals: readonly string[]
  /** Of what got a receipt. */
  readonly packets: number
  readonly flows: number
  readonly bytes: number
  /** Seconds from each receipt to its count. */
  readonly counted: readonly number[]
  /** States of uploads that were not counted. */
  readonly uncounted: readonly string[]
  /** Milliseconds of each question of the page. */
  readonly questions: ReadonlyMap<string, readonly number[]>
  readonly memory: readonly MemorySample[]
  /** What the hub says of the packets, in its receipts and in its answers. */
  readonly receiptPackets: number
  readonly answeredPackets: number
  /** How late the sensors' and analyst's own process was, milliseconds: part of what it measured. */
  readonly clientDelay: { readonly p99: number; readonly max: number }
  readonly loadAverage: number
}

/** Asked of a hub with 200 sensors. */
const ASKED = { answerMilliseconds: 200, countedSeconds: 10, questionMilliseconds: 300 }
/**
 * Memory counts as flat when it grows by less in an hour than a twentieth of itself, beside what one sample differs
 * from the next.
 */
const FLAT_PART_PER_HOUR = 0.05
/** Memory is judged over this part of the run: before, caches fill. */
const JUDGED_PART = 2 / 3
const SHOWN_MINUTES = [1, 5, 10, 15, 20, 25, 30, 40, 50, 60]

/** Figures as lines, with a verdict for each that is asked. */
export function judgeLoad(figures: LoadFigures): { lines: string[]; holds: boolean } {
  const { answers, refusals, packets, flows, bytes, counted, uncounted, questions, memory } = figures
  const { clientDelay, loadAverage } = figures
  const lines = [
    `uploads: ${answers.length} acknowledged, ${refusals.length} refused; ${packets} packets in ${flows} flows, ${(bytes / packets).toFixed(1)} bytes a packet as sent`,
    ...[...new Set(refusals)].slice(0, 5).map(refusal => `  refused: ${refusal}`),
    ...[...new Set(uncounted)].map(state => `  not counted: ${state}`),
    `client: late by ${clientDelay.p99.toFixed(0)} ms (p99), ${clientDelay.max.toFixed(0)} ms at most; load of the machine ${loadAverage.toFixed(1)}`,
    `${''.padEnd(30)}${['count', 'p50', 'p99', 'max'].map(name => name.padStart(9)).join('')}`,
    line('answer to an upload, ms', answers, 0),
    line('received to counted, s', counted, 1),
    ...[...questions].map(([name, times]) => line(`  ${name}, ms`, times, 0)),
  ]
  const asked = [...questions.values()].flat()
  lines.push(line('all questions, ms', asked, 0), ...memoryLines(memory))
  const verdicts: [string, boolean][] = [
    ['each upload has a receipt', refusals.length === 0],
    [`each receipt is counted, but ${uncounted.length}`, uncounted.length === 0],
    [
      `p99 of the answer ${p99(answers).toFixed(0)} ms, asked under ${ASKED.answerMilliseconds}`,
      p99(answers) < ASKED.answerMilliseconds,
    ],
    [
      `p99 received to counted ${p99(counted).toFixed(1)} s, asked under ${ASKED.countedSeconds}`,
      p99(counted) < ASKED.countedSeconds,
    ],
    [
      `p99 of the page's questions ${p99(asked).toFixed(0)} ms, asked under ${ASKED.questionMilliseconds}`,
      p99(asked) < ASKED.questionMilliseconds,
    ],
    memoryVerdict(memory),
    [
      `packets sent ${packets}, in receipts ${figures.receiptPackets}, in answers ${figures.answeredPackets}`,
      packets === figures.receiptPackets && packets === figures.answeredPackets,
    ],
  ]
  lines.push(...verdicts.map(([what, holds]) => `${holds ? 'ok    ' : 'FAILED'} ${what}`))
  return { lines, holds: verdicts.every(([, holds]) => holds) }
}

function memoryLines(memory: readonly MemorySample[]): string[] {
  const [first, last] = [memory[0]!, memory.at(-1)!]
  const minutes = last.minutes - first.minutes
  const shown = SHOWN_MINUTES.filter(minute => minute <= last.minutes).map(
    minute => memory.find(sample => sample.minutes >= minute)!,
  )
  const row = (name: string, value: (sample: MemorySample) => number): string =>
    `${name.padEnd(30)}${[...shown, last].map(sample => value(sample).toFixed(0).padStart(7)).join('')}`
  return [
    row('minute', sample => sample.minutes),
    row('MB of the hub', sample => sample.hubMegabytes),
    row('MB of its children', sample => sample.childrenMegabytes),
    row('lake files', sample => sample.lakeFiles),
    `processor seconds a minute: hub ${((last.hubSeconds - first.hubSeconds) / minutes).toFixed(1)}, children ${((last.childrenSeconds - first.childrenSeconds) / minutes).toFixed(1)}; threads of the hub waited ${((last.hubWaitedSeconds - first.hubWaitedSeconds) / minutes).toFixed(1)} for a processor`,
  ]
}

function memoryVerdict(memory: readonly MemorySample[]): [string, boolean] {
  const end = memory.at(-1)!.minutes
  const judged = memory.filter(({ minutes }) => minutes >= end * (1 - JUDGED_PART))
  const points = judged.map(sample => ({ x: sample.minutes, y: sample.hubMegabytes + sample.childrenMegabytes }))
  const slope = slopeOf(points)
  const mean = points.reduce((sum, { y }) => sum + y, 0) / points.length
  const limit = (mean * FLAT_PART_PER_HOUR) / 60
  const text = `memory ${slope >= 0 ? '+' : ''}${slope.toFixed(2)} MB a minute over the last two thirds, at ${mean.toFixed(0)} MB; asked flat: under ${limit.toFixed(2)}`
  return [text, slope < limit]
}

/** Least squares. */
function slopeOf(points: readonly { x: number; y: number }[]): number {
  const mean = (pick: (point: { x: number; y: number }) => number): number =>
    points.reduce((sum, point) => sum + pick(point), 0) / points.length
  const [meanX, meanY] = [mean(({ x }) => x), mean(({ y }) => y)]
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  return spread === 0 ? 0 : points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
}

function p99(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.99,
  )
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
}

function line(name: string, values: readonly number[], digits: number): string {
  const sorted = values.toSorted((a, b) => a - b)
  const figures = [0.5, 0.99, 1].map(part => quantile(sorted, part).toFixed(digits).padStart(9))
  return `${name.padEnd(30)}${String(values.length).padStart(9)}${figures.join('')}`
}
