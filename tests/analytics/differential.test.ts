import { beforeAll, describe, expect, test } from 'vitest'
import type { Scope, Storage } from '../../analytics/storage.ts'
import { isIpv4, parseAddress } from '../../schemas/address.ts'
import { protocolName, TRAFFIC_CLASSES, type TrafficClass } from '../../schemas/protocol.ts'
import { formatTime, MICROSECONDS } from '../../schemas/time.ts'
import { type TestFlow, testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY, temporaryStorage } from '../support/storage.ts'

/*
 * Answers against a plain loop over the same flows: random ones of four sensors over four days, in uploads cut
 * anywhere, counted in several groups. Everything that a loop can say must be said alike, for every scope.
 */
const SEED = 20_261_122
const START = Date.UTC(2026, 10, 10) / 1000
const DAYS = 4
const END = START + DAYS * 86_400
const SENSORS = { alpha: 16, beta: 4, gamma: 1, delta: 256 }
type Sensor = keyof typeof SENSORS

/** Numerical Recipes' generator: the same flows on every machine. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

interface RandomFlow extends TestFlow {
  readonly sensor: Sensor
  readonly protocol: number
  readonly service_port: number
  readonly class: TrafficClass
  readonly packet_count: number
  readonly byte_count: number
  readonly mirai_count: number
}

function randomFlows(count: number): RandomFlow[] {
  const random = randomNumbers(SEED)
  return Array.from({ length: count }, () => {
    const packets = 1 + (random(10) === 0 ? random(250) : random(3))
    // Few sources and ports, so that they meet again in other hours, sensors and uploads.
    const src = random(8) === 0 ? `2001:db8::${random(20).toString(16)}` : `198.${18 + random(3)}.0.${random(60)}`
    return {
      sensor: Object.keys(SENSORS)[random(4)] as Sensor,
      time: START + random(DAYS * 86_400),
      src,
      dst_index: random(16),
      protocol: [6, 6, 17, 1, 58, 47][random(6)]!,
      service_port: [22, 23, 23, 80, 445, 2048][random(6)]!,
      class: TRAFFIC_CLASSES[random(3)]!,
      packet_count: packets,
      byte_count: packets * (40 + random(100)),
      mirai_count: random(4) === 0 ? packets : 0,
    }
  })
}

const FLOWS = randomFlows(6000)

function span(from: number, to: number) {
  return { from: from * MICROSECONDS, to: to * MICROSECONDS, basis: 'declared' as const, packets: 0 }
}

/** Delta was off for the second day, which is why its flows of that day have no exposure. */
const LISTENED: Record<Sensor, { from: number; to: number }[]> = {
  alpha: [{ from: START, to: END }],
  beta: [{ from: START, to: END }],
  gamma: [{ from: START + 3600 * 5, to: END }],
  delta: [
    { from: START, to: START + 86_400 },
    { from: START + 2 * 86_400, to: END },
  ],
}

let storage: Storage

beforeAll(async () => {
  const cleaning: (() => void | Promise<void>)[] = []
  storage = await temporaryStorage({ now: () => END * 1000 }, clean => cleaning.push(clean))
  const folder = temporaryFolder(clean => cleaning.push(clean))
  let first = 0
  for (const [sensor, count] of Object.entries(SENSORS)) {
    const length = 32 - Math.log2(count)
    await storage.addSensor({ sensor, economy: 'JP', organisation: 'x', telescope: `10.0.${first++ * 2}.0/${length}` })
  }
  for (let group = 0; group < 3; group++) {
    const uploads = Object.keys(SENSORS).map(sensor =>
      testUpload(folder, {
        sensor,
        flows: FLOWS.filter((flow, index) => flow.sensor === sensor && index % 3 === group).map(
          ({ sensor: _, ...flow }) => flow as unknown as TestFlow,
        ),
        spans: group === 0 ? LISTENED[sensor as Sensor].map(({ from, to }) => span(from, to)) : [],
      }),
    )
    await receiveAndCount(storage, uploads)
  }
  return async () => {
    for (const clean of cleaning.reverse()) await clean()
  }
})

const economy = (flow: RandomFlow) => TEST_GEOGRAPHY.economyOf(parseAddress(flow.src))

function addrDays(sensor: Sensor, since: number, until: number): number {
  const listened = LISTENED[sensor].reduce(
    (sum, { from, to }) => sum + Math.max(0, Math.min(to, until) - Math.max(from, since)),
    0,
  )
  return (SENSORS[sensor] * listened) / 86_400
}

