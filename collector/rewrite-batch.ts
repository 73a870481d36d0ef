import { createHash } from 'node:crypto'
import { type BatchMetadata, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { TelescopeMark } from '../schemas/telescope-mark.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { readBatchBytes } from './batch-bytes.ts'
import { parseBatchMetadata } from './batch-metadata.ts'
import { BatchReader, valueBytes } from './batch-reader.ts'
import type { BatchSink, WrittenFlows } from './batch-sink.ts'
import { checkFlows, FlowTotals } from './flow-check.ts'
import { ReceivedRows } from './received-rows.ts'

interface RewriteRequest<T extends WrittenFlows> {
  /** The batch as it was sent, plain or in gzip. */
  readonly input: string
  /** What writes it anew. */
  readonly open: (metadata: BatchMetadata) => BatchSink<T>
  readonly sensor: string
  readonly telescope_epoch: number
  /** Of the addresses that the sensor is registered with. */
  readonly telescope: TelescopeMark
}

/**
 * Reads a batch that came from outside, holds every value against what our own collector could have written, and writes
 * it anew, so that what the hub goes on to read is ours to the last byte.
 * @returns content_sha256 is that of the batch itself, however it was compressed
 * @throws BATCH_INVALID, BATCH_VERSION_UNSUPPORTED, BATCH_SENSOR_MISMATCH, BATCH_TELESCOPE_MISMATCH, BODY_TOO_LARGE, COMPRESSION_INVALID,
 *   COMPRESSION_BOMB, DISK_FULL, OUTPUT_UNWRITABLE
 */
export function rewriteBatch<T extends WrittenFlows>(request: RewriteRequest<T>): { content_sha256: string; batch: T } {
  const bytes = readBatchBytes(request.input)
  const reader = new BatchReader(bytes)
  const metadata = parseBatchMetadata(reader.metadata)
  checkOrigin(metadata, request)
  const writer = request.open(metadata)
  try {
    checkTotals(metadata, copyRows(reader, writer, metadata.flows))
  } catch (error) {
    writer.discard()
    throw error
  }
  return { content_sha256: createHash('sha256').update(bytes).digest('hex'), batch: writer.finish() }
}

function copyRows(reader: BatchReader, writer: BatchSink, flows: number): FlowTotals {
  const room = new ReceivedRows()
  const targets = room.columns.map(({ type, values }) => ({
    width: valueBytes(type),
    bytes: new Uint8Array(values.buffer),
  }))
  const totals = new FlowTotals()
  let filled = 0
  const writeOut = (): void => {
    checkFlows(room, filled, totals)
    writer.writeRows(room.columns, filled)
    filled = 0
  }
  for (let read = reader.next(); read !== null; read = reader.next()) {
    // Columns may share bytes, so that a small stream can hold very many rows.
    if (read.rowCount > flows - totals.flows - filled) invalid(`more than the ${flows} flows that the metadata says`)
    // However the sender cut its record batches, ours are full ones.
    for (let from = 0; from < read.rowCount; ) {
      const rows = Math.min(read.rowCount - from, FLOWS_PER_RECORD_BATCH - filled)
      for (const [index, { width, bytes }] of targets.entries()) {
        bytes.set(read.columns[index]!.subarray(from * width, (from + rows) * width), filled * width)
      }
      filled += rows
      from += rows
      if (filled === FLOWS_PER_RECORD_BATCH) writeOut()
    }
  }
  if (filled > 0) writeOut()
  return totals
}

function checkOrigin(
  metadata: BatchMetadata,
  { sensor, telescope_epoch, telescope }: Pick<RewriteRequest<never>, 'sensor' | 'telescope_epoch' | 'telescope'>,
): void {
  if (metadata.sensor !== sensor) {
    throw new TelescopeError(
      'BATCH_SENSOR_MISMATCH',
      `batch: it is of sensor "${metadata.sensor}", and "${sensor}" sends it; send it with the key or token of "${metadata.sensor}"`,
      { expected: sensor, actual: metadata.sensor },
    )
  }
  if (metadata.telescope_epoch !== telescope_epoch) {
    invalid(`telescope epoch ${metadata.telescope_epoch}, the sensor is in ${telescope_epoch}`)
  }
  if (metadata.telescope) checkTelescope(metadata.telescope, telescope, sensor)
}

/** Rates are taken over the registered addresses: with others they would be wrong, and nothing would show it. */
function checkTelescope(actual: TelescopeMark, expected: TelescopeMark, sensor: string): void {
  if (actual.ipv4_addr_count === expected.ipv4_addr_count && actual.check === expected.check) return
  const [counted, registered] = [actual.ipv4_addr_count, expected.ipv4_addr_count]
  const others =
    counted === registered ? 'other addresses than those' : `${counted} IPv4 addresses, not the ${registered}`
  throw new TelescopeError(
    'BATCH_TELESCOPE_MISMATCH',
    `batch: it was collected for ${others} that sensor "${sensor}" is registered with; collect again with the registered prefixes, or have the coordinator correct them (hirundo sensor change) and retry this upload`,
    { sensor, expected: registered, actual: counted },
  )
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

function invalid(what: string): never {
  throw new TelescopeError('BATCH_INVALID', `batch: ${what}`)
}
