import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { CompressionType, type DataType, setCompressionCodec, Type, tableFromIPC } from '@uwdata/flechette'
import { beforeAll, describe, expect, it } from 'vitest'
import { Collector } from '../../collector/collector.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { BATCH_METADATA_KEY, FLOWS_PER_RECORD_BATCH } from '../../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import { decodeLz4Frame } from '../../schemas/lz4-frame.ts'
import { pcap } from '../support/capture-builder.ts'
import { findPackage, ROOT, requireExternal } from '../support/external.ts'
import { readBatch } from '../support/read-batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: a batch is an ordinary Arrow stream, compressed as Arrow says. Method: two readers that share no code with
// apache-arrow read what the collector wrote: flechette, in JavaScript, which takes apart buffers with our own LZ4
// decoder; and polars, in Rust, which brings its own. Values and types are those that apache-arrow reads, and the
// metadata, too, where a reader shows it: polars does not.

const newFolder = temporaryFolders()
const COLUMNS = physicalColumns(FLOW)
const NAMES = COLUMNS.map(({ name }) => name)
const START = 1_763_800_000
/** From a port to port 23 of 203.0.113.9. */
const SYN = [203, 0, 113, 9, 0x9c, 0x40, 0, 23, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]
const TELESCOPE = '198.19.1.0/24,2001:db8:2::/120,203.0.113.0/24'

/** What a reader found: the type of each column as it names it, and the values of a column as text, one a line. */
interface Read {
  readonly types: readonly string[]
  readonly rowCount: number
  column(name: string): string
}

/** The part of nodejs-polars that is used here. */
interface Polars {
  readonly Int64: unknown
  readIPCStream(bytes: Uint8Array): {
    readonly height: number
    readonly schema: Readonly<Record<string, unknown>>
    getColumn(name: string): PolarsSeries
  }
}
interface PolarsSeries {
  cast(type: unknown): PolarsSeries
  nullCount(): number
  toTypedArray(): ArrayLike<number | bigint>
}

const polarsPath = findPackage('nodejs-polars')
const hasPolars = requireExternal('nodejs-polars', polarsPath !== null)

async function collect(
  captures: readonly string[],
  declared: { from: number; to: number } | null = null,
): Promise<string[]> {
  const collector = new Collector({
    sensor: 'test',
    telescope: parseTelescope(TELESCOPE),
    telescopeEpoch: 1,
    key: new Uint8Array(32).fill(7),
    out: newFolder(),
    declared,
  })
  for (const path of captures) await collector.read(path)
  await collector.finish()
  return collector.batches.map(({ path }) => path)
}

/** A raw-IP capture of SYN packets, each of another source. */
function manySources(count: number): string {
  const records = Array.from({ length: count }, (_, index) => {
    const frame = Uint8Array.from([0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 198, 18, index >> 8, index, ...SYN])
    // Beyond 65 536 packets the sources come again, a minute later.
    return { frame, seconds: START + (index >> 16) * 60 }
  })
  const path = join(newFolder(), 'capture.pcap')
  writeFileSync(path, pcap(records, { linkType: 101 }))
  return path
}

type Expected = Read & { readonly metadata: string }

function withApacheArrow(path: string): Expected {
  const { rows, columns, metadata } = readBatch(path)
  return {
    types: columns,
    rowCount: rows.length,
    metadata: JSON.stringify(metadata),
    column: name => rows.map(row => row[name]).join('\n'),
  }
}

function withFlechette(path: string): Read & {
  metadata: string | undefined
  /** Record batches, their buffers with values, and how many of these are LZ4 frames. */
  counts: { batches: number; buffers: number; frames: number }
} {
  let frames = 0
  setCompressionCodec(CompressionType.LZ4_FRAME, {
    encode: () => expect.unreachable('nothing is written here'),
    decode(frame, length) {
      frames++
      return decodeLz4Frame(frame, length) ?? expect.unreachable('an LZ4 frame is damaged')
    },
  })
  const table = tableFromIPC(readFileSync(path), { useBigInt: true })
  const batches = table.getChildAt(0).data.filter(({ length }) => length > 0).length
  const isTime = (name: string) => FLOW[name as keyof typeof FLOW]?.type === 'timestamp_us'
  return {
    types: table.schema.fields.map(
      ({ name, type, nullable }) => `${name} ${flechetteType(type)}${nullable ? ' null' : ''}`,
    ),
    rowCount: table.numRows,
    metadata: table.schema.metadata?.get(BATCH_METADATA_KEY),
    counts: { batches, buffers: batches * NAMES.length, frames },
    // Times come as milliseconds; what is no whole number of them is an error of BigInt.
    column: name =>
      Array.from(table.getChild(name)!, value => (isTime(name) ? BigInt(value) * 1000n : value)).join('\n'),
  }
}

