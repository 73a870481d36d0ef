import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { batchFileName, isBatchFileName } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { fileError, syncDirectory } from './durable-file.ts'

/**
 * The folder that `collect` fills and `send` empties:
 *   <sha256>.arrow            batches, complete and synced
 *   receipts/<sha256>.json    what the hub said last; written before the batch goes. The name is that of
 *                             the batch; the sha256 inside is of the compressed bytes, by which the hub knows it
 *   refused/<sha256>.arrow    batches that the hub will never take, with the reason beside them as .json
 */
export class Spool {
  readonly path: string
  /** Of the batches that wait, which never change: after an outage there may be many thousands. */
  #known = new Map<string, { readonly time: number; readonly bytes: number }>()

  constructor(path: string) {
    this.path = path
  }

  get exists(): boolean {
    return existsSync(this.path)
  }

  /**
   * SHA-256 of the batches that wait, oldest first.
   * @throws SPOOL_UNREADABLE
   */
  waiting(): string[] {
    let names: string[]
    try {
      names = readdirSync(this.path)
    } catch (error) {
      throw spoolError(error, this.path)
    }
    const known = new Map(names.filter(isBatchFileName).map(name => [name, this.#known.get(name) ?? this.#look(name)]))
    this.#known = known
    return [...known]
      .sort(([a, { time }], [b, other]) => time - other.time || (a < b ? -1 : 1))
      .map(([name]) => name.slice(0, 64))
  }

  batchPath(sha256: string): string {
    return join(this.path, batchFileName(sha256))
  }

  /**
   * Keeps the receipt, then removes the batch: in this order, so that a batch that is gone was received.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  settle(sha256: string, receipt: object): void {
    this.#writeJson('receipts', sha256, receipt)
    // It may have gone already when two of us run at once.
    rmSync(this.batchPath(sha256), { force: true })
  }

  /**
   * Puts a later state of a receipt in its place.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  keepReceipt(sha256: string, receipt: object): void {
    this.#writeJson('receipts', sha256, receipt)
  }

  /** Keeps at most this many receipts, the latest; the hub keeps its own for ever. */
  pruneReceipts(maximum: number): void {
    const folder = join(this.path, 'receipts')
    if (!existsSync(folder)) return
    const names = readdirSync(folder).filter(name => name.endsWith('.json'))
    if (names.length <= maximum) return
    const times = names.map(name => ({ name, time: this.#look(join('receipts', name)).time }))
    times.sort((a, b) => a.time - b.time)
    // A few more than need be, or all of them would be looked at again for the next one.
    const kept = maximum - Math.floor(maximum / 100)
    for (const { name } of times.slice(0, names.length - kept)) rmSync(join(folder, name), { force: true })
  }

  /** Bytes of a batch that waited when that was asked last, or does now; 0 when it is gone. */
  batchBytes(sha256: string): number {
    const name = batchFileName(sha256)
    return (this.#known.get(name) ?? this.#look(name)).bytes
  }

  /**
   * Puts a batch aside that the hub will never take.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL
   */
  refuse(sha256: string, reason: object): void {
    this.#writeJson('refused', sha256, reason)
    try {
      renameSync(this.batchPath(sha256), join(this.path, 'refused', batchFileName(sha256)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(error, this.path)
    }
  }

  #look(name: string): { readonly time: number; readonly bytes: number } {
    const stats = statSync(join(this.path, name), { throwIfNoEntry: false })
    return { time: stats?.mtimeMs ?? 0, bytes: stats?.size ?? 0 }
  }

  #writeJson(folder: string, sha256: string, value: object): void {
    const target = join(this.path, folder)
    const temporary = join(target, `.${randomBytes(6).toString('hex')}`)
    try {
      mkdirSync(target, { recursive: true })
      const descriptor = openSync(temporary, 'wx', 0o644)
      try {
        writeSync(descriptor, `${JSON.stringify(value)}\n`)
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
      renameSync(temporary, join(target, `${sha256}.json`))
      syncDirectory(target)
      syncDirectory(this.path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw fileError(error, target)
    }
  }
}

/** An error of the file system, met while a spool was read. */
export function spoolError(error: unknown, path: string): TelescopeError {
  if (error instanceof TelescopeError) return error
  return new TelescopeError(
    'SPOOL_UNREADABLE',
    `spool ${path}: cannot be read (${(error as Error).message})`,
    { path },
    error,
  )
}
