import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { BatchWriter } from '../../collector/batch-writer.ts'
import { type ColumnArray, emptyColumns } from '../../collector/flow-columns.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { type BatchMetadata, FLOWS_PER_RECORD_BATCH } from '../../schemas/batch.ts'
import { physicalColumns } from '../../schemas/column.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import { FLOW } from '../../schemas/flow.ts'
import type { ParseAnswer, ParseJob } from '../../schemas/parse-job.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
import { block, enhancedPacket, pcap, pcapRecord, sectionHeader } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { rawBlock, rleBlock, zstdFrame } from '../support/zstd-builder.ts'
import { SENSOR, TELESCOPE_EPOCH, TELESCOPES } from './corpus.ts'

// Goal: an input that is small to send and large to read costs the hub little. Method: each is taken in by the hub's own
// parsing child, a new one each time, whose processor time and memory the kernel measures. A bomb of another format is
// one more row.

const MODULE = `${ROOT}dist/collector/parse-child.js`
const SECONDS_MAX = 2
const GROWTH_BYTES_MAX = 128 * 1024 * 1024
/** By the clock, on a machine that does much else. */
const READING_MILLISECONDS_MAX = 45_000
const MILLION = 1_000_000
const newFolder = temporaryFolders()

beforeAll(() => {
  if (!existsSync(MODULE)) throw new Error(`${MODULE} is not built; run: npm run build`)
})

interface Measured {
  readonly code: ErrorCode | null
  readonly message: string
  readonly packets: number
  /** Processor time. */
  readonly seconds: number
  /** How much larger resident memory ever was than before. */
  readonly growthBytes: number
}

async function measure(kind: ParseJob['kind'], bytes: Uint8Array): Promise<Measured> {
  const input = join(newFolder(), 'input')
  writeFileSync(input, bytes)
  const child = fork(MODULE, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] })
  // Whatever the bomb does to it, the process does not outlive the test.
  const timer = setTimeout(() => child.kill('SIGKILL'), READING_MILLISECONDS_MAX)
  try {
    // A small capture first: what the program itself needs is there before anything is measured.
    await answerTo(child, job('capture', `${ROOT}fixtures/captures/format-gzip.pcap.gz`))
    const before = usage(child)
    const answer = await answerTo(child, job(kind, input))
    const after = usage(child)
    const { code, message } = (answer.ok ? answer.capture?.error : answer.error) ?? { code: null, message: '' }
    const packets = answer.ok ? (answer.capture?.packets_read ?? 0) : 0
    const growthBytes = after.residentBytesMax - before.residentBytes
    return { code, message, packets, seconds: after.seconds - before.seconds, growthBytes }
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
  }
}

function job(kind: ParseJob['kind'], input: string): ParseJob {
  const base = { id: 1, input, out: newFolder(), sensor: SENSOR, telescope_epoch: TELESCOPE_EPOCH, upload_id: 1 }
  return kind === 'batch'
    ? { ...base, kind, telescope: markTelescope(parseTelescope(TELESCOPES[0]!)) }
    : { ...base, kind, sha256: '00'.repeat(32), telescope: TELESCOPES[0]!, key: '07'.repeat(32) }
}

function answerTo(child: ChildProcess, request: ParseJob): Promise<ParseAnswer> {
  return new Promise((resolve, reject) => {
    child.once('message', message => resolve(message as ParseAnswer))
    child.once('exit', (code, signal) => reject(new Error(`the child ended with ${signal ?? code}`)))
    child.send(request)
  })
}

/** What the kernel says of a process: memory now and at most so far, processor time so far. */
function usage({ pid }: ChildProcess): { residentBytes: number; residentBytesMax: number; seconds: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)![1]) * 1024
  // Behind the name, which may hold spaces: user and system time are fields 14 and 15, in hundredths of a second.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  const seconds = (Number(fields[11]) + Number(fields[12])) / 100
  return { residentBytes: bytes('VmRSS'), residentBytesMax: bytes('VmHWM'), seconds }
}

const FRAME = ethernet(0x0800, ipv4({ dst: '198.19.1.7' }, tcp()))

/** The same bytes over and over. */
function repeated(bytes: Uint8Array, times: number): Uint8Array {
  const all = new Uint8Array(bytes.length * times)
  for (let time = 0; time < times; time++) all.set(bytes, time * bytes.length)
  return all
}

/** Each piece with the bytes that `change` makes of its number. */
function numbered(piece: Uint8Array, count: number, at: number, numberOf: (index: number) => number): Uint8Array {
  const all = repeated(piece, count)
  const view = new DataView(all.buffer)
  for (let index = 0; index < count; index++) view.setUint16(index * piece.length + at, numberOf(index), true)
  return all
}

/** Four GiB of records of no bytes in four MiB of gzip. */
function gzipBomb(): Uint8Array {
  const zeros = gzipSync(new Uint8Array(64 * 1024 * 1024), { level: 9 })
  return concat(gzipSync(pcap([])), repeated(zeros, 64))
}

