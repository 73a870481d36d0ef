import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { BUILD } from '../faults/broken-build.ts'
import { type MadeUpload, makeCapture } from '../faults/upload-maker.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { median } from './measure.ts'
import {
  fillYear,
  folderBytes,
  NEW_SENSOR,
  prepareHub,
  SENSORS,
  UPLOADS_EACH,
  YEAR_END,
  type YearTokens,
} from './year-of-receipts.ts'

/*
 * A hub with a year of receipts behind it: how long it takes to start, to find and record, to answer the page, and what
 * renewing the read copy takes and costs. Asked: ready within 2 s, questions within 300 ms.
 */

const STARTS = 3
const ROUNDS = 20
/** A question that takes longer is asked less often. */
const QUESTION_MILLISECONDS_MAX = 10_000
const CAPTURE_BYTES = 20_000
/** Between uploads while the read copy is renewed. */
const PAUSE_MILLISECONDS = 100
/** The captures of upload-maker.ts begin then and are two minutes apart. */
const CAPTURES_START_SECONDS = 1_763_769_600
const CAPTURE_SECONDS = 120

/** @param uploads of each sensor; fewer to try it out */
export async function run(uploads = UPLOADS_EACH): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  try {
    const tokens = await prepareHub(data)
    // What a start costs without a past: the other figures are worth something beside this one.
    await startOften(data, tokens, BUILD, 'start to ready, empty')
    const began = performance.now()
    await fillYear(data, uploads)
    const megabytes = Math.round((await folderBytes(data)) / 2 ** 20)
    const seconds = Math.round((performance.now() - began) / 1000)
    process.stdout.write(`${SENSORS * uploads} receipts, data folder of ${megabytes} MB, made in ${seconds} s\n`)
    await measureYear(data, tokens)
  } finally {
    await rm(data, { recursive: true, force: true })
  }
}

/** What the hub is measured by. */
interface Measured {
  readonly url: string
  readonly tokens: YearTokens
  readonly putNext: Uploader
  /** Processor time of the hub so far, all threads, in milliseconds: what other programs take does not change it. */
  processor(): number
}

/** @param build the program that is measured */
export async function measureYear(data: string, tokens: YearTokens, build = BUILD): Promise<void> {
  await startOften(data, tokens, build, 'start to ready')
  const hub = new CommandProcess(['serve', '--data', data, '--port', '0', '--log', 'error'], { build })
  try {
    const url = `${await hub.url()}/api/v1`
    const processor = () => processorMilliseconds(hub.child.pid!)
    const measured = { url, tokens, putNext: uploader(url, tokens.sensor), processor }
    // What the hub does for its data after a start is over then.
    const busy = processor()
    show('read copy, first', [await timed(() => renew(url, tokens))], processor() - busy)
    await measureUploads(measured)
    for (const days of [7, 90]) await measureQuestions(measured, days)
    await measureRenewal(measured)
    const status = readFileSync(`/proc/${hub.child.pid}/status`, 'utf8')
    const resident = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
    const peak = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024)
    const megabytes = Math.round((await folderBytes(data)) / 2 ** 20)
    process.stdout.write(`data folder ${megabytes} MB, resident ${resident} MB, at most ${peak} MB\n`)
    if (hub.stderr !== '') process.stdout.write(hub.stderr)
  } finally {
    await hub.kill()
  }
}

async function startOften(data: string, tokens: YearTokens, build: string, name: string): Promise<void> {
  const starts: number[] = []
  const own: number[] = []
  for (let round = 0; round < STARTS; round++) {
    const began = performance.now()
    const hub = new CommandProcess(['serve', '--data', data, '--port', '0', '--log', 'error'], { build })
    try {
      await ask(`${await hub.url()}/api/v1/ready`, tokens.coordinator)
      starts.push(performance.now() - began)
      own.push(starts.at(-1)! - hub.heldUpMilliseconds)
    } finally {
      await hub.kill()
    }
  }
  show(name, starts)
  show(`${name}, without the time that other programs had the processors`, own)
}

type Uploader = () => Promise<MadeUpload>

/** Sends a capture that was not sent before, of the last days. */
function uploader(url: string, token: string): Uploader {
  let minute = Math.floor((YEAR_END / MICROSECONDS - CAPTURES_START_SECONDS) / CAPTURE_SECONDS) - 60
  return async () => {
    const made = makeCapture({ sensor: NEW_SENSOR, network: [198, 19, SENSORS + 1] }, minute--, CAPTURE_BYTES)
    await put(url, token, made)
    return made
  }
}

