import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Counter } from '../../dashboard/server/counter.ts'
import { inboxPath } from '../../dashboard/server/data-folder.ts'
import { diskSpace } from '../../dashboard/server/disk-reserve.ts'
import { Inbox } from '../../dashboard/server/inbox.ts'
import { builtFile } from '../../dashboard/server/package-root.ts'
import { ParsePool } from '../../dashboard/server/parse-pool.ts'
import type { RebuiltDay } from '../../dashboard/server/rebuild.ts'
import { rebuildLake } from '../../dashboard/server/rebuild.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { ROOT } from '../support/external.ts'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

// Goal: decisions move bytes and receipts together, through the routes and the counter that a hub has; and what was
// received gives the lake again.

const CAPTURE = readFileSync(join(ROOT, 'fixtures/captures/masscan-syn-23.pcap'))
const OTHER = readFileSync(join(ROOT, 'fixtures/captures/zmap-syn-23.pcap'))
const SENSOR = { sensor: 'lab-1', economy: 'JP', organisation: 'Laboratory', telescope: '198.19.1.0/24' }

let hub: TestHub
let running: { counter: Counter; pool: ParsePool }[]
beforeEach(async () => {
  hub = await openTestHub()
  running = []
  await registerSensor(hub.storage, hub.folder, SENSOR)
})
afterEach(async () => {
  await stopCounting()
  await hub.close()
})

function startCounting(): Counter {
  const pool = new ParsePool(builtFile('collector', 'parse-child.js'), hub.folder.parsed)
  const counter = new Counter({
    storage: hub.storage,
    folder: hub.folder,
    space: diskSpace,
    inbox: new Inbox(hub.folder, true),
    pool,
    onError: error => expect.fail(String(error)),
    onBroken: error => expect.fail(String(error)),
  })
  running.push({ counter, pool })
  counter.start()
  return counter
}

async function stopCounting(): Promise<void> {
  for (const { counter } of running.splice(0)) await counter.stop()
}

async function receive(bytes: Buffer): Promise<string> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const path = inboxPath(hub.folder, 'capture', SENSOR.sensor, sha256)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, bytes)
  await hub.storage.recordReceived({ sensor: SENSOR.sensor, sha256, kind: 'capture', byte_count: bytes.length })
  return sha256
}

async function counted(...uploads: string[]): Promise<Receipt[]> {
  const read = () => Promise.all(uploads.map(sha256 => hub.storage.findReceipt(SENSOR.sensor, sha256)))
  await expect.poll(async () => (await read()).map(receipt => receipt!.state)).not.toContain('received')
  // The bytes follow the commit.
  await stopCounting()
  return (await read()) as Receipt[]
}

const decide = (action: string, sha256: string) =>
  hub.app.inject({
    method: 'POST',
    url: `/api/v1/receipts/${sha256}/${action}?sensor=${SENSOR.sensor}`,
    headers: bearer(hub.tokens.coordinator),
  })

const names = (...path: string[]) => {
  const folder = join(hub.folder.root, ...path, SENSOR.sensor)
  return existsSync(folder) ? readdirSync(folder).sort() : []
}
const inbox = () => names('inbox', 'captures')

async function packets(): Promise<number> {
  const { rows } = await hub.storage.query('sensors', { since: '2020-01-01', until: '2030-01-01' }, { sensors: 'all' })
  return rows.reduce((sum, row) => sum + row.packet_count, 0)
}

/** The same packets in another file: the last record is left out. */
const SHORTER = CAPTURE.subarray(0, CAPTURE.length - 70)

/** How the hub sums up what is held and withdrawn, in each answer that says so. */
async function tallies() {
  const get = async (path: string) =>
    (await hub.app.inject({ url: `/api/v1/${path}`, headers: bearer(hub.tokens.coordinator) })).json()
  const { received, counted, held, withdrawn } = (await get('status')).uploads
  const ofSensor = (rows: { sensor: string; held_count: number; withdrawn_count: number }[]) => {
    const { held_count, withdrawn_count } = rows.find(({ sensor }) => sensor === SENSOR.sensor)!
    return [held_count, withdrawn_count]
  }
  return {
    status: [received, counted, held, withdrawn],
    sensors: ofSensor((await get('sensors')).rows),
    health: ofSensor((await get('sensor-health')).sensors),
  }
}

