import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Database } from '../../analytics/database.ts'
import { bindList, identifier, literal, sql } from '../../analytics/sql.ts'
import { compressBatch } from '../../collector/compressed-batch.ts'
import { FlowFileWriter } from '../../collector/flow-file-writer.ts'
import { rewriteBatch } from '../../collector/rewrite-batch.ts'
import { parseTelescope } from '../../schemas/address.ts'
import type { BatchMetadata } from '../../schemas/batch.ts'
import { markTelescope, type TelescopeMark } from '../../schemas/telescope-mark.ts'
import { hasCommand } from '../support/external.ts'
import { measure } from './measure.ts'
import { PROGRAM, simulateDay } from './simulated-day.ts'

/*
 * What a packet costs in bytes: in a capture, in the spool, on the line, and in what others keep of the same traffic.
 * One simulated day of a /24, a million packets.
 */

const PACKETS = 1_000_000
/** What a sensor that sends all day chooses. */
const LIVE_BATCH_SECONDS = 300
/** Asked of a batch on its way, in bytes a packet. */
const ASKED = 12
const BATCH = /^([0-9a-f]{64})\.arrow$/

export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  try {
    await compare(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function compare(folder: string): Promise<void> {
  const { path, packets, telescope } = await simulateDay(join(folder, 'sim'), PACKETS)
  const collect = async (name: string, ...options: string[]): Promise<string> => {
    const out = join(folder, name)
    const what = ['collect', path, '--sensor', 'bench', '--telescope', telescope, '--out', out, ...options]
    await measure([process.execPath, PROGRAM, ...what], folder)
    return out
  }
  print(`${packets} packets of one day, zlib ${process.versions.zlib}`)
  print('                                            bytes  bytes/packet')
  const line = (name: string, bytes: number): void =>
    print(`${name.padEnd(38)} ${String(bytes).padStart(10)} ${(bytes / packets).toFixed(2).padStart(13)}`)

  line('capture', await fileBytes([path]))
  await compressedLines(line, 'capture', [path])
  const day = await batchesIn(await collect('day'))
  line('batches in the spool', await fileBytes(day))
  await compressedLines(line, 'batches', day)
  const sent = await sentBytes(day)
  line(`${day.length} batches as sent`, sent)
  const live = await batchesIn(await collect('live', '--batch-seconds', String(LIVE_BATCH_SECONDS)))
  const sentLive = await sentBytes(live)
  line(`${live.length} batches of ${LIVE_BATCH_SECONDS} s as sent`, sentLive)
  await flowDumpLines(line, path, folder)
  await parquetLines(line, day, folder, markTelescope(parseTelescope(telescope)))
  const [each, eachLive] = [sent, sentLive].map(bytes => (bytes / packets).toFixed(2))
  print(`asked of batches as sent: at most ${ASKED} bytes/packet; ${each}, and ${eachLive} in short batches`)
}

/** The same bytes as compressors would leave them. */
async function compressedLines(
  line: (name: string, bytes: number) => void,
  what: string,
  paths: readonly string[],
): Promise<void> {
  for (const command of ['gzip -1', 'gzip -6', 'zstd -1', 'zstd -3']) {
    if (!hasCommand(command.split(' ')[0]!)) continue
    line(
      `${what}, ${command}`,
      sum(await Promise.all(paths.map(path => outputBytes([...command.split(' '), '-c', path])))),
    )
  }
}

/** Files of nfpcapd, plain and in the compressions that Debian's has. */
async function flowDumpLines(
  line: (name: string, bytes: number) => void,
  capture: string,
  folder: string,
): Promise<void> {
  if (!hasCommand('nfpcapd')) return
  for (const [name, option] of [
    ['', []],
    [', LZO', ['-z']],
    [', LZ4', ['-y']],
  ] as const) {
    const out = await mkdtemp(join(folder, 'nfpcapd-'))
    await measure(['nfpcapd', '-r', capture, '-w', out, ...option], folder)
    const entries = await readdir(out, { recursive: true, withFileTypes: true })
    const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
    line(`nfpcapd${name}`, await fileBytes(files))
  }
}

/** The flows of the batches in one Parquet file, in the order that they have there. */
async function parquetLines(
  line: (name: string, bytes: number) => void,
  batches: readonly string[],
  folder: string,
  mark: TelescopeMark,
): Promise<void> {
  const place = await mkdtemp(join(folder, 'parquet-'))
  const database = await Database.open({
    path: join(place, 'catalog.duckdb'),
    lake: place,
    temporary: place,
    threads: 2,
    memoryLimit: '1GB',
  })
  const session = await database.session()
  try {
    const open = (metadata: BatchMetadata) => new FlowFileWriter(place, metadata, 1)
    const files = batches.map(
      input => rewriteBatch({ input, open, sensor: 'bench', telescope_epoch: 1, telescope: mark }).batch.path,
    )
    const flows = sql`SELECT * FROM read_parquet(${bindList('text', files)})`
    for (const codec of ['snappy', 'zstd']) {
      const file = join(place, `${codec}.parquet`)
      await session.run(sql`COPY (${flows}) TO ${literal(file)} (FORMAT parquet, COMPRESSION ${identifier(codec)})`)
      line(`Parquet of the same flows, ${codec}`, await fileBytes([file]))
    }
  } finally {
    session.close()
    await database.close()
  }
}

async function batchesIn(spool: string): Promise<string[]> {
  return (await readdir(spool)).filter(name => BATCH.test(name)).map(name => join(spool, name))
}

/** What `send` would put on the line. */
async function sentBytes(batches: readonly string[]): Promise<number> {
  const { signal } = new AbortController()
  let bytes = 0
  for (const path of batches) {
    const batch = await compressBatch(path, BATCH.exec(basename(path))![1]!, { signal })
    if (batch === null) throw new Error(`${path} is not what its name says`)
    bytes += batch.byteCount
  }
  return bytes
}

async function fileBytes(paths: readonly string[]): Promise<number> {
  return sum(await Promise.all(paths.map(async path => (await stat(path)).size)))
}

/** Bytes that a command writes to its standard output. */
async function outputBytes([program, ...args]: readonly string[]): Promise<number> {
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let bytes = 0
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (status !== 0) throw new Error(`${program} ended with ${status}`)
  return bytes
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
