import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TelescopeError } from '../../schemas/errors.ts'
import {
  bucketStart,
  DAY_SECONDS,
  formatDay,
  formatTime,
  formatWeek,
  parseTime,
  parseWeek,
} from '../../schemas/time.ts'

describe('ISO weeks', () => {
  it.each([
    ['2026-W46', '2026-11-09', 'an ordinary week'],
    ['2026-W01', '2025-12-29', 'begins in the year before'],
    ['2020-W53', '2020-12-28', 'a year of 53 weeks'],
    ['2021-W01', '2021-01-04', 'after a year of 53 weeks'],
    ['2024-W01', '2024-01-01', 'begins with the year'],
  ])('%s begins on %s (%s)', (week, monday) => {
    expect(formatDay(parseWeek(week))).toBe(monday)
  })

  it.each(['2026-W00', '2026-W54', '2025-W53', '2026-46', '2026-W4', 'W46', ''])('"%s" is none', week => {
    expect(() => parseWeek(week)).toThrow(TelescopeError)
  })

  it('hold every day of their seven, and no other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), seconds => {
        const start = parseWeek(formatWeek(seconds))
        expect(start).toBeLessThanOrEqual(seconds)
        expect(seconds).toBeLessThan(start + 7 * DAY_SECONDS)
        expect(new Date(start * 1000).getUTCDay()).toBe(1)
      }),
    )
  })
})

describe('times', () => {
  it.each([
    ['2026-11-22', 1_795_305_600],
    ['2026-11-22T10:00:00Z', 1_795_341_600],
    ['2026-11-22T10:00Z', 1_795_341_600],
    ['2026-11-22T19:00:00+09:00', 1_795_341_600],
    ['1795341600', 1_795_341_600],
  ])('%s is %i', (text, seconds) => {
    expect(parseTime(text)).toBe(seconds)
  })

  it.each([
    '2026-11-22T10:00:00',
    '22.11.2026',
    '2026-13-01',
    '2026-02-30',
    '2026-02-30T10:00Z',
    '2025-02-29',
    'yesterday',
    '-1',
    '1e9',
    '',
  ])('"%s" is refused', text => {
    expect(() => parseTime(text)).toThrow(TelescopeError)
  })

  it('survive being written and read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8_000_000_000 }), seconds => parseTime(formatTime(seconds)) === seconds),
    )
  })

  it('fall into the bucket that begins at or before them', () => {
    expect([bucketStart(0, 60), bucketStart(59, 60), bucketStart(60, 60), bucketStart(-1, 60)]).toEqual([0, 0, 60, -60])
  })
})
