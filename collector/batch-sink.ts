import type { BatchMetadata } from '../schemas/batch.ts'
import type { FlowColumn } from './flow-columns.ts'

/** Where the flows of one batch go, record batch by record batch. */
export interface BatchSink<T extends WrittenFlows = WrittenFlows> {
  /** Takes the first `rowCount` values of the columns of FLOW; the arrays may be reused afterwards. */
  writeRows(columns: readonly FlowColumn[], rowCount: number): void
  /** Bytes written so far. */
  readonly byteCount: number
  finish(): T
  /** The same without waiting for the disk; nothing else may be called meanwhile. */
  finishLater(): Promise<T>
  /** Removes what was written so far. */
  discard(): void
}

/** A file that holds the flows of a batch. */
export interface WrittenFlows {
  readonly path: string
  readonly metadata: BatchMetadata
}