interface Group {
  sources: Set<string>
  packets: number
  mirai: number
  rate: number
}

/** Groups flows as a rank table does, with the mean of the sensors' rates. */
function groupFlows(sensors: readonly Sensor[], since: number, until: number, keyOf: (flow: RandomFlow) => string) {
  const listening = sensors.filter(sensor => addrDays(sensor, since, until) > 0)
  const groups = new Map<string, Group>()
  for (const flow of FLOWS) {
    if (!sensors.includes(flow.sensor) || flow.time < since || flow.time >= until) continue
    const key = keyOf(flow)
    const group = groups.get(key) ?? { sources: new Set(), packets: 0, mirai: 0, rate: 0 }
    groups.set(key, group)
    group.sources.add(flow.src)
    group.packets += flow.packet_count
    group.mirai += flow.mirai_count
    if (!isIpv4(parseAddress(flow.src)) || !listening.includes(flow.sensor)) continue
    group.rate += flow.packet_count / addrDays(flow.sensor, since, until) / listening.length
  }
  return groups
}

const SCOPES: [string, Scope, Sensor[]][] = [
  ['everything', { sensors: 'all' }, ['alpha', 'beta', 'delta', 'gamma']],
  ['two sensors', { sensors: ['gamma', 'alpha'] }, ['alpha', 'gamma']],
  ['one sensor', { sensors: ['beta'] }, ['beta']],
  ['nothing', { sensors: [] }, []],
  ['a sensor that is not there', { sensors: ['omega'] }, []],
]
const SINCE = START + 86_400
const RANGE = { since: String(SINCE), until: String(END) }

