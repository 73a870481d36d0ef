import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { compressBatch } from '../../collector/compressed-batch.ts'
import { hasCommand } from '../support/external.ts'
import { BenchHub, type BenchUpload } from './bench-hub.ts'
import { ClickHouse, insertIntoDuckdb, writeRowBinary } from './hub-peers.ts'
import { measure, median } from './measure.ts'
import { PROGRAM, simulateDay } from './simulated-day.ts'

/*
 * From PUT to an answer that holds the packets, with the real hub, which begins with an empty folder each time: one
 * large raw capture; the batches of the same packets, as `send` sends them and plain. Beside it, in turn, the same rows
 * inserted into a plain DuckDB table and into ClickHouse. The client runs on the same processors.
 */

const PACKETS = 5_000_000
const ROUNDS = 3
const PACKETS_SHORT = 1_000_000
const ROUNDS_SHORT = 1
const SENSOR = 'bench'
/** Asked, in millions a second. */
const ASKED = { capture: 1, batches: 0.7 }

interface Run {
  /** Until the last receipt, until all was counted, until an answer held all packets. */
  readonly receivedSeconds: number
  readonly countedSeconds: number
  readonly seconds: number
  readonly hubCpuSeconds: number
  readonly childrenCpuSeconds: number
  readonly megabytes: number
}

export function run(): Promise<void> {
  return bench(PACKETS, ROUNDS)
}

/** One round of a fifth, to see whether a change is worth the whole. */
export function runShort(): Promise<void> {
  return bench(PACKETS_SHORT, ROUNDS_SHORT)
}

async function bench(packetCount: number, rounds: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  let clickhouse: ClickHouse | null = null
  try {
    const { path, packets, telescope } = await simulateDay(join(folder, 'sim'), packetCount)
    const spool = join(folder, 'spool')
    const collect = ['collect', path, '--sensor', SENSOR, '--telescope', telescope, '--out', spool]
    await measure([process.execPath, PROGRAM, ...collect], folder)
    const batches = (await readdir(spool)).filter(name => name.endsWith('.arrow')).map(name => join(spool, name))
    const capture = await fileUpload('capture', path)
    const plain = await Promise.all(batches.map(batch => fileUpload('batch', batch)))
    const compressed: BenchUpload[] = []
    for (const batch of batches) compressed.push(await compressedUpload(batch))
    const rowBinary = join(folder, 'flows.bin')
    const flows = await writeRowBinary(batches, rowBinary)
    if (hasCommand('clickhouse-server')) clickhouse = await ClickHouse.start(join(folder, 'clickhouse'))

    const runs = { capture: [] as Run[], compressed: [] as Run[], plain: [] as Run[] }
    const peers = { duckdb: [] as number[], clickhouse: [] as number[] }
    const loads: number[] = []
    for (let round = 0; round < rounds; round++) {
      runs.capture.push(await countAll([capture], telescope, packets))
      runs.compressed.push(await countAll(compressed, telescope, packets))
      runs.plain.push(await countAll(plain, telescope, packets))
      peers.duckdb.push(await insertIntoDuckdb(folder, batches))
      if (clickhouse) peers.clickhouse.push(await clickhouse.insert(rowBinary, flows))
      loads.push(loadavg()[0]!)
    }

    print(`${packets} packets, ${flows} flows, ${batches.length} batches; node ${process.version}, ${rounds} rounds`)
    print(`load of the machine: ${loads.map(load => load.toFixed(1)).join(', ')}`)
    print(
      'medians                     received s  counted s answered s  M/s of     least s  hub cpu s children cpu s  MB together',
    )
    print(runLine('raw capture, packets', runs.capture, packets))
    print(runLine('batches as sent, flows', runs.compressed, flows))
    print(runLine('batches, plain, flows', runs.plain, flows))
    print(peerLine('plain DuckDB table', peers.duckdb, flows))
    if (clickhouse) print(peerLine('ClickHouse, RowBinary', peers.clickhouse, flows))
    else print('clickhouse-server is not installed (Debian: clickhouse-server clickhouse-client)')

    const rate = (count: number, all: readonly Run[]): string =>
      (count / median(all.map(({ seconds }) => seconds)) / 1e6).toFixed(2)
    print(`raw captures: ${rate(packets, runs.capture)} M packets/s (asked: at least ${ASKED.capture})`)
    print(`batches as sent: ${rate(flows, runs.compressed)} M flows/s (asked: at least ${ASKED.batches})`)
    const own = median(runs.compressed.map(({ seconds }) => seconds))
    print(`batches as sent / plain DuckDB table: ${(own / median(peers.duckdb)).toFixed(2)} of its time`)
    if (clickhouse) print(`batches as sent / ClickHouse: ${(own / median(peers.clickhouse)).toFixed(2)} of its time`)
  } finally {
    await clickhouse?.stop()
    await rm(folder, { recursive: true })
  }
}

