import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Database } from '../../analytics/database.ts'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { bind, sql } from '../../analytics/sql.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { openDataFolder } from '../../dashboard/server/data-folder.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import { BUILD } from '../faults/broken-build.ts'
import { makeCapture } from '../faults/upload-maker.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { median } from './measure.ts'

/*
 * A year of a hub with 200 sensors that send every five minutes: 21 million receipts, as many listened spans, and the
 * manifest of their lake. How long it takes to start, and to find, record and show.
 */

const SENSORS = 200
/** Each sensor sends so many: every five minutes of 365 days. */
const UPLOADS_EACH = 105_120
const DAYS = 365
const HOUR = 3_600_000_000
/** Up to now, Unix microseconds; behind the time of the captures of upload-maker.ts, so that these overlap with nothing. */
const YEAR_START = (Math.floor((Date.now() * 1000) / HOUR) - DAYS * 24) * HOUR
const FILES_PER_DAY = 8
/** As mergeReceiptKeys leaves them: sorted runs, and the newest with an index. */
const RUN_KEYS = 2 ** 20
const ROUNDS = 3
const CAPTURE_BYTES = 20_000
const RECEIPTS_PER_PAGE = 5

/** @param uploads of each sensor; fewer to try it out */
export async function run(uploads = UPLOADS_EACH): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  try {
    const tokens = await prepare(data)
    // What a start costs without a past: the other figures are worth something beside this one.
    await startOften(data, tokens.coordinator, 'start to ready, empty')
    await fillYear(data, uploads)
    const { size } = await stat(join(data, 'catalog.duckdb'))
    process.stdout.write(`${SENSORS * uploads} receipts, catalog of ${Math.round(size / 2 ** 20)} MB\n`)
    await measureHub(data, tokens)
  } finally {
    await rm(data, { recursive: true, force: true })
  }
}

interface Tokens {
  readonly coordinator: string
  readonly sensor: string
}

/** Sensors and tokens, as a coordinator made them when the year began. */
async function prepare(data: string): Promise<Tokens> {
  const storage = await openStorage({ data, geography: null, now: () => YEAR_START / 1000 })
  const folder = openDataFolder(data)
  for (let index = 1; index <= SENSORS; index++) {
    const telescope = `198.19.${index}.0/24`
    await registerSensor(storage, folder, { sensor: `lab-${index}`, economy: 'JP', organisation: '', telescope })
  }
  const { token: coordinator } = await createToken(storage, { role: 'coordinator' })
  const { token: sensor } = await createToken(storage, { sensor: 'lab-1' })
  await storage.close()
  return { coordinator, sensor }
}

async function fillYear(data: string, uploads: number): Promise<void> {
  const receipts = SENSORS * uploads
  const database = await Database.open({
    path: join(data, 'catalog.duckdb'),
    lake: join(data, 'lake'),
    temporary: join(data, 'tmp'),
    threads: 2,
    memoryLimit: '4GB',
  })
  const start = bind('int64', YEAR_START)
  const each = bind('int64', uploads)
  const sensors = bind('int64', SENSORS)
  const fill = (what: ReturnType<typeof sql>) => database.transaction(session => session.run(what))
  await fill(sql`INSERT INTO receipt BY NAME SELECT 'lab-' || (i % ${sensors} + 1) AS sensor, sha256(i::VARCHAR) AS sha256,
    1 AS kind, 1 AS state, 20000 + hash(i) % 5000 AS byte_count, make_timestamp(${start} + i * 1500000) AS received_at,
    make_timestamp(${start} + i * 1500000 + 4000000) AS counted_at, sha256((-i)::VARCHAR) AS content_sha256,
    1000 AS packet_count, 1000 AS packet_kept_count, '{}' AS drops, make_timestamp(${start} + i * 1500000 - 300000000) AS first_packet,
    make_timestamp(${start} + i * 1500000 - 1000000) AS last_packet, i + 1 AS upload_id, '0f3a9c21' AS spool,
    i // ${sensors} + 1 AS sequence, 0.2 AS clock_skew_seconds FROM range(${sensors} * ${each}) AS t(i)`)
  await fill(sql`INSERT INTO coverage_span BY NAME SELECT sensor, sha256, first_packet AS listened_from,
    first_packet + INTERVAL 300 SECOND AS listened_to, 0 AS basis, packet_count FROM receipt`)
  const sorted = Math.floor(receipts / RUN_KEYS) * RUN_KEYS
  for (let from = 0; from < receipts; from += RUN_KEYS) {
    const keys = sql`SELECT ('0x' || sha256[1:16])::UBIGINT AS digest_head, received_at FROM receipt
      WHERE upload_id > ${bind('int64', from)} AND upload_id <= ${bind('int64', from + RUN_KEYS)}`
    await fill(
      from < sorted
        ? sql`INSERT INTO receipt_key ${keys} ORDER BY digest_head`
        : sql`INSERT INTO receipt_key_recent ${keys}`,
    )
  }
  const day = sql`make_timestamp(${start} + (i // ${bind('int64', FILES_PER_DAY)}) * 86400000000)`
  // Too large to be merged: nothing reads these files.
  await fill(sql`INSERT INTO lake_file BY NAME SELECT 'flows/' || i || '.parquet' AS path, ${day} AS day, 5000000 AS row_count,
    5000000 AS packet_count, 40000000 AS byte_count, sha256(i::VARCHAR) AS sha256, ${day} AS created_at
    FROM range(${bind('int64', DAYS * FILES_PER_DAY)}) AS t(i)`)
  await fill(sql`INSERT INTO sensor_hour BY NAME SELECT make_timestamp(${start} + h * 3600000000) AS bucket_start,
    'lab-' || s AS sensor, 4 AS ip_version, 12000 AS packet_count, 600000 AS byte_count
    FROM range(${bind('int64', DAYS * 24)}) AS hours(h), range(1, ${sensors} + 1) AS names(s)`)
  await database.close()
}

