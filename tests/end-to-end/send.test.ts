import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Receipt } from '../../schemas/catalog.ts'
import { ROOT } from '../support/external.ts'
import { type Ended, hirundo, hirundoSucceeds, type RunningHub, startHirundo } from '../support/hirundo.ts'

// Goal: however a batch travels to a real hub, plain or compressed one way or another, and however often, its packets
// are counted once, and the receipts say why.

const SENSOR = 'jp-1'
const TELESCOPE = '198.19.1.0/24'
const CAPTURE = `${ROOT}fixtures/captures/masscan-syn-23.pcap`
const PACKETS = 64
/** A hub on a busy machine may count later than `send` asks. */
const SENT = /^1 batch sent, 0 refused, 0 waiting; [01] counted, 0 not, [01] not yet\n$/

let folder: string
let data: string
let identity: string
let token: string
let analyst: string
let hub: RunningHub
/** SHA-256 of the batch, its name. */
let name: string
let batch: Buffer
/** The one that was counted. */
let first: Receipt

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const receiptPath = (spool: string): string => join(spool, 'receipts', `${name}.json`)

async function put(bytes: Uint8Array): Promise<number> {
  const response = await fetch(`${hub.url}/api/v1/batches/${sha256(bytes)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: new Uint8Array(bytes),
  })
  return response.status
}

/** The receipt of these bytes once the hub is done with them. */
async function settled(digest: string): Promise<Receipt> {
  const response = await fetch(`${hub.url}/api/v1/receipts/${digest}?wait=30`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(response.status).toBe(200)
  return (await response.json()) as Receipt
}

async function packetsCounted(): Promise<number> {
  const response = await fetch(`${hub.url}/api/v1/sensors`, { headers: { authorization: `Bearer ${analyst}` } })
  const { rows } = (await response.json()) as { rows: { sensor: string; packet_count: number }[] }
  return rows.find(row => row.sensor === SENSOR)!.packet_count
}

function freshSpool(): string {
  const spool = mkdtempSync(join(folder, 'spool-'))
  writeFileSync(join(spool, `${name}.arrow`), batch)
  return spool
}

function send(spool: string): Promise<Ended> {
  return hirundo(['send', '--spool', spool, '--hub', hub.url, '--identity', identity])
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-send-'))
  data = join(folder, 'data')
  hub = await startHirundo(['serve', '--data', data, '--port', '0'])
  const create = async (...args: string[]) =>
    (await hirundoSucceeds(['token', 'create', ...args, '--data', data])).stdout.trim()
  await hirundoSucceeds(['sensor', 'add', SENSOR, '--economy', 'JP', '--telescope', TELESCOPE, '--data', data])
  token = await create('--sensor', SENSOR)
  analyst = await create('--role', 'analyst')
  identity = join(folder, 'identity.json')
  writeFileSync(identity, JSON.stringify({ sensor: SENSOR, token }), { mode: 0o600 })
  const out = join(folder, 'collected')
  await hirundoSucceeds(['collect', CAPTURE, '--sensor', SENSOR, '--telescope', TELESCOPE, '--out', out])
  name = readdirSync(out)
    .find(file => file.endsWith('.arrow'))!
    .slice(0, -'.arrow'.length)
  batch = readFileSync(join(out, `${name}.arrow`))
})

afterAll(async () => {
  await hub?.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('a batch that travels to a hub', () => {
  it('is compressed on the way, and its receipt lies under its own name', async () => {
    const spool = freshSpool()
    expect(await send(spool)).toMatchObject({ status: 0, stdout: expect.stringMatching(SENT) })
    const receipt = JSON.parse(readFileSync(receiptPath(spool), 'utf8')) as Receipt
    expect(receipt.byte_count).toBeLessThan(batch.length / 3)
    first = await settled(receipt.sha256)
    expect(first).toMatchObject({ state: 'counted', content_sha256: name, packet_count: PACKETS, duplicate_of: null })
    expect(readdirSync(spool)).toEqual(['receipts', 'sequence.json'])
    expect(await packetsCounted()).toBe(PACKETS)
  })

  it('once more, after its receipt was lost: the hub gives the same receipt', async () => {
    const spool = freshSpool()
    expect(await send(spool)).toMatchObject({ status: 0 })
    const receipt = JSON.parse(readFileSync(receiptPath(spool), 'utf8')) as Receipt
    expect([receipt.sha256, receipt.received_at]).toEqual([first.sha256, first.received_at])
  })

  it('adds no rows when it is sent plain, or compressed another way', async () => {
    for (const bytes of [batch, gzipSync(batch, { level: 1 }), gzipSync(batch, { level: 9, memLevel: 9 })]) {
      expect(await put(bytes)).toBe(201)
      expect(await settled(sha256(bytes))).toMatchObject({
        state: 'counted',
        content_sha256: name,
        duplicate_of: first.sha256,
      })
    }
    expect(await packetsCounted()).toBe(PACKETS)
  })

  it('is counted once when it comes plain first and compressed at the same time', async () => {
    const out = join(folder, 'other')
    const other = `${ROOT}fixtures/captures/zmap-syn-23.pcap`
    await hirundoSucceeds(['collect', other, '--sensor', SENSOR, '--telescope', TELESCOPE, '--out', out])
    const before = await packetsCounted()
    const file = readdirSync(out).find(entry => entry.endsWith('.arrow'))!
    const bytes = readFileSync(join(out, file))
    const spool = mkdtempSync(join(folder, 'spool-'))
    cpSync(join(out, file), join(spool, file))
    const [status, sent] = await Promise.all([put(bytes), send(spool)])
    expect([status, sent.status]).toEqual([201, 0])
    const compressed = JSON.parse(readFileSync(join(spool, 'receipts', file.replace('.arrow', '.json')), 'utf8'))
    const both = await Promise.all([settled(sha256(bytes)), settled(compressed.sha256)])
    expect(both.map(({ state }) => state)).toEqual(['counted', 'counted'])
    expect(both.map(({ content_sha256 }) => content_sha256)).toEqual([sha256(bytes), sha256(bytes)])
    expect(both.filter(({ duplicate_of }) => duplicate_of === null)).toHaveLength(1)
    expect(await packetsCounted()).toBe(before + both[0]!.packet_kept_count!)
  })
})

describe('what no hub takes is set aside with the reason', () => {
  it.each([
    ['gzip that is cut short', () => gzipSync(batch).subarray(0, -9), 'COMPRESSION_INVALID'],
    ['two streams in one', () => Buffer.concat([gzipSync(batch), gzipSync(batch)]), 'COMPRESSION_INVALID'],
    ['a bomb', () => gzipSync(Buffer.alloc(4 * 2 ** 20), { level: 9 }), 'COMPRESSION_BOMB'],
  ])('%s', async (_why, make, code) => {
    const before = await packetsCounted()
    const bytes = make()
    expect(await put(bytes)).toBe(201)
    const receipt = await settled(sha256(bytes))
    expect(receipt).toMatchObject({ state: 'quarantined', error_code: code })
    expect(receipt.error_message).not.toContain(data)
    expect(await packetsCounted()).toBe(before)
  })
})
