import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { BatchMetadata } from '../schemas/batch.ts'
import { physicalColumns } from '../schemas/column.ts'
import { FLOW } from '../schemas/flow.ts'
import { type ParsedBatch, parsedFileNames } from '../schemas/parse-job.ts'
import { SOURCE_HOUR, TRAFFIC_HOUR } from '../schemas/rollup.ts'
import type { BatchSink } from './batch-sink.ts'
import type { FlowColumn } from './flow-columns.ts'
import { HourSums, sumColumns } from './hour-sums.ts'
import { ParquetWriter } from './parquet-writer.ts'

/**
 * The flows of a batch as the hub reads them, and their hourly sums: Parquet, so that its engine takes the files as they
 * are and on all processors. The flows have the columns of the lake, which takes in a large file as it is. Nothing is
 * made durable, since what was received is.
 */
export class FlowFileWriter implements BatchSink<ParsedBatch> {
  readonly #batch: ParsedBatch
  readonly #flows: ParquetWriter
  readonly #sums: HourSums

  /**
   * @param uploadId number of the upload in the lake
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  constructor(out: string, metadata: BatchMetadata, uploadId: number) {
    const { path, sources, traffic } = parsedFileNames(randomBytes(8).toString('hex'))
    this.#sums = new HourSums(metadata.flows)
    this.#batch = { path: join(out, path), sources: join(out, sources), traffic: join(out, traffic), metadata }
    this.#flows = new ParquetWriter(this.#batch.path, physicalColumns(FLOW), [
      { name: 'sensor', type: 'text', value: metadata.sensor },
      { name: 'telescope_epoch', type: 'uint16', value: metadata.telescope_epoch },
      { name: 'upload_id', type: 'uint32', value: uploadId },
    ])
  }

  writeRows(columns: readonly FlowColumn[], rowCount: number): void {
    this.#flows.writeRows(
      columns.map(({ values }) => values),
      rowCount,
    )
    this.#sums.add(columns, rowCount)
  }

  get byteCount(): number {
    return this.#flows.byteCount
  }

  finish(): ParsedBatch {
    const { sources, traffic } = this.#batch
    this.#flows.finish()
    const files = [
      new ParquetWriter(sources, sumColumns(SOURCE_HOUR)),
      new ParquetWriter(traffic, sumColumns(TRAFFIC_HOUR)),
    ]
    const rows = [this.#sums.sources(), this.#sums.traffic()]
    for (const [index, file] of files.entries()) {
      for (const { columns, rowCount } of rows[index]!) file.writeRows(columns, rowCount)
      file.finish()
    }
    return this.#batch
  }

  async finishLater(): Promise<ParsedBatch> {
    return this.finish()
  }

  /** The folder goes with its job, and what is half written in it. */
  discard(): void {
    this.#flows.discard()
  }
}
