import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Counter } from '../../dashboard/server/counter.ts'
import { diskSpace } from '../../dashboard/server/disk-reserve.ts'
import { Inbox } from '../../dashboard/server/inbox.ts'
import { builtFile } from '../../dashboard/server/package-root.ts'
import { ParsePool } from '../../dashboard/server/parse-pool.ts'
import { QUERIES, type QueryName } from '../../schemas/api.ts'
import type { Column } from '../../schemas/column.ts'
import { synCapture } from '../support/syn-capture.ts'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

// The questions over HTTP, on data that came through the whole hub: who sees what, as JSON and as CSV.

const RANGE = 'since=2025-11-22&until=2025-11-23'
const NAMES = Object.keys(QUERIES) as QueryName[]

let hub: TestHub
let open: TestHub
let counter: Counter

beforeAll(async () => {
  open = await openTestHub({ openReading: true })
  hub = await openTestHub()
  for (const [token, capture] of [
    [hub.tokens.sensor, synCapture(1, 200, [203, 0, 113])],
    [hub.tokens.other, synCapture(2, 100, [203, 0, 113])],
  ] as const) {
    const url = `/api/v1/captures/${createHash('sha256').update(capture).digest('hex')}`
    await hub.app.inject({ method: 'PUT', url, headers: bearer(token), payload: Buffer.from(capture) })
  }
  counter = new Counter({
    storage: hub.storage,
    folder: hub.folder,
    space: diskSpace,
    inbox: new Inbox(hub.folder, false),
    pool: new ParsePool(builtFile('collector', 'parse-child.js'), hub.folder.parsed),
    onError: () => {},
    onBroken: () => {},
  })
  counter.start()
  await vi.waitFor(async () => expect(await hub.storage.pending(10)).toEqual([]), { timeout: 20_000 })
})
afterAll(async () => {
  await counter.stop()
  await Promise.all([hub.close(), open.close()])
})

const get = (url: string, token: string, headers: Record<string, string> = {}) =>
  hub.app.inject({ url, headers: { ...bearer(token), ...headers } })

/** 16 dark addresses each: packets go to last bytes 0 to 15 and 64 to 79. */
const PACKETS = { 'jp-1': 16, 'vn-1': 16 }

