import { rm } from 'node:fs/promises'
import type { NumberedReceipt, Storage } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { DataFolder } from './data-folder.ts'
import { contentBytes, type DiskSpace, hasRoomToCount } from './disk-reserve.ts'
import type { Inbox } from './inbox.ts'
import type { ParsePool } from './parse-pool.ts'
import { ParseRounds } from './parse-rounds.ts'
import { type Candidate, UploadParser } from './upload-parser.ts'

/** Uploads of one commit. Bounds what a crash repeats and how long the first of a group waits. */
const GROUP_UPLOADS_MAX = 64
/** Of content, decompressed. */
const GROUP_BYTES_MAX = 256 * 2 ** 20
/** Groups start at least this far apart, so that few small files reach the lake; a group costs the same with one upload. */
const GROUP_MILLISECONDS_MIN = 500
/** So far when many are received: each of them still waits less than is promised. */
const GROUP_MILLISECONDS_BUSY = 3000
/** What many are. Somebody who sends one file after the other has seen each counted before the next. */
const BUSY_UPLOADS = 20
const BUSY_MILLISECONDS = 10_000
/** A group with so many flows makes no small file: the next need not wait. */
const GROUP_FLOWS_LARGE = 65_536
/** An upload that cannot be counted this often, while others can, is at fault itself. */
const COUNT_TRIES_MAX = 3
/** Where nothing else comes that could be counted, the machine may be at fault, for so long. */
const MACHINE_MILLISECONDS = 15 * 60_000
/** How long to wait when the disk is full or the catalog refuses: longer each time, until it works again. */
const RETRY_MILLISECONDS = [1000, 2000, 5000]

/**
 * The second of the two promises: takes what is received, parses it in children, and counts it in groups; while one
 * group is committed the next is parsed. Order and repetition do not matter; what a crash interrupts stays received
 * and is taken again. Content that was counted before adds nothing: the storage sees to that.
 */
export class Counter {
  readonly #storage: Storage
  readonly #folder: DataFolder
  readonly #space: DiskSpace
  readonly #inbox: Inbox
  readonly #pool: ParsePool
  readonly #parser: UploadParser
  readonly #rounds: ParseRounds
  readonly #onError: (error: unknown, what: string) => void
  readonly #onBroken: (error: unknown) => void
  /** How often an upload failed to be counted alone, and what was counted and when it was the first time. */
  readonly #failures = new Map<string, { readonly times: number; readonly counted: number; readonly at: number }>()
  /** Groups that were counted. */
  #counted = 0
  /** Failures in a row. */
  #retries = 0
  /** Groups of the last seconds. */
  #taken: { readonly at: number; readonly uploads: number }[] = []
  #stopping = false
  #news = false
  #wake: (() => void) | null = null
  #running: Promise<void> = Promise.resolve()

  constructor(parts: {
    storage: Storage
    folder: DataFolder
    space: DiskSpace
    inbox: Inbox
    pool: ParsePool
    /** A group could not be counted; it stays received and is tried again. */
    onError: (error: unknown, what: string) => void
    /** The storage failed for good: the hub must stop. */
    onBroken: (error: unknown) => void
  }) {
    this.#storage = parts.storage
    this.#folder = parts.folder
    this.#space = parts.space
    this.#inbox = parts.inbox
    this.#pool = parts.pool
    this.#parser = new UploadParser(parts)
    this.#rounds = new ParseRounds(this.#parser, () => this.notify())
    this.#onError = parts.onError
    this.#onBroken = parts.onBroken
  }

  /** Starts with what a former run left. */
  start(): void {
    this.#running = this.#run()
  }

  /** Something was received. */
  notify(): void {
    this.#news = true
    this.#wake?.()
  }

