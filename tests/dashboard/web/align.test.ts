import { describe, expect, it } from 'vitest'
import {
  alignTraffic,
  bucketTimes,
  countableSeconds,
  coverageBySensor,
  coverageRuns,
  expectedCounts,
  listeningCounts,
  weightedRate,
} from '../../../dashboard/web/align.ts'
import type { QueryRow } from '../../../schemas/api.ts'

const HOUR = 3600
const range = { since: 0, until: 4 * HOUR }
const iso = (hours: number) => new Date(hours * HOUR * 1000).toISOString()

function traffic(hours: number, series: string, rate: number | null, packets = 10): QueryRow<'traffic'> {
  return {
    bucket_start: iso(hours),
    series,
    packet_count: packets,
    byte_count: 0,
    src_addr_unique_count: 2,
    packets_per_addr_day: rate,
  }
}

function listened(hours: number, sensor: string, coverage = 1): QueryRow<'coverage'> {
  return { bucket_start: iso(hours), sensor, coverage, packet_count: 0 }
}

const options = { range, bucketSeconds: HOUR, measure: 'rate' as const, names: ['scan'], bySensor: false }

describe('alignTraffic', () => {
  it('tells silence from nothing received', () => {
    const coverage = [listened(0, 'a'), listened(1, 'a'), listened(3, 'a')]
    const { time, series } = alignTraffic([traffic(0, 'scan', 5), traffic(3, 'scan', 7)], coverage, options)
    expect(time).toEqual([0, HOUR, 2 * HOUR, 3 * HOUR])
    expect(series).toEqual([{ name: 'scan', values: [5, 0, null, 7] }])
  })

  it('gives each sensor its own gaps when they are out of step', () => {
    const coverage = [listened(0, 'a'), listened(1, 'a'), listened(1, 'b'), listened(2, 'b')]
    const { series } = alignTraffic([traffic(1, 'a', 1), traffic(2, 'b', 2)], coverage, {
      ...options,
      names: ['a', 'b'],
      bySensor: true,
    })
    expect(series).toEqual([
      { name: 'a', values: [0, 1, null, null] },
      { name: 'b', values: [null, 0, 2, null] },
    ])
  })

  it('shows packets where no span says that anybody listened, but no rate', () => {
    const rows = [traffic(2, 'scan', null, 9)]
    expect(alignTraffic(rows, [], options).series[0]!.values).toEqual([null, null, null, null])
    expect(alignTraffic(rows, [], { ...options, measure: 'packets' }).series[0]!.values).toEqual([null, null, 9, null])
  })

  it('answers an empty range with empty columns', () => {
    const empty = { ...options, range: { since: HOUR, until: HOUR } }
    expect(alignTraffic([], [], empty)).toEqual({ time: [], series: [{ name: 'scan', values: [] }] })
  })

  it('keeps a single point', () => {
    const one = { ...options, range: { since: 0, until: HOUR } }
    expect(alignTraffic([traffic(0, 'scan', 3)], [listened(0, 'a')], one)).toEqual({
      time: [0],
      series: [{ name: 'scan', values: [3] }],
    })
  })

  it('appends series nobody named, in order', () => {
    const rows = [traffic(0, 'udp', 1), traffic(0, 'tcp', 2)]
    const { series } = alignTraffic(rows, [listened(0, 'a')], { ...options, names: [] })
    expect(series.map(({ name }) => name)).toEqual(['tcp', 'udp'])
  })

  it('leaves out rows beside the range', () => {
    const rows = [traffic(-1, 'scan', 8), traffic(4, 'scan', 8)]
    const all = [0, 1, 2, 3].map(hours => listened(hours, 'a'))
    expect(alignTraffic(rows, all, options).series[0]!.values).toEqual([0, 0, 0, 0])
  })
})

describe('coverage', () => {
  it('is zero where there is no row', () => {
    const cells = coverageBySensor([listened(1, 'a', 0.5), listened(9, 'a')], range, HOUR)
    expect(cells.get('a')).toEqual([0, 0.5, 0, 0])
  })

  it('joins buckets alike into runs that end with the range', () => {
    expect(
      coverageRuns([1, 0.99, 0, 0.4], [HOUR, HOUR, HOUR, HOUR / 2], { since: 0, until: 3.5 * HOUR }, HOUR),
    ).toEqual([
      { from: 0, to: 2 * HOUR, level: 'full', coverage: 0.995 },
      { from: 2 * HOUR, to: 3 * HOUR, level: 'none', coverage: 0 },
      { from: 3 * HOUR, to: 3.5 * HOUR, level: 'part', coverage: 0.4 },
    ])
    expect(coverageRuns([], [], range, HOUR)).toEqual([])
  })

  it('misses nothing before a sensor began, nor in hours to come', () => {
    const countable = countableSeconds(range, HOUR, 1.5 * HOUR, 2.25 * HOUR)
    expect(countable).toEqual([0, HOUR / 2, HOUR / 4, 0])
    expect(coverageRuns([0, 1], countable, range, HOUR).map(run => run.level)).toEqual([
      'outside',
      'full',
      'none',
      'outside',
    ])
    const all = countableSeconds(range, HOUR, undefined, 9 * HOUR)
    expect(expectedCounts([countable, all], 4)).toEqual([1, 2, 2, 1])
  })

  it('counts who listened at least half of a bucket', () => {
    expect(
      listeningCounts(
        [
          [1, 0.5, 0.4],
          [1, 0],
        ],
        3,
      ),
    ).toEqual([2, 1, 0])
  })

  it('has a bucket for a last part', () => {
    expect(bucketTimes({ since: 0, until: 1.5 * HOUR }, HOUR)).toEqual([0, HOUR])
  })
})

describe('weightedRate', () => {
  const passed = [HOUR, HOUR, HOUR, HOUR]
  it('is packets by exposure of the whole range', () => {
    // 12 packets in 1 h and 2 packets in 0.5 h of one address: 14 packets in 1.5 h.
    const rows = [traffic(0, 'a', 12 * 24), traffic(1, 'a', (2 / 0.5) * 24)]
    expect(weightedRate(rows, [1, 0.5, 0, 0], passed, range, HOUR)).toBeCloseTo((14 / 1.5) * 24)
  })

  it('counts silent buckets that were listened to, and says nothing without exposure', () => {
    expect(weightedRate([traffic(0, 'a', 24)], [1, 1, 0, 0], passed, range, HOUR)).toBe(12)
    expect(weightedRate([], [0, 0, 0, 0], passed, range, HOUR)).toBeNull()
  })
})
