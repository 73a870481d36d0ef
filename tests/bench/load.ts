import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { BatchWriter, type WrittenBatch } from '../../collector/batch-writer.ts'
import { Collector } from '../../collector/collector.ts'
import { compressBatch } from '../../collector/compressed-batch.ts'
import { makePrivateKey, parsePrivateKey } from '../../collector/ed25519-key.ts'
import type { Identity } from '../../collector/identity.ts'
import { uploadResumably } from '../../collector/resumable-upload.ts'
import { parseTelescope } from '../../schemas/address.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
import { formatSequence } from '../../schemas/upload-sequence.ts'
import { BenchHub, type HubUse } from './bench-hub.ts'
import { judgeLoad, type LoadFigures, type MemorySample } from './load-report.ts'
import { MinuteCaptures } from './minute-captures.ts'
import { PAGE_LOADS } from './page-questions.ts'

/*
 * Many sensors that each send a batch every minute, spread over the minute, to a real hub in a process of its own;
 * meanwhile an analyst loads one page of the hub after the other. A batch is what the collector makes of a minute of
 * simulated traffic when that minute has just passed; it is compressed, signed and sent as `send` does. The sensors and
 * the analyst work on the same processors as the hub.
 */

export interface LoadOptions {
  readonly minutes: number
  readonly sensors: number
  /** Of a batch, about. */
  readonly packets: number
  readonly seed: number
}

const MINUTE = 60
/** Between two loads of a page. */
const ANALYST_SECONDS = 5
const MEMORY_SECONDS = 10
/** After the last upload, until what still waits is told as not counted. */
const SETTLE_SECONDS_MAX = 300
const SETTLE_MILLISECONDS = 500
const RECEIPTS_MAX = 1000
/** Files of the sensors lie in memory: a sensor has a disk of its own. */
const MEMORY_FOLDER = '/dev/shm'
/** Connections of a browser to one host. */
const BROWSER_CONNECTIONS = 6

interface Sensor {
  readonly identity: Identity
  readonly place: number
  readonly spool: string
  readonly key: Uint8Array
}

interface Sent {
  readonly answers: number[]
  readonly refusals: string[]
  packets: number
  flows: number
  bytes: number
}

/** @returns whether all that is asked was reached */
export async function load(options: LoadOptions): Promise<boolean> {
  const { sensors: count, minutes, packets, seed } = options
  const folder = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  const spools = await mkdtemp(join(existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), 'hirundo-bench-'))
  let hub: BenchHub | null = null
  try {
    const captures = await MinuteCaptures.make(join(folder, 'sim'), { sensors: count, minutes, packets, seed })
    const sensors = await makeSensors(spools, count)
    hub = await BenchHub.start(
      new Map(sensors.map(({ identity, place }) => [identity.sensor, telescopeOf(place)])),
      new Map(sensors.map(({ identity }) => [identity.sensor, identity.key!])),
    )
    const { sent, loop, questions, memory } = await run(hub, sensors, captures, minutes)
    await settle(hub)
    const receipts = await readReceipts(hub, sensors)
    await captures.close()
    print(
      `${count} sensors, ${minutes} minutes, seed ${seed}, about ${packets} packets a batch; node ${process.version}`,
    )
    const figures: LoadFigures = {
      ...{ ...sent, questions, memory, loadAverage: loadavg()[0]! },
      clientDelay: loop,
      counted: receipts.map(countedSeconds),
      uncounted: receipts.flatMap(({ state, error_code }) =>
        state === 'counted' ? [] : [`${state} ${error_code ?? ''}`],
      ),
      receiptPackets: receipts.reduce((sum, { packet_kept_count }) => sum + (packet_kept_count ?? 0), 0),
      answeredPackets: await hub.packets(),
    }
    const { lines, holds } = judgeLoad(figures)
    for (const line of lines) print(line)
    return holds
  } finally {
    await hub?.remove()
    await rm(folder, { recursive: true, force: true })
    await rm(spools, { recursive: true, force: true })
  }
}

async function run(hub: BenchHub, sensors: readonly Sensor[], captures: MinuteCaptures, minutes: number) {
  const sent: Sent = { answers: [], refusals: [], packets: 0, flows: 0, bytes: 0 }
  const questions = new Map<string, number[]>()
  const memory: MemorySample[] = []
  const delay = monitorEventLoopDelay({ resolution: 10 })
  const ended = new AbortController()
  // The first minute that is sent has passed when it begins.
  const first = Math.ceil(Date.now() / 1000 / MINUTE) * MINUTE
  await pause(first * 1000 - Date.now())
  delay.enable()
  const beside = [analyse(hub, questions, ended.signal), watch(hub, memory, ended.signal)]
  const calls: Promise<void>[] = []
  for (let minute = 0; minute < minutes; minute++) {
    for (const [index, sensor] of sensors.entries()) {
      const due = (first + MINUTE * (minute + index / sensors.length)) * 1000
      if (due > Date.now()) await pause(due - Date.now())
      const start = first + MINUTE * (minute - 1)
      calls.push(sendMinute(hub, sensor, captures, { minute, start }, sent))
    }
  }
  await Promise.all(calls)
  delay.disable()
  ended.abort()
  await Promise.all(beside)
  return { sent, questions, memory, loop: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 } }
}