  /** Commits what is parsed, leaves the rest received, and resolves when nothing touches the storage any more. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#pool.close()
    this.#wake?.()
    await this.#running
  }

  async #run(): Promise<void> {
    let committing: Promise<unknown> = Promise.resolve()
    while (!this.#stopping) {
      const started = performance.now()
      this.#news = false
      const { taken, parsed } = (await this.#attempt(() => this.#parseNext())) ?? { taken: 0, parsed: [] }
      await committing
      if (parsed.length > 0) committing = this.#attempt(() => this.#commitParsed(parsed))
      if (this.#retries > 0) {
        await committing
        await this.#sleep(RETRY_MILLISECONDS[Math.min(this.#retries, RETRY_MILLISECONDS.length) - 1] ?? 0)
      } else if (taken === 0) await this.#sleep(null)
      else if (taken < GROUP_UPLOADS_MAX && flowsOf(parsed) < GROUP_FLOWS_LARGE)
        await this.#sleep(this.#pause(taken) - (performance.now() - started))
    }
    await committing
    // What was parsed last; the children have ended.
    const { parsed } = await this.#rounds.last()
    await this.#attempt(() => this.#commitParsed(parsed))
  }

  /** Milliseconds from the start of one group to that of the next. @param taken uploads of the one at hand */
  #pause(taken: number): number {
    const now = performance.now()
    this.#taken = [...this.#taken, { at: now, uploads: taken }].filter(({ at }) => at > now - BUSY_MILLISECONDS)
    const uploads = this.#taken.reduce((sum, group) => sum + group.uploads, 0)
    return uploads < BUSY_UPLOADS ? GROUP_MILLISECONDS_MIN : GROUP_MILLISECONDS_BUSY
  }

  /** Runs a step whose failure only means to try again later; then it resolves with null. */
  async #attempt<T>(step: () => Promise<T>): Promise<T | null> {
    try {
      const result = await step()
      this.#retries = 0
      return result
    } catch (error) {
      this.#retries++
      this.#onError(error, 'uploads were not counted; they stay received')
      if (error instanceof TelescopeError && error.details['fatal'] === true) this.#onBroken(error)
      return null
    }
  }

  /** Until something is received (milliseconds null), or until the time is over; never longer than the hub runs. */
  async #sleep(milliseconds: number | null): Promise<void> {
    if (this.#stopping || (milliseconds === null ? this.#news : milliseconds <= 0)) return
    await new Promise<void>(resolve => {
      const timer = milliseconds === null ? undefined : setTimeout(resolve, milliseconds)
      this.#wake = () => {
        if (milliseconds !== null && !this.#stopping) return
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = null
  }

  /** Parses the next uploads that are not yet in hand, of each sensor in turn; what cannot be read leaves the queue here. */
  async #parseNext(): Promise<{ taken: number; parsed: readonly Candidate[] }> {
    const pending = await this.#storage.pending(GROUP_UPLOADS_MAX + this.#rounds.size)
    const fresh = pending.filter(receipt => !this.#rounds.has(receipt))
    const receipts = await this.#thatFit(
      takeGroup(fresh, 2 * GROUP_UPLOADS_MAX - this.#rounds.size, this.#rounds.contentBytes),
    ).catch(async error => {
      // What is parsed already needs no room for its parsing, and gives some back.
      await this.#commitParsed((await this.#rounds.next([])).parsed)
      throw error
    })
    const { parsed, failures } = await this.#rounds.next(receipts)
    if (failures.length > 0) {
      // The others are counted all the same, unless there is no room for them either.
      await this.#commitParsed(parsed)
      throw failures[0]
    }
    return { taken: receipts.length + parsed.length, parsed }
  }

  /**
   * The group, or when the disk has no room for all of it its first upload.
   * @throws DISK_FULL when there is no room for that one either
   */
  async #thatFit(group: NumberedReceipt[]): Promise<NumberedReceipt[]> {
    for (const part of [group, group.slice(0, 1)]) {
      const bytes = part.reduce(
        (sum, { kind, byte_count }) => sum + contentBytes(kind, byte_count),
        this.#rounds.contentBytes,
      )
      if (part.length === 0 || (await hasRoomToCount(this.#folder.root, bytes, this.#space))) return part
    }
    throw new TelescopeError('DISK_FULL', 'disk of the hub is nearly full; what was received waits until there is room')
  }

  async #commitParsed(parsed: readonly Candidate[]): Promise<void> {
    try {
      await this.#commit(parsed)
    } finally {
      this.#rounds.release(parsed)
      await removeParsed(parsed)
      // What found no room beside it has its turn now.
      this.notify()
    }
  }

  async #commit(group: readonly Candidate[]): Promise<void> {
    if (group.length === 0) return
    try {
      await this.#storage.countGroup(group.map(({ upload }) => upload))
    } catch (error) {
      await this.#commitWithout(error, group)
      return
    }
    this.#counted++
    for (const { receipt } of group) this.#failures.delete(identity(receipt))
    // Counted or held, and perhaps decided about since then.
    for (const receipt of await this.#storage.readAgain(group.map(({ receipt }) => receipt))) {
      await this.#inbox.place(receipt)
    }
  }

  /** One upload must not hold up the others: the one at fault is set aside, at once when the error names it. */
  async #commitWithout(error: unknown, group: readonly Candidate[]): Promise<void> {
    const known = error instanceof TelescopeError ? error : null
    if (known?.details['fatal'] === true) throw error
    const named = known?.kind === 'input' ? group.find(({ receipt }) => isNamed(receipt, known)) : undefined
    if (named) {
      await this.#parser.quarantine(named.receipt, known!.code, known!.message)
      await this.#commit(group.filter(candidate => candidate !== named))
    } else if (group.length === 1) {
      await this.#refuse(group[0]!.receipt, error)
    } else {
      this.#onError(error, `a group of ${group.length} uploads was not counted; trying them one by one`)
      const failures: unknown[] = []
      for (const candidate of group) await this.#commit([candidate]).catch(failure => failures.push(failure))
      if (failures.length > 0) throw failures[0]
    }
  }

  /** An upload that parsed and cannot be counted: again later, since the machine may be at fault, but not for ever. */
  async #refuse(receipt: Receipt, error: unknown): Promise<void> {
    const isFull = error instanceof TelescopeError && error.code === 'DISK_FULL'
    const now = performance.now()
    const before = this.#failures.get(identity(receipt)) ?? { times: 0, counted: this.#counted, at: now }
    const times = before.times + (isFull ? 0 : 1)
    this.#failures.set(identity(receipt), { ...before, times })
    const isAtFault = this.#counted > before.counted || now - before.at >= MACHINE_MILLISECONDS
    if (times < COUNT_TRIES_MAX || !isAtFault) throw error
    this.#failures.delete(identity(receipt))
    this.#onError(error, `${receipt.kind} ${identity(receipt)} is set aside`)
    const message = `${receipt.kind} could not be counted in ${times} tries; the hub's log says why`
    await this.#parser.quarantine(receipt, 'STORAGE_FAILED', message)
  }
}