function gzipMembers(): Uint8Array {
  const empty = repeated(gzipSync(new Uint8Array(0)), MILLION)
  return concat(gzipSync(pcap([{ frame: FRAME }])), empty, gzipSync(pcapRecord({ frame: FRAME })))
}

/** Members of one byte of a capture each. */
function gzipBytes(): Uint8Array {
  const members = [...Array(256).keys()].map(value => gzipSync(Uint8Array.of(value)))
  const content = repeated(pcapRecord({ frame: FRAME }), Math.ceil(MILLION / (16 + FRAME.length)))
  const parts = Array.from(content, value => members[value]!)
  return new Uint8Array(Buffer.concat([gzipSync(pcap([])), Buffer.concat(parts)]))
}

const START = concat(sectionHeader(), hex('01000000 14000000 0100 0000 00000000 14000000'))
const INTERFACE = hex('01000000 14000000 0000 0000 00000000 14000000')
const INTERFACES_OF_SECTION = 60_000

function manySections(): Uint8Array {
  const interfaces = numbered(INTERFACE, INTERFACES_OF_SECTION, 8, index => index)
  const section = concat(sectionHeader(), interfaces, enhancedPacket({ frame: FRAME, interfaceId: 1 }))
  return repeated(section, Math.ceil(MILLION / INTERFACES_OF_SECTION))
}

interface Bomb {
  readonly make: () => Uint8Array
  readonly code: ErrorCode | null
  readonly packets?: number
}

const CAPTURES: Readonly<Record<string, Bomb>> = {
  'gzip that expands 1028 times': { make: gzipBomb, code: 'COMPRESSION_BOMB' },
  'zstd that expands 32 000 times': {
    make: () =>
      zstdFrame([rawBlock(pcap([{ frame: FRAME }]), false), repeated(rleBlock(0, 128 * 1024, false), 100_000)]),
    code: 'COMPRESSION_BOMB',
  },
  'a million empty members of gzip': { make: gzipMembers, code: null, packets: 2 },
  'a million members of gzip with a byte each': { make: gzipBytes, code: null, packets: 14_286 },
  'a block of 2³² - 1 bytes': {
    make: () => concat(START, hex('06000000 ffffffff'), new Uint8Array(MILLION)),
    code: 'CAPTURE_RECORD_INVALID',
  },
  'a section header of 2³² - 4 bytes': {
    make: () => concat(hex('0a0d0d0a fcffffff 4d3c2b1a'), new Uint8Array(MILLION)),
    code: 'CAPTURE_RECORD_INVALID',
  },
  'a block of 16 MiB that is not there': {
    make: () => concat(START, hex('06000000 00000001'), new Uint8Array(64)),
    code: 'CAPTURE_TRUNCATED',
  },
  'a block of 16 MiB of options': {
    make: () =>
      concat(sectionHeader(), block(1, concat(hex('0100 0000 00000000'), repeated(hex('01000000'), 4 * MILLION)))),
    code: null,
  },
  'a record of 2³² - 1 bytes': {
    make: () => pcap([{ frame: new Uint8Array(MILLION), capturedLength: 0xffff_ffff }]),
    code: 'CAPTURE_RECORD_INVALID',
  },
  'a million records of no bytes': {
    make: () => concat(pcap([]), repeated(pcapRecord({ frame: hex('') }), MILLION)),
    code: null,
    packets: MILLION,
  },
  'a million interfaces': { make: () => concat(START, repeated(INTERFACE, MILLION)), code: 'CAPTURE_RECORD_INVALID' },
  'a million interfaces in sections, each of a link type of its own': { make: manySections, code: null, packets: 17 },
  'a million packets of link types that are not read': {
    make: () =>
      concat(
        sectionHeader(),
        numbered(INTERFACE, INTERFACES_OF_SECTION, 8, index => index + 1000),
        numbered(enhancedPacket({ frame: hex('') }), MILLION, 8, index => index % INTERFACES_OF_SECTION),
      ),
    code: 'LINK_TYPE_UNSUPPORTED',
    packets: MILLION,
  },
}

describe('a capture costs little', () => {
  it.each(Object.entries(CAPTURES))(
    '%s',
    async (_name, { make, code, packets }) => {
      const measured = await measure('capture', make())
      expect(measured).toMatchObject(packets === undefined ? { code } : { code, packets })
      expect(measured.message.length).toBeLessThan(500)
      expect(measured.seconds).toBeLessThan(SECONDS_MAX)
      expect(measured.growthBytes).toBeLessThan(GROWTH_BYTES_MAX)
    },
    60_000,
  )
})

/** A batch of no flows with the metadata; what stands in it is anybody's. */
function batchWith(metadata: object): Uint8Array {
  return readFileSync(new BatchWriter(newFolder(), metadata as BatchMetadata).finish().path)
}

const METADATA: BatchMetadata = {
  schema_version: 1,
  sensor: SENSOR,
  telescope_epoch: TELESCOPE_EPOCH,
  spans: [],
  flows: 0,
  packets_read: 0,
  packets_kept: 0,
  drops: {},
  first_packet: null,
  last_packet: null,
}

