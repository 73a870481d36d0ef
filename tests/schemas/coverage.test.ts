import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { joinSpans, type ListenedSpan, listenedWithin } from '../../schemas/coverage.ts'

const SECOND = 1e6
const inferred = (from: number, to: number, packets = 1): ListenedSpan => ({
  from: from * SECOND,
  to: to * SECOND,
  basis: 'inferred',
  packets,
})
const declared = (from: number, to: number, packets = 0): ListenedSpan => ({
  from: from * SECOND,
  to: to * SECOND,
  basis: 'declared',
  packets,
})
const seconds = (spans: readonly ListenedSpan[]) => spans.map(span => [span.from / SECOND, span.to / SECOND])

describe('listened spans', () => {
  // At one packet in 10 seconds a silence of 138 s has the probability 10^-6 (exp(-13.8)).
  it.each([
    ['a silence that is likely', [inferred(0, 1000), inferred(1130, 2000)], [[0, 2000]]],
    [
      'a silence that is not',
      [inferred(0, 1000), inferred(1150, 2000)],
      [
        [0, 1000],
        [1150, 2000],
      ],
    ],
    [
      'a gap that the sensor declared',
      [declared(0, 1000), declared(1130, 2000)],
      [
        [0, 1000],
        [1130, 2000],
      ],
    ],
    ['a declared span that touches', [declared(0, 1000), declared(1000, 2000)], [[0, 2000]]],
    ['spans that overlap', [inferred(0, 1000), inferred(500, 800)], [[0, 1000]]],
    ['spans out of order', [inferred(1100, 2000), inferred(0, 1000)], [[0, 2000]]],
    ['nothing', [], []],
  ] as [string, ListenedSpan[], number[][]][])('join over %s', (_why, spans, expected) => {
    expect(seconds(joinSpans(spans, 0.1))).toEqual(expected)
  })

  it('are declared only when all their parts are, and keep their packets', () => {
    expect(joinSpans([declared(0, 10, 3), inferred(5, 20, 4)], 0)).toEqual([
      { from: 0, to: 20 * SECOND, basis: 'inferred', packets: 7 },
    ])
  })

  it('cover as much as a plain count of their seconds', () => {
    const span = fc
      .tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 60 }))
      .map(([from, length]) => declared(from, from + length))
    fc.assert(
      fc.property(
        fc.array(span, { maxLength: 12 }),
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 1, max: 100 }),
        (spans, from, length) => {
          let plain = 0
          for (let second = from; second < from + length; second++) {
            if (spans.some(part => part.from <= second * SECOND && (second + 1) * SECOND <= part.to)) plain++
          }
          expect(listenedWithin(joinSpans(spans, 0), from * SECOND, (from + length) * SECOND)).toBe(plain * SECOND)
        },
      ),
    )
  })
})