describe('a capture of the same packets', () => {
  it('waits in the inbox over a restart, and is counted when it is accepted', async () => {
    const first = await receive(CAPTURE)
    startCounting()
    await counted(first)
    const second = await receive(SHORTER)
    startCounting()
    expect(await counted(second)).toMatchObject([
      { state: 'held', error_code: 'CAPTURE_OVERLAPS', overlaps_with: first },
    ])
    await new Inbox(hub.folder, true).sweep(hub.storage)
    expect(inbox()).toEqual([second])
    expect(names('captures')).toEqual([first])
    const list = await hub.app.inject({
      url: '/api/v1/receipts?state=held',
      headers: bearer(hub.tokens.coordinator),
    })
    expect(list.json().receipts).toMatchObject([{ sha256: second }])
    expect(await tallies()).toEqual({ status: [2, 1, 1, 0], sensors: [1, 0], health: [1, 0] })
    const before = await packets()
    expect((await decide('accept', second)).json()).toMatchObject({ state: 'received' })
    startCounting()
    expect(await counted(second)).toMatchObject([{ state: 'counted', error_code: null, overlaps_with: null }])
    expect(await packets()).toBeGreaterThan(before)
    expect(names('captures')).toEqual([first, second].sort())
  })

  it('leaves the numbers and stays in bytes when it is withdrawn, and comes back when it is accepted', async () => {
    const digest = await receive(CAPTURE)
    startCounting()
    await counted(digest)
    expect((await decide('withdraw', digest)).json()).toMatchObject({ state: 'withdrawn' })
    expect(await packets()).toBe(0)
    expect(await tallies()).toEqual({ status: [1, 0, 0, 1], sensors: [0, 1], health: [0, 1] })
    expect(names('captures')).toEqual([digest])
    const again = await hub.app.inject({
      method: 'PUT',
      url: `/api/v1/captures/${digest}?sensor=${SENSOR.sensor}`,
      headers: bearer(hub.tokens.coordinator),
      payload: CAPTURE,
    })
    expect([again.statusCode, again.json().state]).toEqual([200, 'withdrawn'])
    expect((await decide('accept', digest)).json()).toMatchObject({ state: 'received' })
    expect([inbox(), names('captures')]).toEqual([[digest], []])
    startCounting()
    await counted(digest)
    expect(await packets()).toBe(64)
    await decide('withdraw', digest)
    rmSync(join(hub.folder.captures, SENSOR.sensor, digest))
    expect(errorCode(await decide('accept', digest))).toBe('UPLOAD_BYTES_GONE')
    expect(await hub.storage.findReceipt(SENSOR.sensor, digest)).toMatchObject({ state: 'withdrawn' })
  })
})

