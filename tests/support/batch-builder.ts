import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DataType } from 'apache-arrow'
import type { ParsedUpload } from '../../analytics/storage.ts'
import { arrow } from '../../collector/arrow.ts'
import { arrowSchema } from '../../collector/arrow-schema.ts'
import { emptyColumns, orderedColumns } from '../../collector/flow-columns.ts'
import { FlowFileWriter } from '../../collector/flow-file-writer.ts'
import { parseAddress, splitAddress } from '../../schemas/address.ts'
import { BATCH_METADATA_KEY, type BatchMetadata, batchFileName } from '../../schemas/batch.ts'
import type { ListenedSpan } from '../../schemas/coverage.ts'
import { FLOW, SCHEMA_VERSION } from '../../schemas/flow.ts'
import type { ParsedBatch } from '../../schemas/parse-job.ts'
import { TRAFFIC_CLASSES, type TrafficClass } from '../../schemas/protocol.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../../schemas/time.ts'

/**
 * A flow for tests: what is not given is zero, one packet of 40 bytes, a scan over TCP. Any other numeric column of
 * FLOW may be given by its name.
 */
export interface TestFlow {
  /** Unix seconds; its interval is what counts. */
  readonly time: number
  readonly src: string
  readonly dst_index?: number
  readonly protocol?: number
  readonly service_port?: number
  readonly class?: TrafficClass
  readonly packet_count?: number
  readonly byte_count?: number
  readonly [column: string]: number | string | undefined
}

const IPV4 = 4
const IPV6 = 6
const TCP = 6
const HEADER_BYTES = 40

/** The value of a physical column. */
function cellValue(flow: TestFlow, column: string): bigint {
  const given = flow[column]
  if (typeof given === 'number') return BigInt(given)
  switch (column) {
    case 'interval_start':
      return BigInt(Math.floor(flow.time / INTERVAL_SECONDS) * INTERVAL_SECONDS * MICROSECONDS)
    case 'ip_version':
      return BigInt(flow.src.includes(':') ? IPV6 : IPV4)
    case 'src_addr_high':
      return splitAddress(parseAddress(flow.src)).high
    case 'src_addr_low':
      return splitAddress(parseAddress(flow.src)).low
    case 'protocol':
      return BigInt(TCP)
    case 'class':
      return BigInt(TRAFFIC_CLASSES.indexOf(flow.class ?? 'scan'))
    case 'packet_count':
      return 1n
    case 'byte_count':
      return BigInt((flow.packet_count ?? 1) * HEADER_BYTES)
    case 'first_second':
      return BigInt(Math.floor(flow.time) % INTERVAL_SECONDS)
    default:
      return 0n
  }
}

export interface TestBatch {
  readonly sensor: string
  readonly flows: readonly TestFlow[]
  /** Default: inferred, from the first flow's time to that of the last. */
  readonly spans?: readonly ListenedSpan[]
  /** Of the key that numbered the destinations; default: not told. */
  readonly keyCheck?: string
  /** Number in the lake, as the receipt has it; default 0. */
  readonly uploadId?: number
}

/** Writes a batch file as the collector does, and says of it what the parsing child would say. */
export function writeTestBatch(out: string, { sensor, flows, spans, keyCheck }: TestBatch) {
  for (const name of flows.flatMap(flow => Object.keys(flow))) {
    if (name !== 'time' && name !== 'src' && !(name in FLOW)) throw new Error(`no column ${name} in FLOW`)
  }
  const packets = flows.reduce((sum, flow) => sum + (flow.packet_count ?? 1), 0)
  const times = flows.map(flow => flow.time * MICROSECONDS)
  const first = times.length > 0 ? times.reduce((a, b) => Math.min(a, b)) : null
  const last = times.length > 0 ? times.reduce((a, b) => Math.max(a, b)) : null
  const metadata: BatchMetadata = {
    schema_version: SCHEMA_VERSION,
    sensor,
    telescope_epoch: 1,
    ...(keyCheck === undefined ? {} : { key_check: keyCheck }),
    spans:
      spans ?? (first === null || last === null ? [] : [{ from: first, to: last + 1, basis: 'inferred', packets }]),
    flows: flows.length,
    packets_read: packets,
    packets_kept: packets,
    drops: {},
    first_packet: first,
    last_packet: last,
  }
  const schema = arrowSchema(FLOW, new Map([[BATCH_METADATA_KEY, JSON.stringify(metadata)]]))
  const writer = new arrow.RecordBatchStreamWriter()
  for (let from = 0; from < flows.length; from += ROWS_PER_RECORD_BATCH) {
    const part = flows.slice(from, from + ROWS_PER_RECORD_BATCH)
    const children = schema.fields.map(({ name, type }) =>
      arrow.makeData({ type, length: part.length, nullCount: 0, data: columnValues(type, name, part) }),
    )
    const data = arrow.makeData({ type: new arrow.Struct(schema.fields), length: part.length, nullCount: 0, children })
    writer.write(new arrow.RecordBatch(schema, data))
  }
  if (flows.length === 0) writer.reset(undefined, schema)
  writer.finish()
  const bytes = writer.toUint8Array(true)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const path = join(out, batchFileName(sha256))
  writeFileSync(path, bytes)
  return { path, sha256, metadata }
}

/** Small, so that ordinary tests cross record batches. */
const ROWS_PER_RECORD_BATCH = 3000

function columnValues(type: DataType, name: string, flows: readonly TestFlow[]) {
  const values = new type.ArrayType(flows.length)
  const wide = values instanceof BigUint64Array || values instanceof BigInt64Array
  flows.forEach((flow, row) => {
    const value = cellValue(flow, name)
    values[row] = wide ? value : Number(value)
    if (BigInt(values[row]) !== value) throw new Error(`${name}: ${value} does not fit ${type}`)
  })
  return values
}

/** What the parsing child leaves of a batch. */
function writeParsed(out: string, metadata: BatchMetadata, flows: readonly TestFlow[], uploadId: number): ParsedBatch {
  const columns = orderedColumns(emptyColumns())
  const writer = new FlowFileWriter(out, metadata, uploadId)
  for (let from = 0; from < flows.length; from += ROWS_PER_RECORD_BATCH) {
    const part = flows.slice(from, from + ROWS_PER_RECORD_BATCH)
    for (const { name: column, values } of columns) {
      const wide = values instanceof BigUint64Array || values instanceof BigInt64Array
      part.forEach((flow, row) => {
        const value = cellValue(flow, column)
        values[row] = wide ? value : Number(value)
      })
    }
    writer.writeRows(columns, part.length)
  }
  return writer.finish()
}

/** The upload whose only batch this is; its identity is the hash of the batch. */
export function testUpload(out: string, batch: TestBatch): ParsedUpload {
  const { sha256, metadata } = writeTestBatch(out, batch)
  return {
    sensor: batch.sensor,
    sha256,
    content_sha256: sha256,
    duplicate_of: null,
    batches: [writeParsed(out, metadata, batch.flows, batch.uploadId ?? 0)],
    packets_read: metadata.packets_read,
    packets_kept: metadata.packets_kept,
    drops: {},
    first_packet: metadata.first_packet,
    last_packet: metadata.last_packet,
    error: null,
  }
}
