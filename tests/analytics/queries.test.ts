import { beforeAll, describe, expect, test } from 'vitest'
import type { Storage } from '../../analytics/storage.ts'
import type { QueryName } from '../../schemas/api.ts'
import { MICROSECONDS } from '../../schemas/time.ts'
import { type TestFlow, testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { temporaryStorage } from '../support/storage.ts'

/*
 * Every question on a region small enough to count by hand. Two weeks: in the first, alpha and beta listen; in the
 * second gamma (IPv6 too) joins them and beta is off for half of it. Rates: alpha has 16 addresses, beta 4, gamma 1.
 */
const WEEK = 7 * 86_400
const FIRST = Date.UTC(2026, 10, 2) / 1000
const SECOND = FIRST + WEEK
const END = SECOND + WEEK
const ALL = { sensors: 'all' } as const

const JP = '198.18.0.1'
const TH = '198.19.0.1'
const TH2 = '198.19.0.2'
const UNKNOWN = '203.0.113.9'
const V6 = '2001:db8::1'

const ALPHA: TestFlow[] = [
  { time: FIRST + 60, src: JP, service_port: 22, packet_count: 5 },
  { time: FIRST + 3600, src: TH, service_port: 23, packet_count: 1 },
  { time: SECOND, src: JP, service_port: 23, packet_count: 3, mirai_count: 3 },
  { time: SECOND + 30, src: JP, service_port: 23, packet_count: 1, dst_index: 4 },
  { time: SECOND + 7200, src: TH, service_port: 23, packet_count: 4, mirai_count: 2 },
  { time: SECOND + 7200, src: TH, protocol: 17, service_port: 53, class: 'backscatter', packet_count: 8 },
  { time: SECOND + 7200, src: TH2, protocol: 1, service_port: 2048, packet_count: 2 },
]
const BETA: TestFlow[] = [
  { time: FIRST + 60, src: TH, service_port: 23, packet_count: 2 },
  { time: SECOND + 60, src: TH, service_port: 23, packet_count: 6 },
]
const GAMMA: TestFlow[] = [
  { time: SECOND + 86_400, src: V6, service_port: 22, packet_count: 7 },
  { time: SECOND + 86_400, src: UNKNOWN, service_port: 23, packet_count: 1, zmap_count: 1 },
]

const declared = (from: number, to: number) => [
  { from: from * MICROSECONDS, to: to * MICROSECONDS, basis: 'declared' as const, packets: 0 },
]

let storage: Storage
/** Sensors are registered when the first week begins; everything else happens when the second has ended. */
let clock = FIRST

beforeAll(async () => {
  const cleaning: (() => void | Promise<void>)[] = []
  storage = await temporaryStorage({ now: () => clock * 1000 }, clean => cleaning.push(clean))
  await storage.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
  await storage.addSensor({ sensor: 'beta', economy: 'TH', organisation: 'B', telescope: '192.0.2.16/30' })
  await storage.addSensor({
    sensor: 'gamma',
    economy: 'VN',
    organisation: 'C',
    telescope: '192.0.2.32/32,2001:db8:1::/64',
  })
  await storage.addSensor({ sensor: 'silent', economy: 'LA', organisation: 'D', telescope: '192.0.2.64/26' })
  clock = END
  const folder = temporaryFolder(clean => cleaning.push(clean))
  await receiveAndCount(storage, [
    testUpload(folder, { sensor: 'alpha', flows: ALPHA, spans: declared(FIRST, END) }),
    testUpload(folder, {
      sensor: 'beta',
      flows: BETA,
      spans: [...declared(FIRST, SECOND), ...declared(SECOND, SECOND + WEEK / 2)],
    }),
    {
      ...testUpload(folder, { sensor: 'gamma', flows: GAMMA, spans: declared(SECOND, END) }),
      error: { code: 'CAPTURE_TRUNCATED', message: 'capture: ends within a record' },
    },
    // Nothing in it was for the telescope, which is said of it; it is counted all the same.
    {
      ...testUpload(folder, { sensor: 'gamma', flows: [], spans: [] }),
      error: { code: 'CAPTURE_EMPTY', message: 'capture: no packet for the telescope' },
    },
  ])
  await storage.recordReceived({ sensor: 'beta', sha256: 'd'.repeat(64), kind: 'capture', byte_count: 1 })
  await storage.recordReceived({ sensor: 'beta', sha256: 'e'.repeat(64), kind: 'capture', byte_count: 1 })
  await storage.quarantine('beta', 'e'.repeat(64), { code: 'CAPTURE_EMPTY', message: 'capture: empty' })
  return async () => {
    for (const clean of cleaning.reverse()) await clean()
  }
})

const SECOND_WEEK = { since: String(SECOND), until: String(END) }

test('how many rows questions go through is known, one for each service and source of an hour', async () => {
  const flows = [...ALPHA, ...BETA, ...GAMMA]
  const hours = flows.map(({ time, src, ...flow }) => [Math.floor(time / 3600), src, flow.protocol, flow.service_port])
  expect(await storage.sourceRows()).toBeGreaterThanOrEqual(new Set(hours.map(String)).size)
  expect(await storage.sourceRows()).toBeLessThanOrEqual(flows.length)
})

describe('traffic', () => {
  test('by class: sums, distinct sources, and the mean of the rates of those that listened', async () => {
    const { rows, meta } = await storage.query('traffic', { ...SECOND_WEEK, bucket: '86400' }, ALL)
    expect(meta).toEqual({
      since: '2026-11-09T00:00:00Z',
      until: '2026-11-16T00:00:00Z',
      previous_since: null,
      sensors: ['alpha', 'beta', 'gamma'],
      sensors_left_out: [],
      // 16 addresses for 7 days, 4 for 3.5, 1 for 7.
      exposed_addr_days: 16 * 7 + 4 * 3.5 + 7,
      total_rows: 21,
    })
    expect(rows.slice(0, 4)).toEqual([
      {
        bucket_start: '2026-11-09T00:00:00Z',
        series: 'scan',
        packet_count: 16,
        byte_count: 640,
        src_addr_unique_count: 3,
        // alpha 10 packets on 16 addresses, beta 6 on 4, gamma none.
        packets_per_addr_day: (10 / 16 + 6 / 4 + 0) / 3,
      },
      {
        bucket_start: '2026-11-09T00:00:00Z',
        series: 'backscatter',
        packet_count: 8,
        byte_count: 320,
        src_addr_unique_count: 1,
        packets_per_addr_day: (8 / 16 + 0 + 0) / 3,
      },
      {
        bucket_start: '2026-11-09T00:00:00Z',
        series: 'other',
        packet_count: 0,
        byte_count: 0,
        src_addr_unique_count: 0,
        packets_per_addr_day: 0,
      },
      {
        bucket_start: '2026-11-10T00:00:00Z',
        series: 'scan',
        packet_count: 8,
        byte_count: 320,
        src_addr_unique_count: 2,
        // IPv6 packets of gamma have no rate; its one IPv4 packet has.
        packets_per_addr_day: (0 + 0 + 1) / 3,
      },
    ])
  })

  test('by sensor: each has its own rate, and no row where it did not listen', async () => {
    const { rows } = await storage.query('traffic', { ...SECOND_WEEK, bucket: '86400', by: 'sensor' }, ALL)
    expect(rows.filter(row => row.series === 'beta')).toMatchObject([
      { bucket_start: '2026-11-09T00:00:00Z', packet_count: 6, packets_per_addr_day: 6 / 4 },
      { bucket_start: '2026-11-10T00:00:00Z', packet_count: 0, packets_per_addr_day: 0 },
      { bucket_start: '2026-11-11T00:00:00Z', packet_count: 0, packets_per_addr_day: 0 },
      { bucket_start: '2026-11-12T00:00:00Z', packet_count: 0, packets_per_addr_day: 0 },
    ])
    expect(rows.some(row => row.series === 'silent')).toBe(false)
  })

  test('by protocol and by none, by the hour', async () => {
    const hour = { since: String(SECOND + 7200), until: String(SECOND + 10_800) }
    expect((await storage.query('traffic', { ...hour, by: 'protocol' }, ALL)).rows).toMatchObject([
      { series: 'icmp', packet_count: 2 },
      { series: 'tcp', packet_count: 4 },
      { series: 'udp', packet_count: 8 },
    ])
    expect((await storage.query('traffic', { ...hour, by: 'none' }, ALL)).rows).toMatchObject([
      {
        series: 'all',
        packet_count: 14,
        src_addr_unique_count: 2,
        // In an hour, as if it went on for a day.
        packets_per_addr_day: ((14 * 24) / 16 + 0 + 0) / 3,
      },
    ])
  })

  test('filters by economy, protocol, port and class', async () => {
    const sum = async (filter: Record<string, string>) =>
      (await storage.query('traffic', { ...SECOND_WEEK, by: 'none', bucket: '86400', ...filter }, ALL)).rows.reduce(
        (packets, row) => packets + row.packet_count,
        0,
      )
    expect(await sum({})).toBe(32)
    expect(await sum({ economy: 'jp' })).toBe(4)
    expect(await sum({ economy: 'JP,ZZ' })).toBe(12)
    expect(await sum({ protocol: 'udp,1' })).toBe(10)
    expect(await sum({ protocol: 'tcp', port: '23' })).toBe(15)
    expect(await sum({ class: 'backscatter' })).toBe(8)
    expect(await sum({ sensor: 'beta,gamma' })).toBe(14)
  })
})

describe('ports', () => {
  test('without comparison: all sensors, ranked by distinct sources, then packets', async () => {
    const { rows, meta } = await storage.query('ports', { ...SECOND_WEEK, compare: 'none' }, ALL)
    expect(meta).toMatchObject({ previous_since: null, sensors_left_out: [], total_rows: 4 })
    expect(rows.map(row => [row.rank, row.previous_rank, row.protocol, row.service_port, row.service])).toEqual([
      [1, null, 'tcp', 23, 'telnet'],
      [2, null, 'udp', 53, 'domain'],
      [3, null, 'tcp', 22, 'ssh'],
      [4, null, 'icmp', 2048, 'Echo'],
    ])
    expect(rows[0]).toMatchObject({
      src_addr_unique_count: 3,
      packet_count: 15,
      share: 15 / 32,
      mirai_share: 5 / 15,
    })
    expect(rows[0]!.packets_per_addr_day).toBeCloseTo((8 / (16 * 7) + 6 / (4 * 3.5) + 1 / 7) / 3, 12)
  })

  test('compared: sensors that did not cover both weeks leave both, and the page is told', async () => {
    const { rows, meta } = await storage.query('ports', SECOND_WEEK, ALL)
    expect(meta).toMatchObject({
      previous_since: '2026-11-02T00:00:00Z',
      sensors: ['alpha'],
      sensors_left_out: ['beta', 'gamma', 'silent'],
      exposed_addr_days: 16 * 7,
    })
    expect(rows.map(row => [row.rank, row.previous_rank, row.service_port, row.packet_count])).toEqual([
      // In alpha's first week 22/tcp led: one source each, more packets.
      [1, 2, 23, 8],
      [2, null, 53, 8],
      [3, null, 2048, 2],
    ])
  })

  test('when no sensor covered both periods nothing is compared and nobody leaves', async () => {
    const { rows, meta } = await storage.query('ports', { ...SECOND_WEEK, sensor: 'beta,gamma' }, ALL)
    expect(meta).toMatchObject({ previous_since: null, sensors: ['beta', 'gamma'], sensors_left_out: [] })
    expect(rows.map(row => [row.previous_rank, row.service_port, row.packet_count])).toEqual([
      [null, 23, 7],
      [null, 22, 7],
    ])
  })

  test('the limit cuts rows, not ranks or shares', async () => {
    const { rows, meta } = await storage.query('ports', { ...SECOND_WEEK, compare: 'none', limit: '1' }, ALL)
    expect(rows).toHaveLength(1)
    expect(meta.total_rows).toBe(4)
    expect(rows[0]!.share).toBe(15 / 32)
  })
})

test('economies: where the sources are', async () => {
  const { rows } = await storage.query('economies', { ...SECOND_WEEK, compare: 'none' }, ALL)
  expect(rows).toMatchObject([
    { rank: 1, economy: 'TH', src_addr_unique_count: 2, packet_count: 20, share: 20 / 32 },
    { rank: 2, economy: 'ZZ', src_addr_unique_count: 2, packet_count: 8, share: 8 / 32 },
    { rank: 3, economy: 'JP', src_addr_unique_count: 1, packet_count: 4, share: 4 / 32 },
  ])
  // Only the IPv4 packet of the unknown ones.
  expect(rows[1]!.packets_per_addr_day).toBeCloseTo((0 + 0 + 1 / 7) / 3, 12)
  const compared = await storage.query('economies', SECOND_WEEK, ALL)
  expect(compared.rows.map(row => [row.economy, row.rank, row.previous_rank])).toEqual([
    ['TH', 1, 2],
    ['JP', 2, 1],
  ])
})

test('sources: most packets first, with the tools that cannot be chance', async () => {
  const { rows, meta } = await storage.query('sources', SECOND_WEEK, ALL)
  expect(meta.total_rows).toBe(5)
  expect(rows[0]).toEqual({
    src_addr: TH,
    economy: 'TH',
    packet_count: 18,
    service_count: 2,
    sensor_count: 2,
    first_hour: '2026-11-09T00:00:00Z',
    last_hour: '2026-11-09T02:00:00Z',
    zmap_count: 0,
    masscan_count: 0,
    masscan_profile_count: 0,
    masscan_profile_2023_count: 0,
    mirai_count: 2,
    nmap_count: 0,
    hping3_count: 0,
    tools: 'mirai 2/18',
  })
  expect(rows.map(row => [row.src_addr, row.packet_count, row.tools])).toEqual([
    [TH, 18, 'mirai 2/18'],
    [V6, 7, ''],
    [JP, 4, 'mirai 3/4'],
    [TH2, 2, ''],
    // One packet of one that fits zmap may be chance: 2^-16.
    [UNKNOWN, 1, ''],
  ])
})

test('sensors: everyone in the scope, silent ones too, with uploads that wait, failed or have a remark', async () => {
  const { rows } = await storage.query('sensors', SECOND_WEEK, ALL)
  expect(rows).toMatchObject([
    { sensor: 'alpha', packet_count: 18, src_addr_unique_count: 3, coverage: 1, pending_count: 0, remark_count: 0 },
    {
      sensor: 'beta',
      economy: 'TH',
      organisation: 'B',
      ipv4_addr_count: 4,
      has_ipv6: false,
      recording_since: '2026-11-02T00:00:00Z',
      packet_count: 6,
      src_addr_unique_count: 1,
      packets_per_addr_day: 6 / (4 * 3.5),
      coverage: 0.5,
      last_upload_at: '2026-11-16T00:00:00Z',
      pending_count: 1,
      quarantined_count: 1,
      // What was quarantined has an error too and is no remark.
      remark_count: 0,
    },
    {
      sensor: 'gamma',
      has_ipv6: true,
      packet_count: 8,
      packets_per_addr_day: 1 / 7,
      pending_count: 0,
      quarantined_count: 0,
      remark_count: 2,
    },
    {
      sensor: 'silent',
      packet_count: 0,
      packets_per_addr_day: null,
      coverage: 0,
      last_upload_at: null,
      remark_count: 0,
    },
  ])
})

test('coverage: part of each bucket, no row for what nobody listened to', async () => {
  const { rows } = await storage.query('coverage', { ...SECOND_WEEK, sensor: 'beta' }, ALL)
  expect(rows).toEqual([
    { bucket_start: '2026-11-09T00:00:00Z', sensor: 'beta', coverage: 1, packet_count: 6 },
    { bucket_start: '2026-11-10T00:00:00Z', sensor: 'beta', coverage: 1, packet_count: 0 },
    { bucket_start: '2026-11-11T00:00:00Z', sensor: 'beta', coverage: 1, packet_count: 0 },
    { bucket_start: '2026-11-12T00:00:00Z', sensor: 'beta', coverage: 0.5, packet_count: 0 },
  ])
  const hours = await storage.query('coverage', { ...SECOND_WEEK, sensor: 'beta', bucket: '3600' }, ALL)
  expect(hours.rows).toHaveLength((3.5 * 86_400) / 3600)
})

describe('flows', () => {
  test('in time order, without what is withheld', async () => {
    const { rows, meta } = await storage.query('flows', { ...SECOND_WEEK, limit: '2' }, ALL)
    expect(meta.total_rows).toBe(8)
    expect(rows).toHaveLength(2)
    expect(rows[0]).toMatchObject({
      sensor: 'alpha',
      interval_start: '2026-11-09T00:00:00Z',
      src_addr: JP,
      class: 'scan',
      packet_count: 3,
      mirai_count: 3,
      syn_profile: '0x0000000000000000',
      victim_addr: '::',
    })
    expect(rows[0]).not.toHaveProperty('dst_index')
  })

  test.each([
    [{ src: TH }, 3],
    [{ src: '198.19.0.0/16' }, 4],
    [{ src: '2001:db8::/32' }, 1],
    [{ src: '::/0' }, 8],
    [{ sensor: 'beta' }, 1],
    [{ class: 'backscatter', protocol: 'udp', port: '53' }, 1],
  ])('filtered by %o: %i', async (filter, count) => {
    const { rows, meta } = await storage.query('flows', { ...SECOND_WEEK, ...filter }, ALL)
    expect([rows.length, meta.total_rows]).toEqual([count, count])
  })
})

describe('the range', () => {
  test('default: seven days that end with the last day that has data', async () => {
    const { meta } = await storage.query('ports', {}, ALL)
    // The last packet was on the second day of the second week.
    expect([meta.since, meta.until]).toEqual(['2026-11-04T00:00:00Z', '2026-11-11T00:00:00Z'])
    expect(await storage.overview(ALL)).toMatchObject({ since: FIRST, until: SECOND + 2 * 86_400 })
  })

  test('a sensor whose clock is years ahead does not take the default range with it', async () => {
    const other = await temporaryStorage({ now: () => END * 1000 })
    await other.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
    const late = { time: Date.UTC(2106, 0, 1) / 1000, src: JP }
    await receiveAndCount(other, [testUpload(temporaryFolder(), { sensor: 'alpha', flows: [...ALPHA, late] })])
    expect((await other.query('ports', {}, ALL)).meta.until).toBe('2026-11-10T00:00:00Z')
  })

  test('without any data: the seven days up to today', async () => {
    const empty = await temporaryStorage({ now: () => END * 1000 })
    const { meta, rows } = await empty.query('traffic', {}, ALL)
    expect(meta).toMatchObject({ since: '2026-11-10T00:00:00Z', until: '2026-11-17T00:00:00Z', total_rows: 0 })
    expect(rows).toEqual([])
    expect(await empty.overview(ALL)).toMatchObject({ since: null, until: null, received: 0 })
  })

  test.each<[string, QueryName, Record<string, string>, RegExp]>([
    ['QUERY_RANGE_UNALIGNED', 'ports', { since: '2026-11-09T00:10:00Z' }, /since.*nearest is 2026-11-09T00:00:00Z/],
    ['QUERY_RANGE_UNALIGNED', 'traffic', { bucket: '86400', until: '2026-11-09T13:00:00Z' }, /2026-11-10T00:00:00Z/],
    ['QUERY_RANGE_TOO_WIDE', 'traffic', { since: '2020-01-01', until: '2026-01-01' }, /at most 2400/],
    ['QUERY_RANGE_TOO_WIDE', 'coverage', { since: '1980-01-01', until: '2026-01-01' }, /at most 2400/],
    ['QUERY_INVALID', 'ports', { since: '2026-11-10', until: '2026-11-10' }, /since/],
    ['QUERY_INVALID', 'ports', { since: 'yesterday' }, /yesterday/],
    ['QUERY_INVALID', 'ports', { until: '99999999999' }, /until/],
    ['QUERY_INVALID', 'ports', { limit: '0' }, /limit/],
    ['QUERY_INVALID', 'ports', { limit: '1001' }, /limit/],
    ['QUERY_INVALID', 'ports', { limit: '1e2' }, /limit/],
    ['QUERY_INVALID', 'ports', { port: '65536' }, /port/],
    ['QUERY_INVALID', 'ports', { class: 'scan,attack' }, /attack/],
    ['QUERY_INVALID', 'ports', { protocol: "tcp' OR 1=1" }, /protocol/],
    ['QUERY_INVALID', 'ports', { economy: 'JPN' }, /economy/],
    ['QUERY_INVALID', 'ports', { sensor: 'alpha,,beta' }, /sensor/],
    ['QUERY_INVALID', 'ports', { compare: 'next' }, /compare/],
    ['QUERY_INVALID', 'ports', { colour: 'red' }, /colour/],
    ['QUERY_INVALID', 'sources', { constructor: 'x' }, /constructor/],
    ['ADDRESS_INVALID', 'flows', { src: '198.18.0.0/40' }, /198/],
    ['SENSOR_UNKNOWN', 'traffic', { sensor: 'delta' }, /delta/],
  ])('%s: %s %o', async (code, name, parameters, message) => {
    const error = await storage.query(name, parameters, ALL).catch(thrown => thrown)
    expect(error).toMatchObject({ code })
    expect(error.message).toMatch(message)
  })
})

test('a sensor that listened for less than a minute has packets and no rate', async () => {
  const short = await temporaryStorage({ now: () => END * 1000 })
  await short.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
  await receiveAndCount(short, [
    testUpload(temporaryFolder(), {
      sensor: 'alpha',
      flows: [{ time: FIRST, src: JP, service_port: 23, packet_count: 64 }],
      spans: declared(FIRST, FIRST + 59),
    }),
  ])
  const range = { since: String(FIRST), until: String(FIRST + 3600) }
  for (const name of ['sensors', 'ports', 'economies', 'traffic'] as const) {
    const { rows } = await short.query(name, range, ALL)
    // Traffic has a row for each class; only that of the scans has packets.
    expect(
      rows.map(row => row.packets_per_addr_day).every(rate => rate === null),
      name,
    ).toBe(true)
    expect(
      rows.reduce((sum, row) => sum + row.packet_count, 0),
      name,
    ).toBe(64)
  }
})