describe('a quarantined upload', () => {
  it('is tried again, wherever a crash left its bytes', async () => {
    const digest = await receive(Buffer.from('hello, hub'))
    startCounting()
    expect(await counted(digest)).toMatchObject([{ state: 'quarantined' }])
    expect(names('inbox', 'quarantine')).toEqual([digest, `${digest}.json`])
    // The bytes were moved and the commit did not follow: the sweep puts them back, and the next try finds them.
    const sweeper = new Inbox(hub.folder, true)
    await sweeper.fetch({ kind: 'capture', sensor: SENSOR.sensor, sha256: digest })
    expect([inbox(), names('inbox', 'quarantine')]).toEqual([[digest], []])
    await sweeper.sweep(hub.storage)
    expect([inbox(), names('inbox', 'quarantine')]).toEqual([[], [digest, `${digest}.json`]])
    expect((await decide('retry', digest)).json()).toMatchObject({ state: 'received', error_code: null })
    expect([inbox(), names('inbox', 'quarantine')]).toEqual([[digest], []])
    startCounting()
    expect(await counted(digest)).toMatchObject([{ state: 'quarantined', error_code: 'CAPTURE_FORMAT_UNKNOWN' }])
    expect(errorCode(await decide('accept', digest))).toBe('UPLOAD_STATE')
  })

  it('can be put aside for good, and is tried again when it is accepted after all', async () => {
    const digest = await receive(Buffer.from('hello, hub'))
    startCounting()
    expect(await counted(digest)).toMatchObject([{ state: 'quarantined' }])
    expect((await decide('withdraw', digest)).json()).toMatchObject({ state: 'withdrawn', error_code: null })
    expect([inbox(), names('inbox', 'quarantine'), names('captures')]).toEqual([[], [], [digest]])
    const [entry] = await hub.storage.listAudit(1)
    expect(entry).toMatchObject({
      action: 'upload withdraw',
      details: { state: 'quarantined', content_stays_in: null },
    })
    expect((await decide('accept', digest)).json()).toMatchObject({ state: 'received' })
    startCounting()
    expect(await counted(digest)).toMatchObject([{ state: 'quarantined', error_code: 'CAPTURE_FORMAT_UNKNOWN' }])
  })
})

it('a sensor decides about its own uploads only', async () => {
  const digest = await receive(CAPTURE)
  const headers = bearer(hub.tokens.other)
  const url = `/api/v1/receipts/${digest}/withdraw`
  expect(errorCode(await hub.app.inject({ method: 'POST', url: `${url}?sensor=lab-1`, headers }))).toBe('FORBIDDEN')
  expect(errorCode(await hub.app.inject({ method: 'POST', url, headers }))).toBe('NOT_FOUND')
})

describe('rebuilding', () => {
  const everything = async () => {
    const range = { since: '2026-01-01', until: '2027-01-01' }
    const scope = { sensors: 'all' } as const
    const flows = await hub.storage.query('flows', { ...range, limit: '1000' }, scope)
    const sources = await hub.storage.query('sources', { ...range, limit: '1000' }, scope)
    const traffic = await hub.storage.query('traffic', { ...range, by: 'none', bucket: '86400' }, scope)
    // Flows of one second have no order.
    const rows = flows.rows.map(row => JSON.stringify(row)).sort()
    return JSON.stringify([rows, sources, traffic])
  }
  const rebuild = async () => {
    const pool = new ParsePool(builtFile('collector', 'parse-child.js'), hub.folder.parsed)
    const days: RebuiltDay[] = []
    for await (const day of rebuildLake({ storage: hub.storage, folder: hub.folder, pool })) days.push(day)
    pool.close()
    return days
  }

  it('gives the same rows, without what was withdrawn; a day whose bytes are gone keeps its rows', async () => {
    const [first, second, packed] = [await receive(CAPTURE), await receive(OTHER), await receive(gzipSync(CAPTURE))]
    startCounting()
    expect(await counted(first, second, packed)).toMatchObject([{}, { state: 'counted' }, {}])
    const before = await everything()
    expect(JSON.parse(before)[0].length).toBeGreaterThan(64)
    const rebuilt = await rebuild()
    expect(rebuilt.length).toBeGreaterThan(0)
    for (const { flows } of rebuilt) expect(flows!.after).toBe(flows!.before)
    expect(await everything()).toBe(before)
    expect((await hub.storage.listAudit(1))[0]).toMatchObject({ action: 'rebuild', actor: 'local' })

    await decide('withdraw', second)
    const without = await everything()
    expect(without).not.toBe(before)
    await rebuild()
    expect(await everything()).toBe(without)
    for (const sha256 of [first, packed]) rmSync(join(hub.folder.captures, SENSOR.sensor, sha256))
    for (const day of await rebuild())
      expect([day.flows, day.reason]).toEqual([null, expect.stringContaining('no longer kept')])
    expect(await everything()).toBe(without)
  })
})
