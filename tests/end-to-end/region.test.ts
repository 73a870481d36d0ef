import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Truth } from '../../fixtures/simulator/truth.ts'
import type { Answer, QueryName, QueryParameters } from '../../schemas/api.ts'
import type { CollectSummary } from '../../schemas/batch.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TRAFFIC_CLASSES } from '../../schemas/protocol.ts'
import { DAY_SECONDS, HOUR_SECONDS, parseTime } from '../../schemas/time.ts'
import { hirundo, hirundoSucceeds, type RunningHub, startHirundo, until } from '../support/hirundo.ts'

// Goal: what a hub answers equals what the simulator knows that it sent, number for number. Method: every step is the
// command or the HTTP request that a user would use. Two sensors send batches, the others upload raw captures.

const DAYS = 15
const BATCH_SENSORS = ['jp-1', 'vn-1']

let folder: string
let region: string
let data: string
let truth: Truth
let hub: RunningHub
let analyst: string

async function token(...args: string[]): Promise<string> {
  return (await hirundoSucceeds(['token', 'create', ...args, '--data', data])).stdout.trim()
}

async function ask<N extends QueryName>(name: N, parameters: QueryParameters<N>): Promise<Answer<N>> {
  const response = await fetch(
    `${hub.url}/api/v1/${name}?${new URLSearchParams(parameters as Record<string, string>)}`,
    {
      headers: { authorization: `Bearer ${analyst}` },
    },
  )
  expect(response.status, await response.clone().text()).toBe(200)
  return (await response.json()) as Answer<N>
}

async function upload(path: string, secret: string): Promise<{ status: number; receipt: Receipt }> {
  const bytes = readFileSync(path)
  const response = await fetch(`${hub.url}/api/v1/captures/${createHash('sha256').update(bytes).digest('hex')}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${secret}` },
    body: bytes,
  })
  return { status: response.status, receipt: (await response.json()) as Receipt }
}

/** The whole range, or some days of it. */
function range(since = 0, until = DAYS): { since: string; until: string } {
  const start = parseTime(truth.start)
  return { since: String(start + since * DAY_SECONDS), until: String(start + until * DAY_SECONDS) }
}

const tokens = new Map<string, string>()
const uploaded: { path: string; sensor: string; status: number; receipt: Receipt }[] = []
const collected = new Map<string, CollectSummary>()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-region-'))
  region = join(folder, 'region')
  data = join(folder, 'data')
  await hirundoSucceeds(['simulate', '--scenario', 'demo', '--seed', '7', '--days', String(DAYS), '--out', region])
  truth = JSON.parse(readFileSync(join(region, 'truth.json'), 'utf8')) as Truth
  hub = await startHirundo(['serve', '--data', data, '--port', '0', '--geography', join(region, 'geography.csv')])
  analyst = await token('--role', 'analyst')
  for (const { id, economy, prefixes } of truth.sensors) {
    await hirundoSucceeds([
      'sensor',
      'add',
      id,
      '--economy',
      economy,
      '--telescope',
      prefixes.join(','),
      '--data',
      data,
    ])
    tokens.set(id, await token('--sensor', id))
  }
  for (const { sensor, path } of truth.captures) {
    if (BATCH_SENSORS.includes(sensor)) continue
    uploaded.push({ path, sensor, ...(await upload(join(region, path), tokens.get(sensor)!)) })
  }
  for (const sensor of BATCH_SENSORS) {
    const { prefixes } = truth.sensors.find(({ id }) => id === sensor)!
    const spool = join(folder, `spool-${sensor}`)
    const identity = join(folder, `${sensor}.json`)
    writeFileSync(identity, JSON.stringify({ sensor, token: tokens.get(sensor) }), { mode: 0o600 })
    const captures = join(region, 'captures', sensor)
    const key = join(folder, `${sensor}.key`)
    const made = await hirundoSucceeds([
      'collect',
      captures,
      '--sensor',
      sensor,
      '--telescope',
      prefixes.join(','),
      '--key',
      key,
      '--out',
      spool,
      '--json',
    ])
    collected.set(sensor, JSON.parse(made.stdout) as CollectSummary)
    await hirundoSucceeds(['send', '--spool', spool, '--hub', hub.url, '--identity', identity])
  }
  // Without a range every registered sensor is in the answer, also one of which nothing is counted yet.
  await until('everything is counted', async () =>
    (await ask('sensors', {})).rows.every(row => row.pending_count === 0),
  )
}, 180_000)

