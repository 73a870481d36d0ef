import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { batchFileName } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { GONE_MAX, type GoneNumbers, type UploadSequence } from '../schemas/upload-sequence.ts'
import { readIfThere, replaceFile } from './durable-file.ts'
import { isRunning, ownProcess, type ProcessIdentity } from './process-life.ts'

interface SavedLedger {
  readonly version: 1
  /** Made with the file: a ledger that is lost begins a new numbering, under a new name. */
  readonly spool: string
  readonly owner: ProcessIdentity | null
  readonly next: number
  /** Batches that wait, by SHA-256. */
  readonly numbers: Readonly<Record<string, number>>
  /** What will never be sent, until the hub has heard of it. */
  readonly gone: readonly GoneNumbers[]
  /** Batches whose number is given up; their files go next. */
  readonly evicted: readonly string[]
}

/** Ledgers that this process has open; the owner in the file parts processes only. */
const open = new Set<string>()

/**
 * The numbers of the batches in a spool: `sequence.json`. A batch has its number on disk before it is sent for the first
 * time, and keeps it until a receipt or the hub's refusal is on disk: killed at any moment, no number is used twice and
 * none is left out without a reason.
 */
export class SequenceLedger {
  readonly #folder: string
  readonly #path: string
  #spool = ''
  #next = 1
  #numbers = new Map<string, number>()
  #gone: GoneNumbers[] = []
  #evicted: string[] = []
  /** Of the file as this process wrote it; null before. */
  #inode: bigint | null = null

  /**
   * Reads the ledger; nothing is written before there is a batch to number.
   * @throws DATA_IN_USE when another sender has it, STATE_INVALID, OUTPUT_UNWRITABLE
   */
  constructor(folder: string) {
    this.#folder = folder
    this.#path = resolve(folder, 'sequence.json')
    if (open.has(this.#path)) throw this.#inUse('this process')
    const saved = this.#read()
    if (saved?.owner && saved.owner.pid !== process.pid && isRunning(saved.owner)) {
      throw this.#inUse(`process ${saved.owner.pid}`)
    }
    this.#spool = saved?.spool ?? randomBytes(4).toString('hex')
    this.#next = saved?.next ?? 1
    this.#numbers = new Map(Object.entries(saved?.numbers ?? {}))
    this.#gone = [...(saved?.gone ?? [])]
    this.#evicted = [...(saved?.evicted ?? [])]
    open.add(this.#path)
    // It may have died between giving up the numbers and removing the files.
    for (const sha256 of this.#evicted) rmSync(join(folder, batchFileName(sha256)), { force: true })
    this.#evicted = []
  }

  /**
   * Gives each waiting batch a number, oldest first, and settles those of batches that wait no more.
   * @throws OUTPUT_UNWRITABLE, DISK_FULL, DATA_IN_USE
   */
  assign(waiting: readonly string[]): void {
    const present = new Set(waiting)
    let hasChanged = this.#inode === null && waiting.length > 0
    for (const [sha256, number] of this.#numbers) {
      if (present.has(sha256)) continue
      this.#numbers.delete(sha256)
      const reason = this.#reasonOf(sha256)
      if (reason === null) continue
      this.#addGone(number, reason)
      hasChanged = true
    }
    for (const sha256 of waiting) {
      if (this.#numbers.has(sha256)) continue
      this.#numbers.set(sha256, this.#next++)
      hasChanged = true
    }
    if (hasChanged) this.#save()
  }

  /** What the upload of a numbered batch says of itself. */
  sequenceOf(sha256: string): UploadSequence {
    const number = this.#numbers.get(sha256)
    if (number === undefined) throw new TelescopeError('INTERNAL', `batch ${sha256}: it has no number`)
    // In a loop: there may be more than a call takes arguments.
    let oldest = number
    for (const other of this.#numbers.values()) if (other < oldest) oldest = other
    return { number, spool: this.#spool, oldest, gone: this.#gone.slice(0, GONE_MAX) }
  }

  /** The hub has heard of these. */
  told(gone: readonly GoneNumbers[]): void {
    if (gone.length === 0) return
    // One that grew meanwhile is told again as a whole, which changes nothing at the hub.
    const told = new Set(gone.map(range => JSON.stringify(range)))
    this.#gone = this.#gone.filter(range => !told.has(JSON.stringify(range)))
    this.#save()
  }

  /** Gives up a batch for good: its number first, then its file. */
  evict(sha256: string): void {
    const number = this.#numbers.get(sha256)
    if (number === undefined) throw new TelescopeError('INTERNAL', `batch ${sha256}: it has no number`)
    this.#numbers.delete(sha256)
    this.#addGone(number, 'evicted')
    this.#evicted = [sha256]
    this.#save()
    rmSync(join(this.#folder, batchFileName(sha256)), { force: true })
    // Should the same batch be made again, it is another upload.
    this.#evicted = []
  }

  /** Lets another process send. */
  close(): void {
    open.delete(this.#path)
    if (this.#inode !== null && existsSync(this.#folder)) this.#save(null)
  }

  /** @returns null when the hub has it */
  #reasonOf(sha256: string): GoneNumbers['reason'] | null {
    if (existsSync(join(this.#folder, 'receipts', `${sha256}.json`))) return null
    try {
      const text = readFileSync(join(this.#folder, 'refused', `${sha256}.json`), 'utf8')
      return (JSON.parse(text) as { code?: unknown }).code === 'DIGEST_MISMATCH' ? 'damaged' : 'refused'
    } catch {
      return 'removed'
    }
  }

  #addGone(number: number, reason: GoneNumbers['reason']): void {
    const last = this.#gone.at(-1)
    if (last?.reason === reason && last.last === number - 1)
      this.#gone[this.#gone.length - 1] = { ...last, last: number }
    else this.#gone.push({ first: number, last: number, reason })
  }

  #read(): SavedLedger | null {
    const text = readIfThere(this.#path)
    if (text === null) return null
    let saved: Partial<SavedLedger> = {}
    try {
      saved = JSON.parse(text) as SavedLedger
    } catch {
      // Said below.
    }
    const numbers = Object.values(saved?.numbers ?? { missing: Number.NaN })
    const isWhole =
      saved?.version === 1 &&
      /^[0-9a-f]{8}$/.test(String(saved.spool)) &&
      [saved.next, ...numbers].every(number => Number.isSafeInteger(number) && Number(number) > 0) &&
      numbers.every(number => number < saved.next!) &&
      Array.isArray(saved.gone) &&
      Array.isArray(saved.evicted) &&
      saved.evicted.every(sha256 => /^[0-9a-f]{64}$/.test(sha256))
    if (isWhole) return saved as SavedLedger
    throw new TelescopeError(
      'STATE_INVALID',
      `numbers of the spool ${this.#path}: cannot be read; remove the file, and numbering begins anew under a new name`,
      { path: this.#path },
    )
  }

  #save(owner: ProcessIdentity | null = ownProcess()): void {
    const inode = statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.ino
    if (this.#inode !== null && inode !== this.#inode) throw this.#inUse('another process')
    const saved: SavedLedger = {
      version: 1,
      spool: this.#spool,
      owner,
      next: this.#next,
      numbers: Object.fromEntries(this.#numbers),
      gone: this.#gone,
      evicted: this.#evicted,
    }
    this.#inode = replaceFile(this.#path, `${this.#path}.${process.pid}`, `${JSON.stringify(saved)}\n`)
  }

  #inUse(who: string): TelescopeError {
    return new TelescopeError('DATA_IN_USE', `spool ${this.#folder}: ${who} sends from it; one at a time can`, {
      path: this.#folder,
    })
  }
}
