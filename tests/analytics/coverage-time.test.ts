import { beforeAll, describe, expect, test } from 'vitest'
import type { Storage } from '../../analytics/storage.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { temporaryStorage } from '../support/storage.ts'

/*
 * What coverage is a part of: the time of the range that has passed since the sensor began. It is 18:15 on the fourth
 * day. "live" never stopped since the first; "outage" lost the second half of the third day; "late" was registered on
 * the second at 12:00 and listens from 18:00 on; "old" was registered today and sent captures of the second day from
 * 06:00 on; "new" was registered today and has sent nothing.
 */
const DAY_1 = Date.UTC(2026, 10, 16) / 1000
const day = (number: number, hours = 0): number => DAY_1 + (number - 1) * DAY_SECONDS + hours * HOUR_SECONDS
const NOW = day(4, 18.25)
const ALL = { sensors: 'all' } as const
const SRC = '198.18.0.1'

const declared = (from: number, to: number) => ({
  from: from * MICROSECONDS,
  to: to * MICROSECONDS,
  basis: 'declared' as const,
  packets: 0,
})

let storage: Storage
let clock = day(1)

beforeAll(async () => {
  const cleaning: (() => void | Promise<void>)[] = []
  storage = await temporaryStorage({ now: () => clock * 1000 }, clean => cleaning.push(clean))
  let block = 0
  const register = (sensor: string, at: number) => {
    clock = at
    return storage.addSensor({ sensor, economy: 'JP', organisation: 'x', telescope: `10.0.${block++}.0/28` })
  }
  await register('live', day(1))
  await register('outage', day(1))
  await register('late', day(2, 12))
  await register('old', day(4, 9))
  await register('new', day(4, 18))
  clock = NOW
  const folder = temporaryFolder(clean => cleaning.push(clean))
  const upload = (sensor: string, flowAt: number, spans: ReturnType<typeof declared>[]) =>
    testUpload(folder, { sensor, flows: [{ time: flowAt, src: SRC, service_port: 23 }], spans })
  await receiveAndCount(storage, [
    upload('live', day(1, 1), [declared(day(1), NOW)]),
    upload('outage', day(1, 1), [declared(day(1), day(3, 12)), declared(day(4), NOW)]),
    upload('late', day(2, 19), [declared(day(2, 18), NOW)]),
    upload('old', day(2, 6), [declared(day(2, 6), day(2, 18))]),
  ])
  return async () => {
    for (const clean of cleaning.reverse()) await clean()
  }
})

const range = (since: number, until: number) => ({ since: String(since), until: String(until) })
const sensors = async (since: number, until: number) =>
  (await storage.query('sensors', range(since, until), ALL)).rows.map(row => [row.sensor, row.coverage])

describe('sensors', () => {
  test('hours that have not come, and those before a sensor began, are no gaps', async () => {
    // 90.25 h have passed since the first midnight.
    expect(await sensors(day(1), day(5))).toEqual([
      ['late', (90.25 - 42) / (90.25 - 36)],
      ['live', 1],
      ['new', 0],
      ['old', 12 / (90.25 - 30)],
      ['outage', (90.25 - 12) / 90.25],
    ])
  })

  test('begin at their registration, or when they first listened if that was earlier', async () => {
    const { rows } = await storage.query('sensors', range(day(1), day(5)), ALL)
    expect(rows.map(row => [row.sensor, row.recording_since])).toEqual([
      ['late', '2026-11-17T12:00:00Z'],
      ['live', '2026-11-16T00:00:00Z'],
      ['new', '2026-11-19T18:00:00Z'],
      ['old', '2026-11-17T06:00:00Z'],
      ['outage', '2026-11-16T00:00:00Z'],
    ])
  })

  test('are not there before they began', async () => {
    expect(await sensors(day(1), day(2))).toEqual([
      ['live', 1],
      ['outage', 1],
    ])
    // Its end is exclusive: old begins at 06:00.
    expect((await sensors(day(2), day(2, 6))).map(([sensor]) => sensor)).toEqual(['live', 'outage'])
    expect((await sensors(day(2), day(2, 7))).map(([sensor]) => sensor)).toEqual(['live', 'old', 'outage'])
    expect((await storage.query('sensors', range(day(1), day(2)), ALL)).meta).toMatchObject({
      sensors: ['live', 'outage'],
      total_rows: 2,
    })
  })

  test('are all there when no end was asked for, even if the data ended before they began', async () => {
    const ended = await temporaryStorage({ now: () => NOW * 1000 })
    await ended.addSensor({ sensor: 'first', economy: 'JP', organisation: 'x', telescope: '10.0.0.0/28' })
    await ended.addSensor({ sensor: 'second', economy: 'JP', organisation: 'x', telescope: '10.0.1.0/28' })
    await receiveAndCount(ended, [
      testUpload(temporaryFolder(), {
        sensor: 'first',
        flows: [{ time: day(1), src: SRC }],
        spans: [declared(day(1), day(2))],
      }),
    ])
    const { rows, meta } = await ended.query('sensors', {}, ALL)
    expect(meta).toMatchObject({ until: '2026-11-17T00:00:00Z', sensors: ['first'] })
    expect(rows.map(row => [row.sensor, row.coverage])).toEqual([
      ['first', 1],
      ['second', 0],
    ])
  })

  test('a range in the future has coverage 0', async () => {
    expect(await sensors(day(5), day(6))).toEqual(['late', 'live', 'new', 'old', 'outage'].map(name => [name, 0]))
    expect((await storage.query('sensors', range(day(5), day(6)), ALL)).meta).toMatchObject({
      sensors: [],
      exposed_addr_days: 0,
    })
  })
})

