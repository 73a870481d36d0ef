import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { type DataType, Type, tableFromIPC } from '@uwdata/flechette'
import { Table, writeParquet } from 'parquet-wasm'
import { beforeAll, describe, expect, it } from 'vitest'
import { Collector } from '../../collector/collector.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { BATCH_METADATA_KEY, FLOWS_PER_RECORD_BATCH } from '../../schemas/batch.ts'
import { duckdbType, type PhysicalColumn, physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import { pcap } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { readBatch } from '../support/read-batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: a batch is an ordinary Arrow stream. Method: two readers that share no code with apache-arrow read what the
// collector wrote: flechette, in JavaScript; and arrow-rs, which parquet-wasm brings. What arrow-rs read, it writes as
// Parquet, and DuckDB says what is in it. Values, types and metadata are those that apache-arrow reads.

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
  readonly metadata: string | undefined
  column(name: string): string
}

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

function withApacheArrow(path: string): Read {
  const { rows, columns, metadata } = readBatch(path)
  return {
    types: columns,
    rowCount: rows.length,
    metadata: JSON.stringify(metadata),
    column: name => rows.map(row => row[name]).join('\n'),
  }
}

function withFlechette(path: string): Read {
  const table = tableFromIPC(readFileSync(path), { useBigInt: true })
  const isTime = (name: string) => FLOW[name as keyof typeof FLOW]?.type === 'timestamp_us'
  return {
    types: table.schema.fields.map(
      ({ name, type, nullable }) => `${name} ${flechetteType(type)}${nullable ? ' null' : ''}`,
    ),
    rowCount: table.numRows,
    metadata: table.schema.metadata?.get(BATCH_METADATA_KEY),
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

/** The stream through arrow-rs into Parquet, and that through DuckDB. */
async function withArrowRs(path: string): Promise<Read> {
  const table = Table.fromIPCStream(readFileSync(path))
  const metadata = (table.schema.metadata() as unknown as Map<string, string>).get(BATCH_METADATA_KEY)
  const file = join(newFolder(), 'batch.parquet')
  writeFileSync(file, writeParquet(table))
  const database = await DuckDBInstance.create(':memory:')
  const connection = await database.connect()
  const rowsOf = async (sql: string) => (await connection.runAndReadAll(sql)).getRows()
  const types = await rowsOf(`DESCRIBE SELECT * FROM '${file}'`)
  const columns = NAMES.map(name => (name === 'interval_start' ? `epoch_us(${name})` : name))
  const values = await rowsOf(
    `SELECT count(*), ${columns.map(name => `string_agg(${name}::VARCHAR, chr(10) ORDER BY file_row_number)`)}
      FROM read_parquet('${file}', file_row_number = true)`,
  )
  connection.closeSync()
  database.closeSync()
  const [rowCount, ...texts] = values[0]!
  return {
    types: types.map(([name, type]) => `${name} ${type}`),
    rowCount: Number(rowCount),
    metadata,
    column: name => String(texts[NAMES.indexOf(name)] ?? ''),
  }
}

/** Names of one type of ours in the three readers. */
function typeNames({ name, type, nullable }: PhysicalColumn): { arrow: string; duckdb: string } {
  const isTime = type === 'timestamp_us'
  const bits = type === 'bits64' ? 64 : Number(type.replace('uint', ''))
  return {
    arrow: `${name} ${isTime ? 'Timestamp<MICROSECOND, UTC>' : `Uint${bits}`}${nullable ? ' null' : ''}`,
    duckdb: `${name} ${isTime ? 'TIMESTAMP WITH TIME ZONE' : duckdbType(type)}`,
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

describe.each<[string, { rows: number; batches: number }, () => Promise<string[]>]>([
  [
    'of real scanners',
    { rows: 100, batches: 1 },
    () => collect(FIXTURES.map(name => `${ROOT}fixtures/captures/${name}.pcap`)),
  ],
  ['of two record batches', { rows: MANY, batches: 2 }, () => collect([manySources(MANY)])],
  ['without a flow', { rows: 0, batches: 0 }, () => collect([], { from: START * 1e6, to: (START + 60) * 1e6 })],
])('a batch %s', (_what, least, make) => {
  let paths: string[]
  beforeAll(async () => {
    paths = await make()
  })

  it('holds what it is to show', () => {
    const rows = paths.map(path => withApacheArrow(path).rowCount)
    expect(rows.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(least.rows)
    expect(least.rows > 0 || rows.join() === '0').toBe(true)
    expect(Math.max(...paths.map(path => Table.fromIPCStream(readFileSync(path)).numBatches))).toBeGreaterThanOrEqual(
      least.batches,
    )
  })

  it('is read alike by apache-arrow, flechette and arrow-rs', async () => {
    for (const path of paths) {
      const expected = withApacheArrow(path)
      expect(expected.types).toEqual(COLUMNS.map(column => typeNames(column).arrow))
      const flechette = withFlechette(path)
      const rust = await withArrowRs(path)
      expect(flechette.types).toEqual(expected.types)
      expect(rust.types).toEqual(COLUMNS.map(column => typeNames(column).duckdb))
      for (const read of [flechette, rust]) {
        expect([read.rowCount, read.metadata]).toEqual([expected.rowCount, expected.metadata])
        expect(NAMES.filter(name => read.column(name) !== expected.column(name))).toEqual([])
      }
    }
  })
})