/** A type as apache-arrow writes it. */
function flechetteType(type: DataType): string {
  if (type.typeId === Type.Int) return `${type.signed ? 'Int' : 'Uint'}${type.bitWidth}`
  if (type.typeId === Type.Timestamp)
    return `Timestamp<${type.unit === 2 ? 'MICROSECOND' : type.unit}, ${type.timezone}>`
  return `type ${type.typeId}`
}

function withPolars(path: string): Read {
  const polars: Polars = createRequire(import.meta.url)(polarsPath!)
  const table = polars.readIPCStream(readFileSync(path))
  return {
    types: Object.entries(table.schema).map(
      ([name, type]) => `${name} ${type}${table.getColumn(name).nullCount() > 0 ? ' null' : ''}`,
    ),
    rowCount: table.height,
    column(name) {
      const series = table.getColumn(name)
      const isTime = FLOW[name as keyof typeof FLOW]?.type === 'timestamp_us'
      return Array.from((isTime ? series.cast(polars.Int64) : series).toTypedArray()).join('\n')
    },
  }
}

/** Names of one type of ours: of apache-arrow, which flechette's are written as, and of polars. */
function typeNames({ name, type, nullable }: PhysicalColumn): { arrow: string; polars: string } {
  const isTime = type === 'timestamp_us'
  const bits = type === 'bits64' ? 64 : Number(type.replace('uint', ''))
  return {
    arrow: `${name} ${isTime ? 'Timestamp<MICROSECOND, UTC>' : `Uint${bits}`}${nullable ? ' null' : ''}`,
    polars: `${name} DataType(${isTime ? 'Datetime(us,UTC)' : `UInt${bits}`})`,
  }
}

const FIXTURES = [
  'nmap-ipv6-syn',
  'hping3-icmp-unreachable',
  'hping3-synack-backscatter',
  'hping3-udp',
  'linux-backscatter',
]
/** More flows than a record batch holds. */
const MANY = FLOWS_PER_RECORD_BATCH + 5000

describe.each<[string, { rows: number; batches: number; frames: number; raw: number }, () => Promise<string[]>]>([
  [
    'of real scanners',
    { rows: 100, batches: 1, frames: 1, raw: 1 },
    () => collect(FIXTURES.map(name => `${ROOT}fixtures/captures/${name}.pcap`)),
  ],
  ['of two record batches', { rows: MANY, batches: 2, frames: 2, raw: 2 }, () => collect([manySources(MANY)])],
  [
    'without a flow',
    { rows: 0, batches: 0, frames: 0, raw: 0 },
    () => collect([], { from: START * 1e6, to: (START + 60) * 1e6 }),
  ],
])('a batch %s', (_what, least, make) => {
  let batches: { path: string; expected: Expected }[]
  beforeAll(async () => {
    batches = (await make()).map(path => ({ path, expected: withApacheArrow(path) }))
  })

  it('holds what it is to show', () => {
    const rows = batches.reduce((sum, { expected }) => sum + expected.rowCount, 0)
    expect(rows).toBeGreaterThanOrEqual(least.rows)
    expect(rows === 0).toBe(least.rows === 0)
    const counts = batches.map(({ path }) => withFlechette(path).counts)
    expect(Math.max(...counts.map(({ batches }) => batches))).toBeGreaterThanOrEqual(least.batches)
    // Both kinds of buffers that a compressed body may have.
    expect(Math.max(...counts.map(({ frames }) => frames))).toBeGreaterThanOrEqual(least.frames)
    expect(Math.max(...counts.map(({ buffers, frames }) => buffers - frames))).toBeGreaterThanOrEqual(least.raw)
  })

  it('is read alike by apache-arrow and flechette', () => {
    for (const { path, expected } of batches) {
      expect(expected.types).toEqual(COLUMNS.map(column => typeNames(column).arrow))
      const read = withFlechette(path)
      expect(read.types).toEqual(expected.types)
      expect([read.rowCount, read.metadata]).toEqual([expected.rowCount, expected.metadata])
      expect(NAMES.filter(name => read.column(name) !== expected.column(name))).toEqual([])
    }
  })

  it.skipIf(!hasPolars)('is read alike by apache-arrow and polars', () => {
    for (const { path, expected } of batches) {
      const read = withPolars(path)
      expect(read.types).toEqual(COLUMNS.map(column => typeNames(column).polars))
      expect(read.rowCount).toBe(expected.rowCount)
      expect(NAMES.filter(name => read.column(name) !== expected.column(name))).toEqual([])
    }
  })
})
