import { describe, expect, it } from 'vitest'
import { comparedSensors, risingCandidates, sensorChanges, verdictOf } from '../../../dashboard/web/rising.ts'
import type { QueryRow } from '../../../schemas/api.ts'

const DAY = 86_400

function port(service_port: number, rate: number | null, packet_count = 1000): QueryRow<'ports'> {
  return {
    rank: 1,
    previous_rank: null,
    protocol: 'tcp',
    service_port,
    service: null,
    src_addr_unique_count: 10,
    packet_count,
    packets_per_addr_day: rate,
    share: 0,
    mirai_share: 0,
  }
}

describe('risingCandidates', () => {
  it('puts the largest growth first, and knows what is new', () => {
    const found = risingCandidates([port(22, 30), port(23, 90), port(80, 5)], [port(22, 10), port(23, 50)])
    expect(found.map(({ row, before }) => [row.service_port, before])).toEqual([
      [23, 50],
      [22, 10],
      [80, 0],
    ])
  })

  it.each([
    { now: port(22, 14), before: port(22, 10), why: 'grew by less than half' },
    { now: port(22, 90, 49), before: port(22, 10), why: 'too few packets' },
    { now: port(22, null), before: port(22, 10), why: 'no rate at all' },
    { now: port(22, 5), before: port(22, 10), why: 'fell' },
  ])('leaves out what $why', ({ now, before }) => {
    expect(risingCandidates([now], [before])).toEqual([])
  })
})

describe('verdictOf', () => {
  const flat = { now: 10, before: 10 }
  const risen = { now: 40, before: 10 }
  it('finds the one sensor without which nothing rises', () => {
    const changes = ['a', 'b', 'c', 'd'].map(sensor => ({ sensor, ...(sensor === 'c' ? risen : flat) }))
    expect(verdictOf(changes, null)).toEqual({ kind: 'sensor', sensor: 'c' })
  })
  it('finds the one source first, even when it came to one sensor only', () => {
    const changes = ['a', 'b'].map(sensor => ({ sensor, ...(sensor === 'a' ? risen : flat) }))
    expect(verdictOf(changes, { source: '198.18.0.1', share: 0.6, shareBefore: 0 })).toMatchObject({
      kind: 'source',
      share: 0.6,
    })
  })
  it('blames no source that carries less than half of the increase, or sent as much before', () => {
    const barely = [{ sensor: 'a', now: 15.2, before: 10 }]
    const source = { source: '198.18.0.1', share: 0.067, shareBefore: 0 }
    expect(verdictOf(barely, source)).toMatchObject({ kind: 'everywhere' })
    const changes = [{ sensor: 'a', now: 40, before: 20 }]
    expect(verdictOf(changes, { ...source, share: 0.5 })).toMatchObject({ kind: 'source' })
    expect(verdictOf(changes, { ...source, share: 0.5, shareBefore: 1 })).toMatchObject({ kind: 'everywhere' })
  })
  it('says everywhere when eight in ten rose, else how many', () => {
    const sensors = ['a', 'b', 'c', 'd', 'e']
    const all = sensors.map(sensor => ({ sensor, ...(sensor === 'a' ? flat : risen) }))
    expect(verdictOf(all, { source: 'x', share: 0.1, shareBefore: 0 })).toEqual({
      kind: 'everywhere',
      risen: 4,
      sensors: 5,
    })
    const some = sensors.map(sensor => ({ sensor, ...(sensor < 'c' ? risen : flat) }))
    expect(verdictOf(some, null)).toEqual({ kind: 'some', risen: 2, sensors: 5 })
  })
  it('says nothing without a sensor that listened in both periods', () => {
    expect(verdictOf([], null)).toBeNull()
  })
})

describe('sensorChanges', () => {
  const before = { since: 0, until: DAY }
  const now = { since: DAY, until: 2 * DAY }
  const pair = { before, range: now, bucketSeconds: DAY, begins: new Map([['a', 0]]), now: 2 * DAY }
  const row = (day: number, series: string, rate: number): QueryRow<'traffic'> => ({
    bucket_start: new Date(day * DAY * 1000).toISOString(),
    series,
    packet_count: 1,
    byte_count: 1,
    src_addr_unique_count: 1,
    packets_per_addr_day: rate,
  })
  const cover = (day: number, sensor: string): QueryRow<'coverage'> => ({
    bucket_start: new Date(day * DAY * 1000).toISOString(),
    sensor,
    coverage: 1,
    packet_count: 1,
  })
  it('keeps the periods apart', () => {
    const rows = [row(0, 'a', 2), row(1, 'a', 8), row(1, 'b', 5)]
    const coverage = [cover(0, 'a'), cover(1, 'a'), cover(0, 'b'), cover(1, 'b')]
    expect(sensorChanges(['a', 'b'], rows, coverage, pair)).toEqual([
      { sensor: 'a', before: 2, now: 8 },
      { sensor: 'b', before: 0, now: 5 },
    ])
  })
  it('says nothing of a sensor that was silent in one', () => {
    expect(sensorChanges(['b'], [row(1, 'b', 5)], [cover(1, 'b')], pair)).toEqual([])
  })

  it('leaves out of both periods who listened too little in one', () => {
    const coverage = [
      ...['a', 'b', 'c'].map(sensor => cover(1, sensor)),
      cover(0, 'a'),
      { ...cover(0, 'b'), coverage: 0.79 },
    ]
    expect(comparedSensors(['a', 'b', 'c'], coverage, pair)).toEqual({
      sensors: ['a'],
      leftOut: [
        { sensor: 'b', before: 0.79, now: 1 },
        { sensor: 'c', before: 0, now: 1 },
      ],
    })
  })

  it('asks nothing of the time to come, but all of the period in which a sensor began', () => {
    const coverage = ['a', 'b'].flatMap(sensor => [cover(0, sensor), cover(1, sensor)])
    const begins = new Map([['b', DAY / 2]])
    expect(comparedSensors(['a', 'b'], coverage, { ...pair, begins, now: 1.25 * DAY })).toEqual({
      sensors: ['a'],
      leftOut: [{ sensor: 'b', before: 0.5, now: 1 }],
    })
  })
})
