import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HubFiller } from '../../dashboard/server/demo/fill-hub.ts'
import { type Hub, startHub } from '../../dashboard/server/hub.ts'
import { KEEP_EVERYTHING } from '../../schemas/retention.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { ROOT } from '../support/external.ts'

// Goal: a demo whose hub will not count a capture of the region ends with its name, at the start that sends it and at
// each later one, and does not wait for ever.

const CAPTURE = readFileSync(join(ROOT, 'fixtures/captures/masscan-syn-23.pcap'))
/** What the last packet of it takes: so much shorter it is the same traffic in other bytes. */
const RECORD_BYTES = 16 + 54

let hub: Hub
let folder: string
beforeAll(async () => {
  folder = temporaryFolder(afterAll)
  hub = await startHub({
    data: join(folder, 'hub'),
    host: '127.0.0.1',
    ports: [0],
    geography: null,
    names: [],
    openReading: true,
    tls: null,
    metricsPort: null,
    keepCaptures: false,
    retention: KEEP_EVERYTHING,
    logger: false,
  })
})
afterAll(() => hub?.stop())

/** Fills the hub with these captures of a day each, the first one the newest. */
async function fillWith(captures: Record<string, Uint8Array>): Promise<unknown> {
  for (const [path, bytes] of Object.entries(captures)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  const region = {
    ...{ folder, scale: 1, end: '2026-11-22', stories: [] },
    sensors: [{ id: 'lab-1', name: 'Laboratory', economy: 'JP', prefixes: ['198.19.1.0/24'] }],
    captures: Object.keys(captures).map((path, index) => ({ sensor: 'lab-1', day: `2026-11-${21 - index}`, path })),
  }
  const stop = { requested: false }
  try {
    return await new HubFiller(hub, region, stop).fill(() => {}).catch(error => error)
  } finally {
    stop.requested = true
  }
}

it('ends when a capture is held or cannot be read, and says which, also when it is started again', async () => {
  expect(await fillWith({ 'lab-1/21.pcap': CAPTURE })).toBeUndefined()
  const overlapping = { 'lab-1/20.pcap': CAPTURE.subarray(0, CAPTURE.length - RECORD_BYTES) }
  const unreadable = { 'lab-1/19.pcap': Buffer.from('no capture') }
  for (const [captures, state, why] of [
    [overlapping, 'held', 'accept it to count both'],
    [unreadable, 'quarantined', 'pcap'],
    [overlapping, 'held', 'accept it to count both'],
    [unreadable, 'quarantined', 'pcap'],
  ] as const) {
    const error = await fillWith(captures)
    const path = Object.keys(captures)[0]!
    expect(error).toMatchObject({ code: 'UPLOAD_STATE', details: { sensor: 'lab-1', state, path } })
    for (const part of [path, state, why, 'demo --reset']) expect((error as Error).message).toContain(part)
  }
})
