import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Storage } from '../../analytics/storage.ts'
import type { SensorHealth } from '../../schemas/sensor-health.ts'
import type { GoneNumbers } from '../../schemas/upload-sequence.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { TEST_NOW, temporaryStorage } from '../support/storage.ts'

// Goal (R11): a number that never came is reported as a gap, and nothing else is: not what came late, twice, in
// another order, in another spool, or is still at the sensor.

let storage: Storage
let now = TEST_NOW
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const A = '0f3a9c21'
const B = '77777777'

const atEnd: (() => void)[] = []
/** Each test has two sensors of its own. */
let alpha: string
let beta: string
let sensors = 0

beforeAll(async () => {
  storage = await temporaryStorage({ now: () => now }, work => atEnd.unshift(work))
})
afterAll(async () => {
  for (const work of atEnd) await work()
})
beforeEach(async () => {
  now = TEST_NOW
  for (const sensor of [`alpha-${++sensors}`, `beta-${sensors}`]) {
    const telescope = `10.${sensors}.${sensor[0] === 'a' ? 0 : 1}.0/28`
    await storage.addSensor({ sensor, economy: 'JP', organisation: '', telescope })
  }
  alpha = `alpha-${sensors}`
  beta = `beta-${sensors}`
})

interface Sent {
  readonly sensor?: string
  readonly spool?: string
  readonly oldest?: number | null
  readonly gone?: readonly GoneNumbers[]
  /** Bytes that differ are other uploads. */
  readonly bytes?: string
}

async function send(number: number, { sensor = alpha, spool = A, oldest = null, gone = [], bytes }: Sent = {}) {
  const sha256 = createHash('sha256')
    .update(bytes ?? `${sensor} ${spool} ${number}`)
    .digest('hex')
  const sequence = { number, spool, oldest, gone }
  return await storage.recordReceived({ sensor, sha256, kind: 'batch', byte_count: 1, sequence })
}

async function health(sensor = alpha): Promise<SensorHealth> {
  const rows = await storage.sensorHealth({ sensors: [sensor] })
  expect(rows.map(row => row.sensor)).toEqual([sensor])
  return rows[0]!
}

/** Missing ranges as text, oldest first. */
async function missing(sensor = alpha): Promise<string[]> {
  const { missing_sequences: ranges, missing_sequence_count: count } = await health(sensor)
  const sizes = ranges.map(range => range.last_sequence - range.first_sequence + 1)
  if (ranges.length < 5) expect(count).toBe(sizes.reduce((sum, size) => sum + size, 0))
  return ranges.map(range => `${range.spool} ${range.first_sequence}-${range.last_sequence} ${range.reason}`).sort()
}

describe('missing numbers', () => {
  it('are none while every number comes, and the receipt holds them', async () => {
    for (const number of [1, 2, 3]) await send(number, { oldest: number })
    expect(await missing()).toEqual([])
    const [receipt] = await storage.listReceipts({ sensor: alpha, limit: 1 })
    expect(receipt).toMatchObject({ spool: A })
    expect(receipt!.sequence).toBeGreaterThan(0)
  })

  it('are told as soon as the sensor no longer holds them', async () => {
    await send(1, { oldest: 1 })
    await send(5, { oldest: 3 })
    expect(await missing()).toEqual([`${A} 2-2 unknown`])
    await send(3, { oldest: 3 })
    await send(6, { oldest: 6 })
    expect(await missing()).toEqual([`${A} 2-2 unknown`, `${A} 4-4 unknown`])
  })

  it('also before the first that came', async () => {
    await send(4, { oldest: 4 })
    expect(await missing()).toEqual([`${A} 1-3 unknown`])
  })

  it('leave when they come after all', async () => {
    await send(1, { oldest: 1 })
    await send(9, { oldest: 9 })
    expect(await missing()).toEqual([`${A} 2-8 unknown`])
    await send(5)
    expect(await missing()).toEqual([`${A} 2-4 unknown`, `${A} 6-8 unknown`])
    for (const number of [2, 8, 3, 4, 7, 6]) await send(number)
    expect(await missing()).toEqual([])
  })

  it('have the reason that the sensor gives, and none when they came all the same', async () => {
    await send(1, { oldest: 1 })
    await send(3, { oldest: 3, gone: [] })
    // The answer to 3 was lost, and the sensor had to evict it with its neighbours.
    const gone = [
      { first: 2, last: 5, reason: 'evicted' },
      { first: 7, last: 7, reason: 'refused' },
    ] as const
    await send(8, { oldest: 8, gone })
    const expected = [`${A} 2-2 evicted`, `${A} 4-5 evicted`, `${A} 6-6 unknown`, `${A} 7-7 refused`]
    expect(await missing()).toEqual(expected)
    // Said again, and the other way round: the first word stands.
    await send(9, { oldest: 9, gone: [{ first: 2, last: 7, reason: 'removed' }] })
    expect(await missing()).toEqual(expected.map(range => range.replace('6-6 unknown', '6-6 removed')))
  })

  it('also behind the highest that came', async () => {
    await send(1, { oldest: 1, gone: [{ first: 2, last: 3, reason: 'damaged' }] })
    expect(await missing()).toEqual([`${A} 2-3 damaged`])
    await send(4, { oldest: 4 })
    expect(await missing()).toEqual([`${A} 2-3 damaged`])
  })

  it('are counted in each spool and sensor by itself', async () => {
    await send(1, { oldest: 1 })
    await send(2, { spool: B, oldest: 2 })
    await send(3, { sensor: beta, oldest: 3 })
    expect(await missing()).toEqual([`${B} 1-1 unknown`])
    expect(await missing(beta)).toEqual([`${A} 1-2 unknown`])
  })

  it('are not what came with bytes that the hub had already', async () => {
    await send(1, { oldest: 1, bytes: `same ${alpha}` })
    const again = await send(1, { spool: B, oldest: 1, bytes: `same ${alpha}` })
    expect(again.created).toBe(false)
    await send(2, { spool: B, oldest: 2 })
    expect(await missing()).toEqual([])
  })

  it('wait for a sensor that does not say what it holds', async () => {
    await send(1)
    await send(3)
    expect(await missing()).toEqual([])
    now += 11 * MINUTE
    expect(await missing()).toEqual([`${A} 2-2 unknown`])
  })

  it('are what a spool still held that is heard of no more', async () => {
    await send(3, { oldest: 1 })
    now += DAY - MINUTE
    expect(await missing()).toEqual([])
    now += 2 * MINUTE
    expect(await missing()).toEqual([`${A} 1-2 unknown`])
  })

  it('are counted all and named in part', async () => {
    for (const number of [2, 4, 6, 8, 10, 12, 14]) await send(number, { oldest: number })
    const { missing_sequence_count, missing_sequences } = await health()
    expect(missing_sequence_count).toBe(7)
    expect(missing_sequences).toHaveLength(5)
    await send(999_999_999_999_999, { oldest: 999_999_999_999_999 })
    expect((await health()).missing_sequence_count).toBe(999_999_999_999_999 - 8)
  })

  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
  it(`are those of a plain count, whatever comes in whatever order (seed ${seed})`, async () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 6; round++) {
      const spool = round.toString(16).padStart(8, '0')
      const highest = 1 + Math.floor(random() * 60)
      const came = new Set<number>()
      const gone = new Map<number, string>()
      const calls: Promise<unknown>[] = []
      for (let step = 0; step < highest * 1.5; step++) {
        const number = 1 + Math.floor(random() * highest)
        const first = 1 + Math.floor(random() * highest)
        const last = first + Math.floor(random() * 5)
        const ranges = random() < 0.2 ? ([{ first, last, reason: 'evicted' }] as const) : []
        came.add(number)
        for (const range of ranges) for (let n = range.first; n <= range.last; n++) gone.set(n, range.reason)
        calls.push(send(number, { spool, gone: ranges }))
        if (random() < 0.3) await Promise.all(calls.splice(0))
      }
      await Promise.all(calls)
      now += 11 * MINUTE
      const top = Math.max(...came, ...gone.keys())
      const expected = Array.from({ length: top }, (_, index) => index + 1).filter(number => !came.has(number))
      const before = round === 0 ? 0 : total
      total = (await health()).missing_sequence_count
      expect(total - before, `round ${round}`).toBe(expected.length)
    }
  })
  let total = 0
})

