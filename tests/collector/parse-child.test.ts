import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Collector } from '../../collector/collector.ts'
import { parseTelescope } from '../../schemas/address.ts'
import type { ParseAnswer, ParseJob } from '../../schemas/parse-job.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
import { ROOT } from '../support/external.ts'
import { addUpFlows, readBatch } from '../support/read-batch.ts'
import { readFlowFiles } from '../support/read-flow-file.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// The real child process, as the hub forks it from the build: what it answers to good input, bad input and both.

const MODULE = `${ROOT}dist/collector/parse-child.js`
const newFolder = temporaryFolders()
const TELESCOPE = '198.19.1.0/24,2001:db8:2::/120'
const KEY = '07'.repeat(32)
const SENT = 'ab'.repeat(32)
const FIXTURE = `${ROOT}fixtures/captures/masscan-syn-23.pcap`

let child: ChildProcess
let lastId = 0
beforeAll(() => {
  if (!existsSync(MODULE)) throw new Error(`${MODULE} is not built; run: npm run build`)
  child = fork(MODULE, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
})
afterAll(() => {
  if (child.connected) child.disconnect()
})

type JobRequest = ParseJob extends infer J ? (J extends ParseJob ? Omit<J, 'id'> : never) : never

function parse(job: JobRequest): Promise<ParseAnswer> {
  const id = ++lastId
  return new Promise(resolve => {
    const onMessage = (message: unknown): void => {
      const answer = message as ParseAnswer
      if (answer.id !== id) return
      child.off('message', onMessage)
      resolve(answer)
    }
    child.on('message', onMessage)
    child.send({ id, ...job })
  })
}

const captureJob = (input: string, out = newFolder()): JobRequest => ({
  kind: 'capture',
  sha256: SENT,
  input,
  out,
  sensor: 'test',
  telescope: TELESCOPE,
  telescope_epoch: 1,
  upload_id: 7,
  key: KEY,
})
const batchJob = (input: string, sensor = 'test', epoch = 1): JobRequest => ({
  kind: 'batch',
  input,
  out: newFolder(),
  sensor,
  telescope_epoch: epoch,
  upload_id: 7,
  telescope: markTelescope(parseTelescope(TELESCOPE)),
})

async function ownBatches(capture: string): Promise<string[]> {
  const out = newFolder()
  const key = new Uint8Array(32).fill(7)
  const collector = new Collector({ sensor: 'test', telescope: parseTelescope(TELESCOPE), telescopeEpoch: 1, key, out })
  await collector.read(capture)
  await collector.finish()
  return collector.batches.map(({ path }) => path)
}

async function ownBatch(): Promise<string> {
  return (await ownBatches(FIXTURE))[0]!
}

function written(name: string, bytes: Uint8Array | string): string {
  const path = join(newFolder(), name)
  writeFileSync(path, bytes)
  return path
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('a capture', () => {
  it('gives the batch that the sensor itself would make', async () => {
    const answer = await parse(captureJob(FIXTURE))
    const own = await ownBatch()
    expect(answer).toMatchObject({ ok: true, content_sha256: sha256(readFileSync(FIXTURE)) })
    if (!answer.ok) return
    expect(await readFlowFiles(answer.batches.map(({ path }) => path))).toEqual(readBatch(own).rows)
    expect(answer.batches.map(({ metadata }) => metadata)).toEqual([readBatch(own).metadata])
    expect(answer.capture).toMatchObject({ packets_read: 64, packets_kept: 64, error: null, path: '' })
  })

  it('that is large enough for several threads gives the same flows', async () => {
    const bytes = readFileSync(FIXTURE)
    const [header, packets] = [bytes.subarray(0, 24), bytes.subarray(24)]
    const times = Math.ceil((65 * 2 ** 20) / packets.length)
    const input = written('large.pcap', Buffer.concat([header, ...Array<Buffer>(times).fill(packets)]))
    const answer = await parse(captureJob(input))
    const kept = times * 64
    expect(answer).toMatchObject({ ok: true, content_sha256: SENT, capture: { packets_kept: kept, path: '' } })
    if (!answer.ok) return
    expect(answer.batches.length).toBeGreaterThan(2)
    const own = (await ownBatches(input)).flatMap(path => readBatch(path).rows)
    expect(addUpFlows(await readFlowFiles(answer.batches.map(({ path }) => path)))).toEqual(addUpFlows(own))
  })

  it('in gzip has the content hash of what is in it', async () => {
    const zipped = written('a.gz', gzipSync(readFileSync(FIXTURE)))
    const answer = await parse(captureJob(zipped))
    expect(answer).toMatchObject({ ok: true, content_sha256: sha256(readFileSync(FIXTURE)) })
  })

  it('that is cut short is counted as far as it goes', async () => {
    const bytes = readFileSync(FIXTURE).subarray(0, -5)
    const answer = await parse(captureJob(written('cut', bytes)))
    expect(answer).toMatchObject({
      ok: true,
      content_sha256: sha256(bytes),
      capture: { packets_kept: 63, truncated: true, error: { code: 'CAPTURE_TRUNCATED' } },
      batches: [{ metadata: { packets_kept: 63 } }],
    })
  })

  it.each([
    ['no capture', 'hello, hub', 'CAPTURE_FORMAT_UNKNOWN'],
    ['empty', '', 'CAPTURE_EMPTY'],
  ])('that is %s is answered with what is wrong, and the path is not told', async (_why, text, code) => {
    const input = written('bad', text)
    const answer = await parse(captureJob(input))
    expect(answer).toMatchObject({ ok: true, batches: [], capture: { error: { code } } })
    expect(JSON.stringify(answer)).not.toContain(input)
  })

  it('with an unusable job is an answer, too', async () => {
    const base = captureJob(FIXTURE)
    if (base.kind !== 'capture') return
    expect(await parse({ ...base, key: 'short' })).toMatchObject({ ok: false, error: { code: 'KEY_INVALID' } })
    expect(await parse({ ...base, telescope: '1.2.3' })).toMatchObject({
      ok: false,
      error: { code: 'ADDRESS_INVALID' },
    })
    expect(await parse({ ...base, out: join(newFolder(), 'none') })).toMatchObject({
      ok: false,
      error: { code: 'OUTPUT_UNWRITABLE' },
    })
  })
})

describe('a batch', () => {
  it('of our own comes out the same', async () => {
    const own = await ownBatch()
    const answer = await parse(batchJob(own))
    expect(answer).toMatchObject({ ok: true, content_sha256: sha256(readFileSync(own)), capture: null })
    if (answer.ok) expect(await readFlowFiles([answer.batches[0]!.path])).toEqual(readBatch(own).rows)
  })

  it.each([1, 6, 9])('in gzip of level %i comes out the same, known by what is in it', async level => {
    const own = await ownBatch()
    const answer = await parse(batchJob(written('batch', gzipSync(readFileSync(own), { level }))))
    expect(answer).toMatchObject({ ok: true, content_sha256: sha256(readFileSync(own)), capture: null })
    if (answer.ok) expect(await readFlowFiles([answer.batches[0]!.path])).toEqual(readBatch(own).rows)
  })

  it('in gzip that is cut short, or in gzip twice, is refused and leaves no file', async () => {
    const zipped = gzipSync(readFileSync(await ownBatch()))
    for (const [bytes, code] of [
      [zipped.subarray(0, -1), 'COMPRESSION_INVALID'],
      [gzipSync(Buffer.alloc(8 * 2 ** 20), { level: 9 }), 'COMPRESSION_BOMB'],
      [gzipSync(zipped), 'BATCH_INVALID'],
    ] as const) {
      const job = batchJob(written('batch', bytes))
      const answer = await parse(job)
      expect(answer).toMatchObject({ ok: false, error: { code } })
      expect(JSON.stringify(answer)).not.toContain(job.input)
      expect(readdirSync(job.out, { recursive: true }).filter(name => name !== 'tmp')).toEqual([])
    }
  })

  it('of another sensor or epoch is refused', async () => {
    const own = await ownBatch()
    expect(await parse(batchJob(own, 'other'))).toMatchObject({ ok: false, error: { code: 'BATCH_SENSOR_MISMATCH' } })
    expect(await parse(batchJob(own, 'test', 2))).toMatchObject({ ok: false, error: { code: 'BATCH_INVALID' } })
  })

  it('that is none is refused, and leaves no file', async () => {
    for (const bytes of [Buffer.from('hello'), Buffer.alloc(0), Buffer.alloc(1000), readFileSync(FIXTURE)]) {
      const job = batchJob(written('bad.arrow', bytes))
      expect(await parse(job)).toMatchObject({ ok: false, error: { code: 'BATCH_INVALID' } })
      expect(readdirSync(job.out, { recursive: true }).filter(name => name !== 'tmp')).toEqual([])
    }
  })
})

it('answers jobs in the order they came, good after bad', async () => {
  const copy = join(newFolder(), 'copy')
  copyFileSync(FIXTURE, copy)
  const order: number[] = []
  const note = (answer: ParseAnswer): void => void order.push(answer.id)
  await Promise.all([
    parse(captureJob(copy)).then(note),
    parse(batchJob(copy)).then(note),
    parse(captureJob('/nowhere')).then(note),
    parse(captureJob(copy)).then(note),
  ])
  expect(order).toEqual([lastId - 3, lastId - 2, lastId - 1, lastId])
})

it('ends when the hub lets go of it', async () => {
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.disconnect()
  expect(await ended).toBe(0)
})