function identity({ sensor, sha256 }: Receipt): string {
  return `${sensor}/${sha256}`
}

function isNamed({ sensor, sha256 }: Receipt, { details }: TelescopeError): boolean {
  return details['sensor'] === sensor && details['sha256'] === sha256
}

function flowsOf(parsed: readonly Candidate[]): number {
  return parsed.flatMap(({ upload }) => upload.batches).reduce((sum, { metadata }) => sum + metadata.flows, 0)
}

async function removeParsed(parsed: readonly Candidate[]): Promise<void> {
  for (const { out } of parsed) await rm(out, { recursive: true, force: true })
}

/**
 * As many of the first as one commit may hold, however large the first is, unless there is enough in hand: one group is
 * parsed while another is committed.
 * @param bytesInHand of content
 */
function takeGroup(pending: readonly NumberedReceipt[], uploadsMax: number, bytesInHand: number): NumberedReceipt[] {
  const bytesMax = 2 * GROUP_BYTES_MAX - bytesInHand
  let bytes = 0
  return pending.slice(0, Math.max(0, Math.min(GROUP_UPLOADS_MAX, uploadsMax))).filter((receipt, index) => {
    bytes += contentBytes(receipt.kind, receipt.byte_count)
    return index === 0 ? bytesMax > 0 : bytes <= Math.min(GROUP_BYTES_MAX, bytesMax)
  })
}