/** The last of the hubs, running. */
async function startOften(data: string, token: string, name: string, keep: true): Promise<[CommandProcess, string]>
async function startOften(data: string, token: string, name: string): Promise<null>
async function startOften(data: string, token: string, name: string, keep = false) {
  const starts: number[] = []
  for (let round = 0; ; round++) {
    const began = performance.now()
    const hub = new CommandProcess(['serve', '--data', data, '--port', '0'], { build: BUILD })
    const url = await hub.url()
    await ask(`${url}/api/v1/ready`, token)
    starts.push(performance.now() - began - hub.heldUpMilliseconds)
    if (round + 1 < ROUNDS) {
      await hub.kill()
      continue
    }
    show(name, starts)
    if (keep) return [hub, url]
    await hub.kill()
    return null
  }
}

async function measureHub(data: string, tokens: Tokens): Promise<void> {
  const [hub, url] = await startOften(data, tokens.coordinator, 'start to ready', true)
  try {
    const year = `since=${new Date(YEAR_START / 1000).toISOString()}&until=${new Date((YEAR_START + DAYS * 24 * HOUR) / 1000).toISOString()}`
    const first = makeCapture({ sensor: 'lab-1', network: [198, 19, 1] }, 0, CAPTURE_BYTES)
    await put(url, tokens.sensor, first)
    const known = `${url}/api/v1/receipts/${first.sha256}`
    const steps: Readonly<Record<string, (round: number) => Promise<unknown>>> = {
      find: () => ask(known, tokens.sensor),
      'newest receipts': () => ask(`${url}/api/v1/receipts?limit=${RECEIPTS_PER_PAGE}`, tokens.sensor),
      record: round =>
        put(url, tokens.sensor, makeCapture({ sensor: 'lab-1', network: [198, 19, 1] }, round + 1, CAPTURE_BYTES)),
      'record until counted': async round => {
        const made = makeCapture({ sensor: 'lab-1', network: [198, 19, 1] }, round + 101, CAPTURE_BYTES)
        await put(url, tokens.sensor, made)
        await ask(`${url}/api/v1/receipts/${made.sha256}?wait=30`, tokens.sensor)
      },
      ready: () => ask(`${url}/api/v1/ready`, tokens.coordinator),
      status: () => ask(`${url}/api/v1/status`, tokens.coordinator),
      'sensors of a week': () => ask(`${url}/api/v1/sensors`, tokens.coordinator),
      'sensors of the year': () => ask(`${url}/api/v1/sensors?${year}`, tokens.coordinator),
      'sensor-health': () => ask(`${url}/api/v1/sensor-health`, tokens.coordinator),
    }
    for (const [name, step] of Object.entries(steps)) {
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round++) times.push(await timed(() => step(round)))
      show(name, times)
    }
    // The hub made the first one by itself, beside all of the above.
    const copies = [await timed(() => copy(url, tokens.coordinator)), await timed(() => copy(url, tokens.coordinator))]
    process.stdout.write(
      `read copy: asked for first ${Math.round(copies[0]!)} ms, nothing changed ${Math.round(copies[1]!)} ms\n`,
    )
  } finally {
    await hub.kill()
  }
}

function show(name: string, times: readonly number[]): void {
  const rest = times.map(time => Math.round(time)).join(', ')
  process.stdout.write(`${name}: median ${Math.round(median(times))} ms (${rest})\n`)
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

async function ask(url: string, token: string): Promise<void> {
  await expectOk(await fetch(url, { headers: { authorization: `Bearer ${token}` } }))
}

async function copy(url: string, token: string): Promise<void> {
  await expectOk(
    await fetch(`${url}/api/v1/read-copy`, { method: 'POST', headers: { authorization: `Bearer ${token}` } }),
  )
}

async function put(url: string, token: string, { sha256, bytes }: ReturnType<typeof makeCapture>): Promise<void> {
  const headers = { authorization: `Bearer ${token}` }
  await expectOk(await fetch(`${url}/api/v1/captures/${sha256}`, { method: 'PUT', headers, body: Buffer.from(bytes) }))
}

async function expectOk(response: Response): Promise<void> {
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${text.slice(0, 500)}`)
}
