import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CoverageRecorder, type DeclaredSpan } from '../../collector/coverage-recorder.ts'
import { SpanTracker } from '../../collector/span-tracker.ts'
import type { ListenedSpan } from '../../schemas/coverage.ts'

// When a sensor listened, from packet times (here in seconds) and from what its operator declares.

const S = 1_000_000

function spansOf(seconds: readonly number[], declared: DeclaredSpan | null = null): ListenedSpan[] {
  const recorder = new CoverageRecorder(declared)
  for (const second of seconds) recorder.add(second * S)
  return recorder.take(null)
}

/** One packet every `step` seconds in [from, to). */
function steady(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step)
}

const inSeconds = (spans: readonly ListenedSpan[]) => spans.map(({ from, to }) => [from / S, (to - 1) / S])

describe('spans from packets', () => {
  it('reach from the first to the last packet', () => {
    expect(spansOf([100, 130])).toEqual([{ from: 100 * S, to: 130 * S + 1, basis: 'inferred', packets: 2 }])
    expect(spansOf([100])).toEqual([{ from: 100 * S, to: 100 * S + 1, basis: 'inferred', packets: 1 }])
    expect(spansOf([])).toEqual([])
  })

  it('are parted by a silence that is too unlikely at the usual rate', () => {
    // 6 packets a minute: 13.8 packets fit into 138 s.
    const day = [...steady(0, 40_000, 10), ...steady(40_140, 86_400, 10)]
    expect(inSeconds(spansOf(day))).toEqual([
      [0, 39_990],
      [40_140, 86_390],
    ])
    const shorter = [...steady(0, 40_000, 10), ...steady(40_120, 86_400, 10)]
    expect(inSeconds(spansOf(shorter))).toEqual([[0, 86_390]])
  })

  it('take the median hour, so that one flood does not make every silence an outage', () => {
    const quiet = [...steady(0, 36_000, 10), ...steady(36_100, 86_400, 10)]
    const flood = steady(50_000, 50_100, 0.001)
    expect(inSeconds(spansOf([...quiet, ...flood].sort((a, b) => a - b)))).toEqual([[0, 86_390]])
  })

  it('fall back to the mean when most hours are empty', () => {
    const tracker = new SpanTracker()
    for (const second of [0, 10, 86_400]) tracker.add(second * S)
    expect(tracker.packetsPerSecond()).toBeCloseTo(3 / 86_400, 10)
  })

  it('never part at a silence of one interval, however high the rate', () => {
    expect(inSeconds(spansOf([...steady(0, 10, 0.001), ...steady(69, 80, 0.001)]))).toEqual([[0, 79.999]])
  })

  it('are the same for packets in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 60 }), seconds => {
        const inOrder = spansOf([...seconds].sort((a, b) => a - b))
        expect(spansOf(seconds)).toEqual(inOrder)
        expect(inOrder.reduce((sum, span) => sum + span.packets, 0)).toBe(seconds.length)
      }),
    )
  })

  it('bound what a jumping clock can make', () => {
    const recorder = new CoverageRecorder(null)
    let packets = 0
    while (!recorder.isFull) recorder.add(packets++ * 1000 * S)
    expect(packets).toBe(4096)
    recorder.take(0)
    expect(recorder.isFull).toBe(false)
  })
})

describe('declared spans', () => {
  const declared = { from: 1000 * S, to: 2000 * S }

  it('override what the packets say', () => {
    expect(spansOf([1500], declared)).toEqual([{ ...declared, basis: 'declared', packets: 1 }])
    expect(spansOf([], declared)).toEqual([{ ...declared, basis: 'declared', packets: 0 }])
  })

  it('leave packets outside to speak for themselves', () => {
    expect(spansOf([900, 1500, 2000], declared)).toEqual([
      { from: 900 * S, to: 900 * S + 1, basis: 'inferred', packets: 1 },
      { ...declared, basis: 'declared', packets: 1 },
      { from: 2000 * S, to: 2000 * S + 1, basis: 'inferred', packets: 1 },
    ])
  })

  it('are shared out among batches without gap or overlap', () => {
    const recorder = new CoverageRecorder(declared)
    recorder.add(1100 * S)
    expect(recorder.take(1400 * S)).toEqual([{ from: 1000 * S, to: 1400 * S, basis: 'declared', packets: 1 }])
    recorder.add(1400 * S)
    expect([recorder.first, recorder.last]).toEqual([1400 * S, 1400 * S])
    expect(recorder.take(2500 * S)).toEqual([{ from: 1400 * S, to: 2000 * S, basis: 'declared', packets: 1 }])
    recorder.add(2500 * S)
    expect(recorder.take(null)).toEqual([{ from: 2500 * S, to: 2500 * S + 1, basis: 'inferred', packets: 1 }])
    expect([recorder.first, recorder.last]).toEqual([null, null])
  })

  it('are told again for packets that come when an earlier batch has their time', () => {
    const recorder = new CoverageRecorder(declared)
    recorder.add(1100 * S)
    recorder.take(2500 * S)
    recorder.add(1300 * S)
    recorder.add(1200 * S)
    recorder.addFollowing(1201 * S, 3)
    expect(recorder.take(2500 * S)).toEqual([{ from: 1200 * S, to: 1300 * S + 1, basis: 'declared', packets: 5 }])
    expect(recorder.take(null)).toEqual([])
  })
})