/** Sends uploads one after the other to a new hub, as a sensor does, and waits until an answer holds them. */
async function countAll(uploads: readonly BenchUpload[], telescope: string, packets: number): Promise<Run> {
  const hub = await BenchHub.start(new Map([[SENSOR, telescope]]))
  try {
    const before = hub.use()
    const started = performance.now()
    const since = (): number => (performance.now() - started) / 1000
    for (const upload of uploads) await hub.put(upload)
    const receivedSeconds = since()
    await hub.counted()
    const countedSeconds = since()
    const answered = await hub.packets()
    const seconds = since()
    const after = hub.use()
    if (answered !== packets) throw new Error(`hub answers with ${answered} packets, ${packets} were sent`)
    return {
      ...{ receivedSeconds, countedSeconds, seconds },
      hubCpuSeconds: after.hubSeconds - before.hubSeconds,
      childrenCpuSeconds: after.childrenSeconds - before.childrenSeconds,
      megabytes: after.hubMegabytes + after.childrenMegabytes,
    }
  } finally {
    await hub.remove()
  }
}

async function fileUpload(kind: BenchUpload['kind'], path: string): Promise<BenchUpload> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash)
  const { size } = await stat(path)
  return {
    ...{ sensor: SENSOR, kind, sha256: hash.digest('hex'), byteCount: size },
    open: () => createReadStream(path, { highWaterMark: 2 ** 20 }),
  }
}

async function compressedUpload(path: string): Promise<BenchUpload> {
  const compressed = await compressBatch(path, basename(path, '.arrow'), { signal: new AbortController().signal })
  if (compressed === null) throw new Error(`batch ${path} is not what its name says`)
  const { sha256, byteCount } = compressed
  const bytes = Buffer.concat(await compressed.open(0, byteCount).toArray())
  return { sensor: SENSOR, kind: 'batch', sha256, byteCount, open: () => Readable.from([bytes]) }
}

function runLine(name: string, runs: readonly Run[], count: number): string {
  const of = (value: (run: Run) => number): number => median(runs.map(value))
  const seconds = of(run => run.seconds)
  return [
    name.padEnd(27),
    of(run => run.receivedSeconds)
      .toFixed(2)
      .padStart(10),
    of(run => run.countedSeconds)
      .toFixed(2)
      .padStart(10),
    seconds.toFixed(2).padStart(10),
    (count / seconds / 1e6).toFixed(2).padStart(7),
    Math.min(...runs.map(run => run.seconds))
      .toFixed(2)
      .padStart(11),
    of(run => run.hubCpuSeconds)
      .toFixed(2)
      .padStart(10),
    of(run => run.childrenCpuSeconds)
      .toFixed(2)
      .padStart(14),
    Math.max(...runs.map(run => run.megabytes))
      .toFixed(0)
      .padStart(12),
  ].join(' ')
}

function peerLine(name: string, seconds: readonly number[], count: number): string {
  const middle = median(seconds)
  return [
    name.padEnd(27),
    middle.toFixed(2).padStart(32),
    (count / middle / 1e6).toFixed(2).padStart(7),
    Math.min(...seconds)
      .toFixed(2)
      .padStart(11),
  ].join(' ')
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