describe.each(SCOPES)('scope: %s', (_, scope, sensors) => {
  test('ports', async () => {
    const expected = groupFlows(sensors, SINCE, END, flow => `${protocolName(flow.protocol)}/${flow.service_port}`)
    const { rows, meta } = await storage.query('ports', { ...RANGE, compare: 'none', limit: '1000' }, scope)
    expect(meta).toMatchObject({ sensors, total_rows: expected.size })
    const total = [...expected.values()].reduce((sum, { packets }) => sum + packets, 0)
    expect(rows).toHaveLength(expected.size)
    rows.forEach((row, index) => {
      const group = expected.get(`${row.protocol}/${row.service_port}`)!
      expect(row).toMatchObject({
        rank: index + 1,
        src_addr_unique_count: group.sources.size,
        packet_count: group.packets,
        share: group.packets / total,
        mirai_share: group.mirai / group.packets,
      })
      expect(row.packets_per_addr_day).toBeCloseTo(group.rate, 8)
    })
    const order = rows.map(row => [row.src_addr_unique_count, row.packet_count] as const)
    expect(order).toEqual([...order].sort((a, b) => b[0] - a[0] || b[1] - a[1]))
  })

  test('economies, compared with the day before', async () => {
    const day = START + 3 * 86_400
    const covered = sensors.filter(
      sensor => Math.min(addrDays(sensor, day, END), addrDays(sensor, day - 86_400, day)) >= 0.8 * SENSORS[sensor],
    )
    const now = groupFlows(covered, day, END, economy)
    const before = groupFlows(covered, day - 86_400, day, economy)
    const ranks = (groups: Map<string, Group>) =>
      [...groups]
        .sort(([a, x], [b, y]) => y.sources.size - x.sources.size || y.packets - x.packets || (a < b ? -1 : 1))
        .map(([key]) => key)
    const { rows, meta } = await storage.query('economies', { since: String(day), until: String(END) }, scope)
    expect(meta.sensors).toEqual(covered)
    expect(rows.map(row => [row.economy, row.rank, row.previous_rank, row.packet_count])).toEqual(
      ranks(now).map((key, index) => [key, index + 1, ranks(before).indexOf(key) + 1 || null, now.get(key)!.packets]),
    )
  })

  test('sources', async () => {
    const expected = groupFlows(sensors, SINCE, END, flow => flow.src)
    const { rows, meta } = await storage.query('sources', { ...RANGE, limit: '1000' }, scope)
    expect(meta.total_rows).toBe(expected.size)
    expect(new Map(rows.map(row => [parseAddress(row.src_addr), row.packet_count]))).toEqual(
      new Map([...expected].map(([src, { packets }]) => [parseAddress(src), packets])),
    )
    for (const row of rows) {
      const own = FLOWS.filter(
        flow =>
          parseAddress(flow.src) === parseAddress(row.src_addr) &&
          sensors.includes(flow.sensor) &&
          flow.time >= SINCE &&
          flow.time < END,
      )
      expect(row.sensor_count).toBe(new Set(own.map(flow => flow.sensor)).size)
      expect(row.service_count).toBe(new Set(own.map(flow => `${flow.protocol}/${flow.service_port}`)).size)
      expect(row.first_hour).toBe(formatTime(Math.floor(Math.min(...own.map(flow => flow.time)) / 3600) * 3600))
      expect(row).toHaveProperty(
        'mirai_count',
        own.reduce((sum, flow) => sum + flow.mirai_count, 0),
      )
    }
  })

  test.each(['3600', '86400'] as const)('traffic by class in buckets of %s seconds', async bucket => {
    const { rows } = await storage.query('traffic', { ...RANGE, bucket }, scope)
    const width = Number(bucket)
    const expected: unknown[] = []
    for (let start = SINCE; start < END; start += width) {
      const listening = sensors.filter(sensor => addrDays(sensor, start, start + width) > 0)
      const groups = groupFlows(sensors, start, start + width, flow => flow.class)
      for (const name of TRAFFIC_CLASSES) {
        const group = groups.get(name)
        if (!group && listening.length === 0) continue
        const flows = FLOWS.filter(
          flow =>
            flow.class === name && sensors.includes(flow.sensor) && flow.time >= start && flow.time < start + width,
        )
        expected.push({
          bucket_start: formatTime(start),
          series: name,
          packet_count: group?.packets ?? 0,
          byte_count: flows.reduce((sum, flow) => sum + flow.byte_count, 0),
          src_addr_unique_count: group?.sources.size ?? 0,
          packets_per_addr_day: listening.length > 0 ? expect.closeTo(group?.rate ?? 0, 6) : null,
        })
      }
    }
    expect(rows).toEqual(expected)
  })

  test('sensors, coverage, flows and the overview', async () => {
    const inRange = FLOWS.filter(flow => sensors.includes(flow.sensor) && flow.time >= SINCE && flow.time < END)
    const packetsOf = (sensor: string) =>
      inRange.filter(flow => flow.sensor === sensor).reduce((sum, flow) => sum + flow.packet_count, 0)
    const table = await storage.query('sensors', RANGE, scope)
    expect(table.rows.map(row => [row.sensor, row.packet_count])).toEqual(
      sensors.map(sensor => [sensor, packetsOf(sensor)]),
    )
    const coverage = await storage.query('coverage', RANGE, scope)
    for (const sensor of sensors) {
      const days = coverage.rows.filter(row => row.sensor === sensor)
      expect(days.reduce((sum, row) => sum + row.packet_count, 0)).toBe(packetsOf(sensor))
      expect(days.reduce((sum, row) => sum + row.coverage, 0) * SENSORS[sensor]).toBeCloseTo(
        addrDays(sensor, SINCE, END),
        8,
      )
    }
    expect(new Set(coverage.rows.map(row => row.sensor))).toEqual(new Set(sensors))
    const flows = await storage.query('flows', RANGE, scope)
    expect(flows.meta.total_rows).toBe(inRange.length)
    expect(flows.rows.every(row => sensors.includes(row.sensor as Sensor))).toBe(true)
    expect((await storage.overview(scope)).received).toBe(sensors.length * 3)
  })
})

test('a sensor outside the scope is unknown, in the same words as one that does not exist', async () => {
  for (const name of ['traffic', 'ports', 'sources', 'economies', 'coverage', 'flows'] as const) {
    const ask = (sensor: string) => storage.query(name, { sensor }, { sensors: ['alpha'] }).catch(error => error)
    const hidden = await ask('beta')
    expect(hidden).toMatchObject({ code: 'SENSOR_UNKNOWN' })
    expect(hidden.message.replace('beta', 'omega')).toBe((await ask('omega')).message)
  }
})

test('rollups made again from the lake say the same', async () => {
  const ask = async () =>
    JSON.stringify([
      await storage.query('ports', { ...RANGE, compare: 'none', limit: '1000' }, { sensors: 'all' }),
      await storage.query('traffic', { ...RANGE, by: 'sensor' }, { sensors: 'all' }),
      (await storage.query('sources', { ...RANGE, limit: '1000' }, { sensors: 'all' })).rows,
      await storage.query('coverage', { ...RANGE, bucket: '3600' }, { sensors: 'all' }),
    ])
  const before = await ask()
  for (let day = START; day < END; day += 86_400) await storage.replaceDay(day)
  expect(await ask()).toBe(before)
})