async function measureUploads({ url, tokens, putNext }: Measured): Promise<void> {
  const sent: MadeUpload[] = []
  const times: Record<'new' | 'again' | 'found' | 'newest receipts', number[]> = {
    new: [],
    again: [],
    found: [],
    'newest receipts': [],
  }
  for (let round = 0; round < ROUNDS; round++) {
    times.new.push(await timed(async () => sent.push(await putNext())))
    times.again.push(await timed(() => put(url, tokens.sensor, sent.at(-1)!)))
    times.found.push(await timed(() => ask(`${url}/receipts/${sent.at(-1)!.sha256}`, tokens.sensor)))
    times['newest receipts'].push(await timed(() => ask(`${url}/receipts?limit=5`, tokens.sensor)))
  }
  for (const [name, list] of Object.entries(times)) show(`upload, ${name}`, list)
  const counted = await timed(async () => {
    const { sha256 } = await putNext()
    await ask(`${url}/receipts/${sha256}?wait=30`, tokens.sensor)
  })
  show('upload until counted', [counted])
}

async function measureQuestions({ url, tokens, processor }: Measured, days: number): Promise<void> {
  const until = Math.floor(YEAR_END / MICROSECONDS / DAY_SECONDS) * DAY_SECONDS
  const range = `since=${iso(until - days * DAY_SECONDS)}&until=${iso(until)}`
  const bucket = days > 8 ? DAY_SECONDS : HOUR_SECONDS
  const port = 'protocol=tcp&port=23'
  const questions: Readonly<Record<string, string>> = {
    status: 'status',
    sensors: `sensors?${range}`,
    'sensor health': 'sensor-health',
    'traffic by class': `traffic?${range}&bucket=${bucket}&by=class`,
    coverage: `coverage?${range}&bucket=${bucket}`,
    ports: `ports?${range}&limit=10&compare=previous`,
    economies: `economies?${range}&limit=10&compare=previous`,
    'ports that rise': `ports?${range}&limit=1000&compare=none&class=scan`,
    'port by sensor': `traffic?${range}&${port}&bucket=${bucket}&by=sensor`,
    'port, sources': `sources?${range}&${port}&limit=10`,
    'newest receipts': 'receipts?limit=50',
  }
  for (const [name, path] of Object.entries(questions)) {
    const times: number[] = []
    const began = performance.now()
    const busy = processor()
    for (let round = 0; round < ROUNDS && performance.now() - began < QUESTION_MILLISECONDS_MAX; round++) {
      times.push(await timed(() => ask(`${url}/${path}`, tokens.coordinator)))
    }
    show(`${days} days, ${name}`, times, (processor() - busy) / times.length)
  }
}

/** What it takes after some uploads, and what uploads feel of it. */
async function measureRenewal({ url, tokens, putNext, processor }: Measured): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await putNext()
  const busy = processor()
  show('read copy, renewed after some uploads', [await timed(() => renew(url, tokens))], processor() - busy)
  for (let round = 0; round < ROUNDS; round++) await putNext()
  const uploads: number[] = []
  let renewing = true
  const renewal = timed(() => renew(url, tokens)).finally(() => {
    renewing = false
  })
  while (renewing) {
    uploads.push(await timed(putNext))
    await new Promise(resolve => setTimeout(resolve, PAUSE_MILLISECONDS))
  }
  show('read copy, renewed beside uploads', [await renewal])
  show('upload, new, meanwhile', uploads)
}

/** @param processor time of the hub for each, in milliseconds */
function show(name: string, times: readonly number[], processor: number | null = null): void {
  const sorted = times.toSorted((a, b) => a - b)
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))]!
  const own = processor === null ? '' : `, ${Math.round(processor)} ms of processors`
  process.stdout.write(
    `${name}: p50 ${Math.round(median(times))} ms, p99 ${Math.round(p99)} ms (${times.length})${own}\n`,
  )
}

/** User and system time of all threads; Linux counts in hundredths of a second. */
function processorMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

async function ask(url: string, token: string): Promise<void> {
  await expectOk(await fetch(url, { headers: { authorization: `Bearer ${token}` } }))
}

async function renew(url: string, tokens: YearTokens): Promise<void> {
  const headers = { authorization: `Bearer ${tokens.coordinator}` }
  await expectOk(await fetch(`${url}/read-copy`, { method: 'POST', headers }))
}

async function put(url: string, token: string, { sha256, bytes }: MadeUpload): Promise<void> {
  const headers = { authorization: `Bearer ${token}` }
  await expectOk(await fetch(`${url}/captures/${sha256}`, { method: 'PUT', headers, body: Buffer.from(bytes) }))
}

async function expectOk(response: Response): Promise<void> {
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${text.slice(0, 500)}`)
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