describe('every question', () => {
  it.each(NAMES)('%s is answered with its columns, as JSON and as CSV', async name => {
    const url = `/api/v1/${name}`
    const json = await get(`${url}?${RANGE}`, hub.tokens.analyst)
    expect(json.statusCode).toBe(200)
    expect(json.headers).toMatchObject({ 'cache-control': 'no-store', vary: 'accept' })
    const { meta, rows } = json.json()
    const columns = Object.entries(QUERIES[name].row as Record<string, Column>)
    const shown = columns.filter(([, column]) => column.sharing !== 'withheld').map(([column]) => column)
    expect(Object.keys(rows[0]).sort()).toEqual([...shown].sort())
    expect(meta.since).toBe('2025-11-22T00:00:00Z')
    const csv = await get(`${url}.csv?${RANGE}`, hub.tokens.analyst)
    expect(csv.headers['content-type']).toContain('text/csv')
    expect(csv.headers['content-disposition']).toBe(
      `attachment; filename="${name}-${meta.since.slice(0, 10)}-${meta.until.slice(0, 10)}.csv"`,
    )
    const lines = csv.body.trimEnd().split('\r\n')
    expect(lines[0]).toBe(shown.join(','))
    expect(lines).toHaveLength(rows.length + 1)
    const accepted = await get(`${url}?${RANGE}`, hub.tokens.analyst, { accept: 'text/csv' })
    expect(accepted.body).toBe(csv.body)
    const page = await get(`${url}?${RANGE}`, hub.tokens.analyst, { accept: 'text/html,*/*' })
    expect(page.headers['content-type']).toContain('application/json')
  })

  it('names a file by its hours where it has some', async () => {
    const csv = await get('/api/v1/ports.csv?since=2025-11-22T06:00:00Z&until=2025-11-23', hub.tokens.analyst)
    expect(csv.headers['content-disposition']).toBe('attachment; filename="ports-2025-11-22T06Z-2025-11-23.csv"')
  })

  it.each(NAMES)('%s refuses what it does not know, and names what it does', async name => {
    for (const suffix of ['', '.csv']) {
      const response = await get(`/api/v1/${name}${suffix}?colour=red`, hub.tokens.analyst)
      expect(errorCode(response)).toBe('QUERY_INVALID')
      expect(response.json().error.details.known).toBe(Object.keys(QUERIES[name].parameters).join(','))
      expect(errorCode(await get(`/api/v1/${name}${suffix}?since=yesterday`, hub.tokens.analyst))).toBe('QUERY_INVALID')
      const crooked = await get(`/api/v1/${name}${suffix}?since=2025-11-22T00:30:00Z`, hub.tokens.analyst)
      expect(errorCode(crooked)).toBe('QUERY_RANGE_UNALIGNED')
    }
  })

  it.each(NAMES)('%s shows a sensor only what it recorded itself', async name => {
    const own = await get(`/api/v1/${name}?${RANGE}`, hub.tokens.sensor)
    expect(own.body).not.toContain('vn-1')
    expect(own.json().meta.sensors).toEqual(['jp-1'])
    if (!('sensor' in QUERIES[name].parameters)) return
    // The same answer whether the sensor exists or not.
    const [other, nobody] = [
      await get(`/api/v1/${name}?${RANGE}&sensor=vn-1`, hub.tokens.sensor),
      await get(`/api/v1/${name}?${RANGE}&sensor=xx-9`, hub.tokens.sensor),
    ]
    expect([errorCode(other), errorCode(nobody)]).toEqual(['SENSOR_UNKNOWN', 'SENSOR_UNKNOWN'])
    expect(other.body.replaceAll('vn-1', 'xx-9')).toBe(nobody.body)
  })

  it('counts what the captures hold', async () => {
    const { rows } = (await get(`/api/v1/sensors?${RANGE}`, hub.tokens.analyst)).json()
    const counted = Object.fromEntries(
      rows.map((row: { sensor: string; packet_count: number }) => [row.sensor, row.packet_count]),
    )
    expect(counted).toEqual(PACKETS)
  })

  it('never shows a dark address', async () => {
    for (const name of NAMES) {
      const { body } = await get(`/api/v1/${name}?${RANGE}`, hub.tokens.coordinator)
      expect(body).not.toMatch(/203\.0\.113|dst_index/)
    }
  })
})

describe('the status', () => {
  it('tells each caller what it may see', async () => {
    const status = async (headers: Record<string, string>) =>
      (await hub.app.inject({ url: '/api/v1/status', headers })).json()
    expect(await status({})).toMatchObject({
      role: 'anonymous',
      demo: null,
      data_since: null,
      data_until: null,
      uploads: { received: 0, counted: 0, quarantined: 0 },
    })
    expect(await status(bearer(hub.tokens.sensor))).toMatchObject({
      role: 'sensor',
      uploads: { received: 1, counted: 1 },
    })
    expect(await status(bearer(hub.tokens.coordinator))).toMatchObject({
      role: 'coordinator',
      data_since: '2025-11-22T00:00:00.000Z',
      data_until: '2025-11-23T00:00:00.000Z',
      geography: 'test',
      uploads: { received: 2, counted: 2, quarantined: 0 },
    })
  })

  it('of a hub that is open for reading lets anyone read, and nothing more', async () => {
    expect((await open.app.inject({ url: '/api/v1/status' })).json().role).toBe('analyst')
    expect((await open.app.inject({ url: `/api/v1/sensors?${RANGE}` })).statusCode).toBe(200)
    for (const [method, url] of [
      ['POST', '/api/v1/tokens'],
      ['GET', '/api/v1/receipts'],
      ['PUT', `/api/v1/captures/${'a'.repeat(64)}`],
    ] as const) {
      expect(errorCode(await open.app.inject({ method, url }))).toBe('FORBIDDEN')
    }
  })
})