afterAll(async () => {
  await hub?.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('a simulated region through the real path', () => {
  it('acknowledges every capture, and the same bytes again with the same receipt', async () => {
    expect(uploaded.map(({ status }) => status)).toEqual(uploaded.map(() => 201))
    const again = await upload(join(region, uploaded[0]!.path), tokens.get(uploaded[0]!.sensor)!)
    expect(again.status).toBe(200)
    expect(again.receipt.sha256).toBe(uploaded[0]!.receipt.sha256)
    expect(again.receipt.received_at).toBe(uploaded[0]!.receipt.received_at)
  })

  it('keeps every packet that was sent', async () => {
    const { rows } = await ask('sensors', range())
    const sent = Object.fromEntries(
      truth.sensors.map(({ id }) => [
        id,
        truth.captures.filter(({ sensor }) => sensor === id).reduce((sum, { packets }) => sum + packets, 0),
      ]),
    )
    expect(Object.fromEntries(rows.map(row => [row.sensor, row.packet_count]))).toEqual(sent)
    for (const [sensor, summary] of collected) {
      expect(summary.captures.reduce((sum, capture) => sum + capture.packets_kept, 0)).toBe(sent[sensor])
    }
  })

  it('answers packets by class, sensor and day', async () => {
    for (const { id } of truth.sensors) {
      const { rows } = await ask('traffic', { ...range(), bucket: '86400', by: 'class', sensor: id })
      for (const name of TRAFFIC_CLASSES) {
        const days = Array<number>(DAYS).fill(0)
        for (const row of rows)
          if (row.series === name)
            days[(Date.parse(row.bucket_start) / 1000 - parseTime(truth.start)) / DAY_SECONDS] = row.packet_count
        expect(days, `${id} ${name}`).toEqual(truth.totals.by_sensor_day[id]![name])
      }
    }
  })

  it('answers packets, bytes and distinct sources by hour', async () => {
    const { rows } = await ask('traffic', { ...range(), bucket: '3600', by: 'class' })
    for (const name of TRAFFIC_CLASSES) {
      const packets = Array<number>(DAYS * 24).fill(0)
      const bytes = Array<number>(DAYS * 24).fill(0)
      const sources = Array<number>(DAYS * 24).fill(0)
      for (const row of rows) {
        if (row.series !== name) continue
        const hour = (Date.parse(row.bucket_start) / 1000 - parseTime(truth.start)) / HOUR_SECONDS
        packets[hour] = row.packet_count
        bytes[hour] = row.byte_count
        sources[hour] = row.src_addr_unique_count
      }
      const sum = (what: 'packet_count' | 'byte_count') =>
        packets.map((_, hour) =>
          truth.sensors.reduce((total, { id }) => total + truth.hours.sensors[id]![what][name][hour]!, 0),
        )
      expect(packets, name).toEqual(sum('packet_count'))
      expect(bytes, name).toEqual(sum('byte_count'))
      expect(sources, name).toEqual(truth.hours.src_addr_unique_count[name])
    }
  })

  it('ranks ports of every day by exact distinct sources', async () => {
    for (const [day, span] of truth.ports.scan!.days.entries()) {
      const { rows, meta } = await ask('ports', { ...range(day, day + 1), class: 'scan', compare: 'none', limit: '50' })
      expect(
        rows.map(({ protocol, service_port, src_addr_unique_count, packet_count }) => ({
          protocol,
          service_port,
          src_addr_unique_count,
          packet_count,
        })),
      ).toEqual(span.rows.slice(0, 50).map(({ mirai_packet_count: _, ...row }) => row))
      expect(rows.map(row => Math.round(row.mirai_share * row.packet_count))).toEqual(
        span.rows.slice(0, 50).map(row => row.mirai_packet_count),
      )
      expect(meta.total_rows).toBe(span.total_rows)
    }
  })

  it('compares the newest week with the one before, without the sensor that was silent', async () => {
    const { newest, previous, sensors, sensors_left_out } = truth.comparison!
    const { rows, meta } = await ask('ports', { ...range(DAYS - 7), class: 'scan', limit: '20' })
    expect([...meta.sensors].sort()).toEqual([...sensors].sort())
    expect(meta.sensors_left_out).toEqual(sensors_left_out)
    expect(sensors_left_out).toEqual(['th-1'])
    const name = (row: { protocol: string; service_port: number }) => `${row.protocol}/${row.service_port}`
    expect(rows.map(row => [name(row), row.src_addr_unique_count])).toEqual(
      newest!.ports!.rows.slice(0, 20).map(row => [name(row), row.src_addr_unique_count]),
    )
    const before = new Map(previous!.ports!.rows.map((row, index) => [name(row), index + 1]))
    for (const row of rows) {
      // The truth lists the first hundred; a port that was further down, or not there, is in neither list.
      if (before.has(name(row))) expect(row.previous_rank, name(row)).toBe(before.get(name(row)))
      else expect(row.previous_rank ?? 101, name(row)).toBeGreaterThan(100)
    }
    expect(rows.filter(row => before.has(name(row))).length).toBeGreaterThan(10)
  })

  it('answers economies and sources', async () => {
    const { rows } = await ask('economies', { ...range(), compare: 'none', limit: '1000', class: 'scan' })
    const economies = truth.economies.period.rows.filter(row => row.packet_count.scan > 0)
    expect(new Map(rows.map(row => [row.economy, [row.packet_count, row.src_addr_unique_count]]))).toEqual(
      new Map(economies.map(row => [row.economy, [row.packet_count.scan, row.src_addr_unique_count.scan]])),
    )
    const sources = await ask('sources', { ...range(), limit: '50' })
    const expected = truth.sources.period.rows.slice(0, 50)
    expect(sources.rows.map(row => row.packet_count)).toEqual(expected.map(row => row.packet_count.any))
    const known = new Map(truth.sources.period.rows.map(row => [row.src_addr, row]))
    for (const row of sources.rows) {
      expect([row.economy, row.packet_count, row.sensor_count]).toEqual([
        known.get(row.src_addr)!.economy,
        known.get(row.src_addr)!.packet_count.any,
        known.get(row.src_addr)!.sensor_count,
      ])
    }
  })

  it('shows the outage as missing coverage, and no other', async () => {
    const { rows } = await ask('coverage', { ...range(), bucket: '86400' })
    const outage = truth.stories.find(({ kind }) => kind === 'outage')!
    for (const { id } of truth.sensors) {
      for (let day = 0; day < DAYS; day++) {
        const start = parseTime(truth.start) + day * DAY_SECONDS
        const silent =
          outage.sensors.includes(id) && start >= parseTime(outage.since) && start < parseTime(outage.until)
        const coverage =
          rows.find(row => row.sensor === id && Date.parse(row.bucket_start) === start * 1000)?.coverage ?? 0
        if (silent) expect(coverage, `${id} day ${day}`).toBeLessThan(0.05)
        else expect(coverage, `${id} day ${day}`).toBeGreaterThan(0.9)
      }
    }
  })

  it('names no dark address in any answer or log line', async () => {
    const answers = await Promise.all([
      ask('flows', { ...range(14), limit: '1000' }),
      ask('sources', { ...range(), limit: '1000' }),
      ask('sensors', range()),
      ask('coverage', range()),
      ...(['openapi.json', 'status'] as const).map(async path => (await fetch(`${hub.url}/api/v1/${path}`)).text()),
    ])
    const text = `${JSON.stringify(answers)}${hub.output()}`
    expect(text).not.toMatch(/203\.0\.113\.|2001:db8:d00d/)
    // The search can find what it looks for: sources are there as text.
    expect(text).toMatch(/198\.18\./)
  })

  it('writes a weekly bundle whose manifest is true, and refuses a week without data', async () => {
    const out = join(folder, 'report')
    const week = truth.ports.scan!.iso_weeks.find(span => span.week)?.week
    expect(week).toBeDefined()
    await hirundoSucceeds(['report', '--data', data, '--week', week!, '--out', out])
    const manifest = JSON.parse(readFileSync(join(out, week!, 'manifest.json'), 'utf8')) as {
      files: Record<string, { sha256: string }>
    }
    for (const [name, { sha256 }] of Object.entries(manifest.files)) {
      expect(
        createHash('sha256')
          .update(readFileSync(join(out, week!, name)))
          .digest('hex'),
        name,
      ).toBe(sha256)
    }
    const ports = await ask('ports', {
      since: String(parseTime(truth.ports.scan!.iso_weeks.find(span => span.week === week)!.since)),
      until: String(parseTime(truth.ports.scan!.iso_weeks.find(span => span.week === week)!.until)),
      class: 'scan',
      limit: '5',
    })
    const csv = readFileSync(join(out, week!, 'services.csv'), 'utf8')
      .trim()
      .split('\r\n')
    expect(csv).toHaveLength(1 + ports.rows.length)
    expect(csv[1]).toContain(`${ports.rows[0]!.protocol},${ports.rows[0]!.service_port}`)
    const html = readFileSync(join(out, week!, 'report.html'), 'utf8')
    expect(html).not.toMatch(/<script|https?:\/\/|203\.0\.113\./)
    expect((await hirundo(['report', '--data', data, '--week', '2001-W01', '--out', out])).status).toBe(3)
    expect((await hirundo(['report', '--data', data, '--week', '2001-W60', '--out', out])).status).toBe(2)
  })

  it('ends cleanly, writes the same bundle without a hub, and answers the same after a restart', async () => {
    const before = await ask('ports', { ...range(), limit: '100' })
    const [week] = readdirSync(join(folder, 'report'))
    const manifest = (out: string) => readFileSync(join(folder, out, week!, 'manifest.json'), 'utf8')
    expect(await hub.stop()).toBe(0)
    await hirundoSucceeds(['report', '--data', data, '--week', week!, '--out', join(folder, 'again')])
    expect(manifest('again')).toBe(manifest('report'))
    hub = await startHirundo(['serve', '--data', data, '--port', '0', '--geography', join(region, 'geography.csv')])
    expect(await ask('ports', { ...range(), limit: '100' })).toEqual(before)
  })
})