describe('silence', () => {
  const uploads = async (gaps: readonly number[]) => {
    for (const [index, minutes] of gaps.entries()) {
      now += minutes * MINUTE
      await send(index + 1, { oldest: index + 1 })
    }
  }

  it('is told after three usual intervals of the sensor itself', async () => {
    await uploads([0, 5, 5, 6, 5, 5])
    const last = new Date(now).toISOString().replace('.000', '')
    expect(await health()).toMatchObject({ usual_interval_seconds: 300, silent_since: null, last_upload_at: last })
    now += 15 * MINUTE
    expect((await health()).silent_since).toBe(null)
    now += 1 * MINUTE
    expect((await health()).silent_since).toBe(last)
    await send(7, { oldest: 7 })
    expect((await health()).silent_since).toBe(null)
  })

  it('takes uploads that come together for one', async () => {
    const hour = 60
    await uploads([0, 0.1, 0.1, 24 * hour, 0.1, 0.1, 24 * hour, 0.1, 24 * hour, 0.1])
    const { usual_interval_seconds } = await health()
    expect(usual_interval_seconds).toBe(86_400)
    now += 2 * DAY
    expect((await health()).silent_since).toBe(null)
  })

  it('is never told within ten minutes, and not before something is usual', async () => {
    await uploads([0, 1, 1])
    now += DAY
    expect(await health()).toMatchObject({ usual_interval_seconds: null, silent_since: null })
    await uploads([0, 1, 1, 1])
    now += 9 * MINUTE
    expect((await health()).silent_since).toBe(null)
    now += 2 * MINUTE
    expect((await health()).silent_since).not.toBe(null)
  })

  it('stays told when it has lasted for longer than anything is usual', async () => {
    await uploads([0, 1])
    now += 40 * DAY
    expect(await health()).toMatchObject({ usual_interval_seconds: null })
    expect((await health()).silent_since).not.toBe(null)
    expect((await health(beta)).silent_since).toBe(null)
  })
})

it('tells the clock of the sensor, and quarantined uploads', async () => {
  expect(await health()).toMatchObject({
    clock_skew_seconds: null,
    quarantined_count: 0,
    held_count: 0,
    coverage_7d: 0,
  })
  const upload = { sensor: alpha, kind: 'batch', byte_count: 1 } as const
  await storage.recordReceived({ ...upload, sha256: 'a'.repeat(64), clock_skew_seconds: -40 })
  now += MINUTE
  await storage.recordReceived({ ...upload, sha256: 'b'.repeat(64) })
  await storage.quarantine(alpha, 'b'.repeat(64), { code: 'BATCH_INVALID', message: 'no' })
  expect(await health()).toMatchObject({ clock_skew_seconds: -40, quarantined_count: 1 })
})
