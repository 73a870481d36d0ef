import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { batchFileName } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { BatchJournal, WrittenBatch } from './batch-writer.ts'
import { fileError, readIfThere, replaceFile, syncDirectory } from './durable-file.ts'
import { type CaptureProgress, parseLiveState, type SavedState } from './live-state-text.ts'
import { isRunning, ownProcess } from './process-life.ts'
import { BATCH_TEMPORARY_FOLDER } from './unfinished-batches.ts'

/** Captures whose file is gone are remembered up to this number: one may come back under another name. */
const GONE_CAPTURES_MAX = 1000

/**
 * How far live reading has come: `SENSOR.state.json` in the output folder. It holds the packets of each capture that
 * are in batches, and the batch that was written last.
 *
 * Each packet is counted once, whenever the process is killed, because the file is replaced in one step after the bytes
 * of a batch are durable under a temporary name and before the batch gets its own. Before that step the batch does not
 * count, and its packets are read again; after it they are not, and `open` gives the batch its name if that is still
 * to be done. Nothing rests on batches being made again byte by byte: one that a signal or a quiet sensor ended is not.
 */
export class LiveState implements BatchJournal {
  /** By identity; in the order in which they were met. */
  readonly captures = new Map<string, CaptureProgress>()
  /** Batches committed in this run, and the flows and kept packets in them. */
  batches = 0
  flows = 0
  packetsKept = 0
  /** Called before a batch is committed, to bring `captures` up to the packets that it ends with. */
  onCommit: (batch: WrittenBatch) => void = () => {}
  readonly #out: string
  readonly #sensor: string
  readonly #path: string
  /** The last batch; its name may still be missing. */
  #batch: SavedState['batch'] = null
  /** Of the state file as this process wrote it. */
  #inode = 0n

  constructor(out: string, sensor: string) {
    this.#out = out
    this.#sensor = sensor
    this.#path = join(out, `${sensor}.state.json`)
  }

  /**
   * Reads the state, brings the last batch to its end, and takes the state over from the process before.
   * @throws STATE_INVALID, DATA_IN_USE, OUTPUT_UNWRITABLE, DISK_FULL
   */
  open(note: (line: string) => void): void {
    const saved = this.#read()
    if (saved !== null) {
      const { owner } = saved
      if (owner !== null && owner.pid !== process.pid && isRunning(owner))
        throw this.#inUse(`process ${owner.pid} reads`)
      for (const capture of saved.captures) this.captures.set(capture.identity, capture)
      this.#batch = saved.batch
      if (saved.batch !== null) this.#settle(saved.batch, note)
    }
    this.#sweep()
    this.#save(true)
  }

  newTemporaryName(): string {
    return `${this.#sensor}.${randomBytes(6).toString('hex')}.live`
  }

  /** @throws DATA_IN_USE, OUTPUT_UNWRITABLE, DISK_FULL */
  commit(batch: WrittenBatch, temporaryName: string): void {
    if (statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.ino !== this.#inode) {
      throw this.#inUse('another process has begun to read')
    }
    this.onCommit(batch)
    this.#batch = { sha256: batch.sha256, temporary: temporaryName }
    this.#save(true)
    this.batches++
    this.flows += batch.metadata.flows
    this.packetsKept += batch.metadata.packets_kept
  }

  /**
   * Lets another process take over; all packets must be in batches.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  close(): void {
    this.#save(false)
  }

  /** Forgets captures that are gone, but for the latest. */
  forgetGone(present: ReadonlySet<string>): void {
    let surplus = this.captures.size - present.size - GONE_CAPTURES_MAX
    for (const identity of this.captures.keys()) {
      if (surplus <= 0) return
      if (present.has(identity)) continue
      this.captures.delete(identity)
      surplus--
    }
  }

  #read(): SavedState | null {
    const text = readIfThere(this.#path)
    if (text === null) return null
    return parseLiveState(text, this.#path, this.#sensor)
  }

  /** Gives the last batch its name when that was not done, or may not have lasted. */
  #settle({ sha256, temporary }: NonNullable<SavedState['batch']>, note: (line: string) => void): void {
    const from = join(this.#out, BATCH_TEMPORARY_FOLDER, temporary)
    const isNamed = [
      batchFileName(sha256),
      join('receipts', `${sha256}.json`),
      join('refused', batchFileName(sha256)),
    ].some(name => existsSync(join(this.#out, name)))
    if (isNamed || !existsSync(from)) {
      // The temporary name goes only when the batch gets its own: so it had it, and someone took it away.
      if (!isNamed)
        note(`batch ${sha256}: neither in ${this.#out} nor among its receipts; its packets are not read again`)
      return
    }
    try {
      renameSync(from, join(this.#out, batchFileName(sha256)))
      syncDirectory(this.#out)
    } catch (error) {
      throw fileError(error, this.#out)
    }
  }

  /** Removes what earlier processes of this sensor left incomplete. */
  #sweep(): void {
    const folder = join(this.#out, BATCH_TEMPORARY_FOLDER)
    if (existsSync(folder)) {
      for (const name of readdirSync(folder)) {
        if (name.startsWith(`${this.#sensor}.`) && name.endsWith('.live')) rmSync(join(folder, name), { force: true })
      }
    }
    for (const name of readdirSync(this.#out)) {
      const pid = name.startsWith(`${this.#sensor}.state.json.`) ? name.slice(this.#sensor.length + 12) : ''
      if (/^\d+$/.test(pid)) rmSync(join(this.#out, name), { force: true })
    }
  }

  #save(isOwned: boolean): void {
    const state: SavedState = {
      version: 1,
      sensor: this.#sensor,
      owner: isOwned ? ownProcess() : null,
      batch: this.#batch,
      captures: [...this.captures.values()],
    }
    this.#inode = replaceFile(this.#path, `${this.#path}.${process.pid}`, `${JSON.stringify(state)}\n`)
  }

  #inUse(who: string): TelescopeError {
    const { pid } = process
    return new TelescopeError(
      'DATA_IN_USE',
      `state ${this.#path}: ${who} live for sensor ${this.#sensor} into this folder; one at a time can`,
      { path: this.#path, pid },
    )
  }
}
