import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Data, RecordBatch, RecordBatchReader, Schema } from 'apache-arrow'
import { BATCH_BYTES_MAX, BATCH_METADATA_KEY, type BatchMetadata, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW } from '../schemas/flow.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { arrow } from './arrow.ts'
import { arrowSchema } from './arrow-schema.ts'
import { parseBatchMetadata } from './batch-metadata.ts'
import { BatchWriter, type WrittenBatch } from './batch-writer.ts'
import { type ColumnArray, FlowBlock } from './flow-block.ts'
import { checkFlows, FlowTotals } from './flow-check.ts'

export interface RewriteRequest {
  /** The batch as it was sent. */
  readonly input: string
  readonly out: string
  readonly sensor: string
  readonly telescope_epoch: number
}

/**
 * Reads a batch that came from outside, holds every value against what our own collector could have written, and writes
 * it anew, so that what the hub goes on to read is ours to the last byte. A batch of our collector comes out the same.
 * @throws BATCH_INVALID, BATCH_VERSION_UNSUPPORTED, BATCH_SENSOR_MISMATCH, BODY_TOO_LARGE, DISK_FULL, OUTPUT_UNWRITABLE
 */
export function rewriteBatch(request: RewriteRequest): { content_sha256: string; batch: WrittenBatch } {
  const size = statSync(request.input).size
  if (size > BATCH_BYTES_MAX) {
    throw new TelescopeError('BODY_TOO_LARGE', `batch: ${size} bytes, at most ${BATCH_BYTES_MAX} are read`, { size })
  }
  const bytes = readFileSync(request.input)
  const reader = readArrow(() => arrow.RecordBatchReader.from(bytes).open() as RecordBatchReader)
  checkSchema(reader.schema)
  const metadata = parseBatchMetadata(reader.schema.metadata.get(BATCH_METADATA_KEY))
  checkOrigin(metadata, request)
  const writer = new BatchWriter(request.out, metadata)
  try {
    checkTotals(metadata, copyRows(reader, writer))
  } catch (error) {
    writer.discard()
    throw error
  }
  return { content_sha256: createHash('sha256').update(bytes).digest('hex'), batch: writer.finish() }
}

function copyRows(reader: RecordBatchReader, writer: BatchWriter): FlowTotals {
  const block = new FlowBlock()
  const totals = new FlowTotals()
  let filled = 0
  const writeOut = (): void => {
    checkFlows(block, filled, totals)
    writer.writeRows(block.columns, filled)
    filled = 0
  }
  for (;;) {
    const batch = readArrow(() => (reader.next() as IteratorResult<RecordBatch>).value as RecordBatch | undefined)
    if (batch === undefined) break
    const values = block.columns.map(({ name, values: own }, index) =>
      columnValues(name, batch.data.children[index], batch.numRows, own),
    )
    // However the sender cut its record batches, ours are full ones.
    for (let from = 0; from < batch.numRows; ) {
      const rows = Math.min(batch.numRows - from, FLOWS_PER_RECORD_BATCH - filled)
      for (const [index, column] of block.columns.entries()) copy(values[index]!, from, rows, column.values, filled)
      filled += rows
      from += rows
      if (filled === FLOWS_PER_RECORD_BATCH) writeOut()
    }
  }
  if (filled > 0) writeOut()
  return totals
}

function copy(source: ColumnArray, from: number, rows: number, target: ColumnArray, at: number): void {
  // The two are of one type, which columnValues has seen to.
  ;(target as Uint8Array).set((source as Uint8Array).subarray(from, from + rows), at)
}

function columnValues(name: string, data: Data | undefined, rowCount: number, own: ColumnArray): ColumnArray {
  const values = data?.values as ColumnArray | undefined
  if (!data || !values || values.constructor !== own.constructor) invalid(`column ${name} has not the type of FLOW`)
  if (data.nullCount !== 0) invalid(`column ${name} has nulls`)
  if (data.length !== rowCount || values.length < rowCount) {
    invalid(`column ${name} has ${Math.min(data.length, values.length)} of ${rowCount} values`)
  }
  return values
}

function checkSchema(schema: Schema): void {
  const expected = arrowSchema(FLOW).fields
  const actual = schema.fields
  if (actual.length !== expected.length) {
    invalid(`${actual.length} columns, this schema version has ${expected.length}`)
  }
  for (const [index, field] of expected.entries()) {
    const other = actual[index]!
    if (other.name !== field.name || String(other.type) !== String(field.type) || other.nullable) {
      invalid(`column ${index + 1} is not ${field.name}, ${field.type}, without nulls`)
    }
  }
}

function checkOrigin(metadata: BatchMetadata, { sensor, telescope_epoch }: RewriteRequest): void {
  if (metadata.sensor !== sensor) {
    throw new TelescopeError(
      'BATCH_SENSOR_MISMATCH',
      `batch: it is of sensor ${metadata.sensor}, but ${sensor} sends it`,
      { expected: sensor, actual: metadata.sensor },
    )
  }
  if (metadata.telescope_epoch !== telescope_epoch) {
    invalid(`telescope epoch ${metadata.telescope_epoch}, the sensor is in ${telescope_epoch}`)
  }
}

function checkTotals(metadata: BatchMetadata, totals: FlowTotals): void {
  if (totals.flows !== metadata.flows) invalid(`${totals.flows} flows, the metadata says ${metadata.flows}`)
  if (totals.packets !== metadata.packets_kept) {
    invalid(`flows hold ${totals.packets} packets, the metadata says ${metadata.packets_kept}`)
  }
  const { first_packet: first, last_packet: last } = metadata
  if (first === null || last === null) return
  const interval = (time: number): number => time - (time % (INTERVAL_SECONDS * MICROSECONDS))
  if (interval(first) !== totals.firstInterval || interval(last) !== totals.lastInterval) {
    invalid('first_packet or last_packet is not in the first or last interval of the flows')
  }
}

/** What the library makes of hostile bytes is an error of the input, whatever its class. */
function readArrow<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    const message = (error instanceof Error ? error.message : String(error)).replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
    throw new TelescopeError('BATCH_INVALID', `batch: not a complete Arrow stream: ${message}`, {}, error)
  }
}

function invalid(what: string): never {
  throw new TelescopeError('BATCH_INVALID', `batch: ${what}`)
}
