import { createHash } from 'node:crypto'
import { closeSync, fsync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { BATCH_METADATA_KEY, type BatchMetadata, batchFileName } from '../schemas/batch.ts'
import { FLOW } from '../schemas/flow.ts'
import { arrow } from './arrow.ts'
import { arrowSchema } from './arrow-schema.ts'
import type { BatchSink, WrittenFlows } from './batch-sink.ts'
import { fileError, syncDirectory } from './durable-file.ts'
import type { FlowColumn } from './flow-columns.ts'
import { unfinishedName } from './process-mark.ts'
import { recordBatchPieces } from './record-batch.ts'
import { BATCH_TEMPORARY_FOLDER } from './unfinished-batches.ts'

export interface WrittenBatch extends WrittenFlows {
  readonly sha256: string
}

/** Keeps account of batches across crashes: told of each when its bytes are durable, before it has its name. */
export interface BatchJournal {
  /** Name for an incomplete file in BATCH_TEMPORARY_FOLDER, in use by no other. */
  newTemporaryName(): string
  /**
   * Once this has returned, the batch counts as written: should its naming fail, whoever opens the journal next makes
   * up for it.
   */
  commit(batch: WrittenBatch, temporaryName: string): void
}

/** Small pieces (message headers, padding) are joined up to this size before they are hashed and written. */
const STAGE_BYTES = 256 * 1024

/**
 * Writes one batch: the Arrow stream goes to a temporary name, is synced, and gets the name of its SHA-256 by rename.
 * Until `finish` or `finishLater` is done there is no file that a reader could take for a batch; `discard` leaves nothing behind.
 * The bytes depend on metadata and rows alone.
 */
export class BatchWriter implements BatchSink<WrittenBatch> {
  #out: string
  #temporary: string
  #descriptor: number
  #hash = createHash('sha256')
  #stage = Buffer.allocUnsafe(STAGE_BYTES)
  #staged = 0
  #byteCount = 0
  /** Writes the schema and the end of the stream. */
  #writer = new arrow.RecordBatchStreamWriter({ autoDestroy: false })
  #metadata: BatchMetadata
  #journal: BatchJournal | null
  /** True when the journal may hold the batch: from then on its bytes must stay. */
  #isCommitted = false

  /**
   * @param journal for `finish`, which then writes the batch down before it names it
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  constructor(out: string, metadata: BatchMetadata, journal: BatchJournal | null = null) {
    this.#out = out
    this.#metadata = metadata
    this.#journal = journal
    const schema = arrowSchema(FLOW, new Map([[BATCH_METADATA_KEY, JSON.stringify(metadata)]]))
    const folder = join(out, BATCH_TEMPORARY_FOLDER)
    this.#temporary = join(folder, journal?.newTemporaryName() ?? unfinishedName())
    try {
      mkdirSync(folder, { recursive: true })
      this.#descriptor = openSync(this.#temporary, 'wx', 0o644)
    } catch (error) {
      throw fileError(error, out)
    }
    this.#guard(() => this.#writer.reset(new ForwardingQueue(chunk => this.#write(chunk)), schema))
  }

  writeRows(columns: readonly FlowColumn[], rowCount: number): void {
    this.#guard(() => {
      for (const piece of recordBatchPieces(columns, rowCount)) this.#write(piece)
    })
  }

  get byteCount(): number {
    return this.#byteCount
  }

  /** Makes the batch durable under its name. */
  finish(): WrittenBatch {
    return this.#guard(() => {
      this.#end()
      fsyncSync(this.#descriptor)
      closeSync(this.#descriptor)
      const batch = this.#named()
      this.#commit(batch)
      renameSync(this.#temporary, batch.path)
      syncDirectory(this.#out)
      return batch
    })
  }

  async finishLater(): Promise<WrittenBatch> {
    try {
      this.#end()
      await promisify(fsync)(this.#descriptor)
      closeSync(this.#descriptor)
      const batch = this.#named()
      await rename(this.#temporary, batch.path)
      const folder = await open(this.#out, 'r')
      await folder.sync().finally(() => folder.close())
      return batch
    } catch (error) {
      this.discard()
      throw fileError(error, this.#out)
    }
  }

  #commit(batch: WrittenBatch): void {
    if (this.#journal === null) return
    syncDirectory(dirname(this.#temporary))
    this.#isCommitted = true
    this.#journal.commit(batch, basename(this.#temporary))
  }

  #end(): void {
    this.#writer.finish()
    this.#flushStage()
  }

  #named(): WrittenBatch {
    const sha256 = this.#hash.digest('hex')
    return { path: join(this.#out, batchFileName(sha256)), sha256, metadata: this.#metadata }
  }

  discard(): void {
    try {
      closeSync(this.#descriptor)
    } catch {
      // It is closed already when the error came after closing.
    }
    if (!this.#isCommitted) rmSync(this.#temporary, { force: true })
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.discard()
      throw fileError(error, this.#out)
    }
  }

  #write(chunk: Uint8Array): void {
    if (this.#staged + chunk.length > STAGE_BYTES) this.#flushStage()
    if (chunk.length > STAGE_BYTES) {
      this.#writeOut(chunk)
      return
    }
    this.#stage.set(chunk, this.#staged)
    this.#staged += chunk.length
  }

  #flushStage(): void {
    this.#writeOut(this.#stage.subarray(0, this.#staged))
    this.#staged = 0
  }

  #writeOut(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#byteCount += bytes.length
    // A write may be short, for instance when the disk is nearly full.
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#descriptor, bytes, written)
  }
}

/** Hands each chunk on at once instead of queueing it, so that a batch never lies in memory whole. */
class ForwardingQueue extends arrow.AsyncByteQueue {
  #forward: (chunk: Uint8Array) => void

  constructor(forward: (chunk: Uint8Array) => void) {
    super()
    this.#forward = forward
  }

  override write(value: Uint8Array): void {
    this.#forward(value)
  }
}