describe('coverage', () => {
  const coverage = async (since: number, until: number, bucket: number, sensor: string) =>
    (await storage.query('coverage', { ...range(since, until), bucket: String(bucket), sensor }, ALL)).rows.map(row => [
      row.bucket_start,
      row.coverage,
    ])

  test('days: today is measured up to now, tomorrow has no row, the first day from when the sensor began', async () => {
    expect(await coverage(day(1), day(6), DAY_SECONDS, 'live')).toEqual([
      ['2026-11-16T00:00:00Z', 1],
      ['2026-11-17T00:00:00Z', 1],
      ['2026-11-18T00:00:00Z', 1],
      ['2026-11-19T00:00:00Z', 1],
    ])
    expect(await coverage(day(1), day(6), DAY_SECONDS, 'outage')).toEqual([
      ['2026-11-16T00:00:00Z', 1],
      ['2026-11-17T00:00:00Z', 1],
      ['2026-11-18T00:00:00Z', 0.5],
      ['2026-11-19T00:00:00Z', 1],
    ])
    expect(await coverage(day(1), day(6), DAY_SECONDS, 'late')).toEqual([
      // It began at 12:00 and listened from 18:00 on.
      ['2026-11-17T00:00:00Z', 0.5],
      ['2026-11-18T00:00:00Z', 1],
      ['2026-11-19T00:00:00Z', 1],
    ])
    expect(await coverage(day(1), day(6), DAY_SECONDS, 'old')).toEqual([['2026-11-17T00:00:00Z', 12 / 18]])
    expect(await coverage(day(1), day(6), DAY_SECONDS, 'new')).toEqual([])
  })

  test('hours: the one that holds now is measured up to now, and is the last', async () => {
    expect(await coverage(day(4, 17), day(4, 20), HOUR_SECONDS, 'live')).toEqual([
      ['2026-11-19T17:00:00Z', 1],
      ['2026-11-19T18:00:00Z', 1],
    ])
    expect(await coverage(day(4, 19), day(4, 20), HOUR_SECONDS, 'live')).toEqual([])
    expect(await coverage(day(5), day(6), HOUR_SECONDS, 'live')).toEqual([])
  })

  test('a bucket that begins now has no row', async () => {
    clock = day(4, 18)
    expect(await coverage(day(4, 17), day(4, 20), HOUR_SECONDS, 'live')).toEqual([['2026-11-19T17:00:00Z', 1]])
    clock = NOW
  })
})

describe('comparison', () => {
  const compared = async (since: number, until: number) => {
    const { meta } = await storage.query('ports', range(since, until), ALL)
    return [meta.previous_since, meta.sensors, meta.sensors_left_out]
  }

  test('hours that have not come leave nobody out', async () => {
    // 18.25 of 24 h have passed, which is below 80 %; outage had 12 of 24 h the day before.
    expect(await compared(day(4), day(5))).toEqual(['2026-11-18T00:00:00Z', ['late', 'live'], ['new', 'old', 'outage']])
  })

  test('one that began within or after the previous period leaves, and is not named before it began', async () => {
    expect(await compared(day(3), day(4))).toEqual(['2026-11-17T00:00:00Z', ['live'], ['late', 'old', 'outage']])
    // Since it began, late listened to 24 of the 30 h that were left of the previous 48: 80 % of those, half of all.
    expect(await compared(day(3, 18), day(5, 18))).toEqual([
      '2026-11-16T18:00:00Z',
      ['live'],
      ['late', 'new', 'old', 'outage'],
    ])
    expect(await compared(day(2), day(3))).toEqual(['2026-11-16T00:00:00Z', ['live', 'outage'], ['late', 'old']])
  })

  test('a period in the future is compared with none', async () => {
    expect(await compared(day(5), day(6))).toEqual([null, [], []])
  })
})

test('packets of a clock that is ahead keep their sensor and their rate', async () => {
  let clock = day(3)
  const ahead = await temporaryStorage({ now: () => clock * 1000 })
  await ahead.addSensor({ sensor: 'ahead', economy: 'JP', organisation: 'x', telescope: '10.0.0.0/28' })
  await receiveAndCount(ahead, [
    testUpload(temporaryFolder(), {
      sensor: 'ahead',
      flows: [{ time: day(2), src: SRC, packet_count: 32 }],
      spans: [declared(day(2), day(3))],
    }),
  ])
  clock = day(1)
  const { rows, meta } = await ahead.query('sensors', range(day(2), day(3)), ALL)
  expect(meta).toMatchObject({ sensors: ['ahead'], exposed_addr_days: 16 })
  expect(rows).toMatchObject([{ packet_count: 32, packets_per_addr_day: 2, coverage: 0 }])
})