async function makeSensors(spools: string, count: number): Promise<Sensor[]> {
  const sensors: Sensor[] = []
  for (let place = 0; place < count; place++) {
    const sensor = `lab-${place + 1}`
    const spool = join(spools, sensor)
    await mkdir(spool)
    const identity = { sensor, key: parsePrivateKey(makePrivateKey())! }
    sensors.push({ identity, place, spool, key: randomBytes(32) })
  }
  return sensors
}

/** Registered prefixes are disjoint; those of the simulated region are shared. */
function telescopeOf(place: number): string {
  return `10.${place >> 8}.${place & 255}.0/24`
}

/** What `hirundo collect` and `hirundo send` do with a minute of packets. */
async function sendMinute(
  hub: BenchHub,
  { identity, place, spool, key }: Sensor,
  captures: MinuteCaptures,
  { minute, start }: { minute: number; start: number },
  sent: Sent,
): Promise<void> {
  const capture = join(spool, `${minute}.pcap`)
  await captures.write(capture, place, minute, start)
  const telescope = parseTelescope(captures.telescope(place))
  const registered = parseTelescope(telescopeOf(place))
  const out = join(spool, String(minute))
  await mkdir(out)
  const collector = new Collector<WrittenBatch>({
    ...{ sensor: identity.sensor, telescope, telescopeEpoch: 1, key, out },
    batchSeconds: MINUTE,
    // As if the simulated addresses were the registered ones.
    openBatch: metadata => new BatchWriter(out, { ...metadata, telescope: markTelescope(registered) }),
  })
  await collector.read(capture)
  await collector.finish()
  const { signal } = new AbortController()
  for (const { path, sha256, metadata } of collector.batches) {
    const batch = (await compressBatch(path, sha256, { signal }))!
    const sequence = { number: minute + 1, spool: place.toString(16).padStart(8, '0'), oldest: minute + 1, gone: [] }
    const headers = { ...formatSequence(sequence), date: new Date().toUTCString() }
    const upload = { ...batch, kind: 'batch' as const, contentType: 'application/gzip', headers }
    const asked = performance.now()
    try {
      const { status, body } = await uploadResumably({ hub: hub.url, identity, ...upload, signal, triesMax: 1 })
      if (status === 201) {
        sent.answers.push(performance.now() - asked)
        sent.packets += metadata.packets_kept
        sent.flows += metadata.flows
        sent.bytes += batch.byteCount
      } else sent.refusals.push(`${status} ${JSON.stringify(body)}`)
    } catch (error) {
      if (!(error instanceof TelescopeError)) throw error
      sent.refusals.push(error.message)
    }
  }
  await rm(capture)
  await rm(out, { recursive: true })
}

/** Loads one page after the other, until the signal. */
async function analyse(hub: BenchHub, questions: Map<string, number[]>, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: BROWSER_CONNECTIONS })
  const ask = async <T>(name: string, path: string): Promise<T> => {
    const asked = performance.now()
    const answer = await hub.get<T>(path, agent)
    const times = questions.get(name) ?? []
    times.push(performance.now() - asked)
    questions.set(name, times)
    return answer
  }
  for (let turn = 0; !signal.aborted; turn++) {
    await PAGE_LOADS[turn % PAGE_LOADS.length]!(ask)
    await pause(ANALYST_SECONDS * 1000, null, { signal }).catch(() => {})
  }
  agent.destroy()
}

async function watch(hub: BenchHub, samples: MemorySample[], signal: AbortSignal): Promise<void> {
  const started = performance.now()
  while (!signal.aborted) {
    const use: HubUse = hub.use()
    const files = readdirSync(join(hub.data, 'lake'), { recursive: true }).filter(name =>
      `${name}`.endsWith('.parquet'),
    )
    samples.push({ ...use, minutes: (performance.now() - started) / 60_000, lakeFiles: files.length })
    await pause(MEMORY_SECONDS * 1000, null, { signal }).catch(() => {})
  }
}

async function settle(hub: BenchHub): Promise<void> {
  const end = performance.now() + SETTLE_SECONDS_MAX * 1000
  while (performance.now() < end) {
    const { receipts } = await hub.get<{ receipts: unknown[] }>('/api/v1/receipts?state=received&limit=1')
    if (receipts.length === 0) return
    await pause(SETTLE_MILLISECONDS)
  }
}

async function readReceipts(hub: BenchHub, sensors: readonly Sensor[]): Promise<Receipt[]> {
  const all: Receipt[] = []
  for (const { identity } of sensors) {
    const path = `/api/v1/receipts?sensor=${identity.sensor}&limit=${RECEIPTS_MAX}`
    all.push(...(await hub.get<{ receipts: Receipt[] }>(path)).receipts)
  }
  return all
}

/** From receipt to count, by the hub's clock; infinite for what is not counted. */
function countedSeconds({ received_at, counted_at }: Receipt): number {
  if (counted_at === null) return Number.POSITIVE_INFINITY
  return (Date.parse(counted_at) - Date.parse(received_at)) / 1000
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
