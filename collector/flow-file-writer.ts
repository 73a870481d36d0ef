import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { BatchMetadata } from '../schemas/batch.ts'
import { physicalColumns } from '../schemas/column.ts'
import { FLOW } from '../schemas/flow.ts'
import { flowFileName } from '../schemas/parse-job.ts'
import type { BatchSink, WrittenFlows } from './batch-sink.ts'
import type { FlowColumn } from './flow-columns.ts'
import { ParquetWriter } from './parquet-writer.ts'

/**
 * The flows of a batch as the hub reads them: Parquet, so that its engine takes the file as it is and on all
 * processors. Nothing is made durable, since what was received is.
 */
export class FlowFileWriter implements BatchSink {
  readonly #metadata: BatchMetadata
  readonly #writer: ParquetWriter

  /** @throws OUTPUT_UNWRITABLE, DISK_FULL */
  constructor(out: string, metadata: BatchMetadata) {
    this.#metadata = metadata
    this.#writer = new ParquetWriter(join(out, flowFileName(randomBytes(8).toString('hex'))), physicalColumns(FLOW))
  }

  writeRows(columns: readonly FlowColumn[], rowCount: number): void {
    this.#writer.writeRows(
      columns.map(({ values }) => values),
      rowCount,
    )
  }

  get byteCount(): number {
    return this.#writer.byteCount
  }

  finish(): WrittenFlows {
    this.#writer.finish()
    return { path: this.#writer.path, metadata: this.#metadata }
  }

  async finishLater(): Promise<WrittenFlows> {
    return this.finish()
  }

  discard(): void {
    this.#writer.discard()
  }
}