const INTERVAL = 1_763_800_020_000_000
/** What a flow has that is not zero. */
const FLOW_VALUES: Readonly<Record<string, bigint>> = {
  interval_start: BigInt(INTERVAL),
  ip_version: 4n,
  src_addr_low: 0xffff_0808_0808n,
  protocol: 6n,
  packet_count: 1n,
  byte_count: 40n,
}

/** A million flows that are all the same, which LZ4 makes a few hundred thousand bytes of. */
function equalFlows(rowsOfRecordBatch: number): Uint8Array {
  const columns = Object.entries(emptyColumns()).map(([name, empty]) => {
    const values = new (empty.constructor as new (length: number) => ColumnArray)(rowsOfRecordBatch)
    const value = FLOW_VALUES[name] ?? 0n
    if (values instanceof BigUint64Array || values instanceof BigInt64Array) values.fill(value)
    else values.fill(Number(value))
    return { name, type: physicalColumns(FLOW).find(column => column.name === name)!.type, values }
  })
  const packets = MILLION
  const writer = new BatchWriter(newFolder(), {
    ...METADATA,
    spans: [{ from: INTERVAL, to: INTERVAL + 1, basis: 'inferred', packets }],
    flows: packets,
    packets_read: packets,
    packets_kept: packets,
    first_packet: INTERVAL,
    last_packet: INTERVAL,
  })
  for (let left = MILLION; left > 0; left -= rowsOfRecordBatch) {
    writer.writeRows(columns, Math.min(left, rowsOfRecordBatch))
  }
  return readFileSync(writer.finish().path)
}

/** A megabyte of gzip that is the beginning of a batch and then as many zeros as may be, or a few more. */
function gzipOfBatch(contentBytes: number): Uint8Array {
  const head = batchWith(METADATA).subarray(0, -8)
  // What compresses no better than flows do: dense enough to be small, and not so dense that it is refused for it.
  const noise = randomBytes(2 ** 17)
  return gzipSync(Buffer.concat([head, noise, Buffer.alloc(contentBytes - head.length - noise.length)]), { level: 9 })
}

/** Lists within lists where a value of the metadata should stand; JSON.stringify itself would not come so far. */
function deepBatch(name: keyof BatchMetadata): Uint8Array {
  const placeholder = 'x'.repeat(2 * DEPTH - 2)
  const bytes = batchWith({ ...METADATA, [name]: placeholder })
  const at = Buffer.from(bytes).indexOf(`"${placeholder}"`)
  bytes.fill('['.charCodeAt(0), at, at + DEPTH).fill(']'.charCodeAt(0), at + DEPTH, at + 2 * DEPTH)
  return bytes
}

const DEPTH = 100_000

/** Millions of empty lists where the sensor should stand, each of which takes many times its bytes when it is parsed. */
function longMetadata(): Uint8Array {
  const count = 5 * MILLION
  const placeholder = 'x'.repeat(3 * count + 2)
  const bytes = Buffer.from(batchWith({ ...METADATA, sensor: placeholder }))
  bytes.write(`[${'[],'.repeat(count)}[]]`, bytes.indexOf(`"${placeholder.slice(0, 100)}`), 'latin1')
  return gzipSync(Buffer.concat([bytes, randomBytes(2 ** 17)]), { level: 9 })
}

const BATCHES: Readonly<Record<string, Bomb>> = {
  'a million flows that are the same': { make: () => equalFlows(FLOWS_PER_RECORD_BATCH), code: null },
  'a million flows that are the same, in one record batch': { make: () => equalFlows(MILLION), code: 'BATCH_INVALID' },
  'gzip that expands to as much as may be': { make: () => gzipOfBatch(64 * 2 ** 20), code: 'BATCH_INVALID' },
  'gzip that expands to more': { make: () => gzipOfBatch(64 * 2 ** 20 + 1), code: 'COMPRESSION_BOMB' },
  'gzip of metadata as long as may be': { make: longMetadata, code: 'BATCH_INVALID' },
  'lists a hundred thousand deep for its version': {
    make: () => deepBatch('schema_version'),
    code: 'BATCH_VERSION_UNSUPPORTED',
  },
  'lists a hundred thousand deep for its sensor': { make: () => deepBatch('sensor'), code: 'BATCH_INVALID' },
  'lists a hundred thousand deep for its spans': { make: () => deepBatch('spans'), code: 'BATCH_INVALID' },
}

describe('a batch costs little', () => {
  it.each(Object.entries(BATCHES))(
    '%s',
    async (_name, { make, code }) => {
      const measured = await measure('batch', make())
      expect(measured).toMatchObject({ code })
      expect(measured.message.length).toBeLessThan(500)
      expect(measured.seconds).toBeLessThan(SECONDS_MAX)
      expect(measured.growthBytes).toBeLessThan(GROWTH_BYTES_MAX)
    },
    60_000,
  )
})
