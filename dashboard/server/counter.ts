import { rm, stat } from 'node:fs/promises'
import type { ParsedUpload, Storage } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { ParseAnswer } from '../../schemas/parse-job.ts'
import { type DataFolder, inboxPath } from './data-folder.ts'
import type { Inbox } from './inbox.ts'
import type { ParsePool, ParseResult } from './parse-pool.ts'
import { parsedUpload } from './parsed-upload.ts'
import { readSensorKey } from './registration.ts'

/** Uploads of one commit. Bounds what a crash repeats and how long the first of a group waits. */
const GROUP_UPLOADS_MAX = 64
const GROUP_BYTES_MAX = 256 * 2 ** 20
/** Groups start at least this far apart under load, so that few small files reach the lake. */
const GROUP_MILLISECONDS_MIN = 1000
/** An upload that cannot be counted this often is at fault itself. */
const COUNT_TRIES_MAX = 3
/** How long to wait when the disk is full or the catalog refuses: longer each time, until it works again. */
const RETRY_MILLISECONDS = [1000, 5000, 15_000, 60_000]

type Candidate = { readonly upload: ParsedUpload; readonly receipt: Receipt; readonly out: string }

/**
 * The second of the two promises: takes what is received, parses it in a child, and counts it in groups. Order and
 * repetition do not matter; what a crash interrupts stays received and is taken again.
 */
export class Counter {
  readonly #storage: Storage
  readonly #folder: DataFolder
  readonly #inbox: Inbox
  readonly #pool: ParsePool
  readonly #onError: (error: unknown, what: string) => void
  readonly #onBroken: (error: unknown) => void
  /** How often an upload failed to be counted alone, by identity. */
  readonly #failures = new Map<string, number>()
  #stopping = false
  #wake: (() => void) | null = null
  #news = false
  #running: Promise<void> = Promise.resolve()

  constructor(parts: {
    storage: Storage
    folder: DataFolder
    inbox: Inbox
    pool: ParsePool
    /** A group could not be counted; it stays received and is tried again. */
    onError: (error: unknown, what: string) => void
    /** The catalog cannot even be read: the hub must stop. */
    onBroken: (error: unknown) => void
  }) {
    this.#storage = parts.storage
    this.#folder = parts.folder
    this.#inbox = parts.inbox
    this.#pool = parts.pool
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
    let failures = 0
    while (!this.#stopping) {
      const started = performance.now()
      this.#news = false
      try {
        const taken = await this.#countNext()
        failures = 0
        if (taken === 0) await this.#sleep(null)
        else if (taken < GROUP_UPLOADS_MAX) await this.#sleep(GROUP_MILLISECONDS_MIN - (performance.now() - started))
      } catch (error) {
        this.#onError(error, 'a group of uploads was not counted')
        await this.#sleep(RETRY_MILLISECONDS[Math.min(failures++, RETRY_MILLISECONDS.length - 1)]!)
      }
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

  /** @returns uploads taken out of the queue */
  async #countNext(): Promise<number> {
    const receipts = takeGroup(await this.#pending())
    if (receipts.length === 0) return 0
    const settled = await Promise.allSettled(receipts.map(receipt => this.#parse(receipt)))
    const parsed = settled.flatMap(result => (result.status === 'fulfilled' && result.value ? [result.value] : []))
    try {
      for (const result of settled) if (result.status === 'rejected') throw result.reason
      if (parsed.length > 0) await this.#commit(await this.#markDuplicates(parsed))
    } finally {
      for (const { out } of parsed) await rm(out, { recursive: true, force: true })
    }
    return receipts.length
  }

  async #pending(): Promise<Receipt[]> {
    try {
      return await this.#storage.pending(GROUP_UPLOADS_MAX)
    } catch (error) {
      this.#onBroken(error)
      throw error
    }
  }

  /** Parses one upload; one that cannot be read is quarantined here. */
  async #parse(receipt: Receipt): Promise<Candidate | null> {
    const { kind } = receipt
    const input = inboxPath(this.#folder, kind, receipt.sensor, receipt.sha256)
    if ((await stat(input).catch(() => null)) === null) {
      await this.#quarantine(
        receipt,
        'STORAGE_FAILED',
        `${kind} is gone from the inbox of the hub; tell its coordinator`,
      )
      return null
    }
    const result = await this.#parseInChild(receipt, input)
    if (result.kind === 'closed') return null
    if (result.kind === 'died') {
      await this.#quarantine(
        receipt,
        'PARSE_FAILED',
        `${kind} could not be parsed: the parsing process ${result.reason}`,
      )
      return null
    }
    const { answer, out } = result
    const refusal = refusalOf(answer)
    if (!answer.ok || refusal !== null) {
      await rm(out, { recursive: true, force: true })
      // The child names the file by where it lies in the hub; that is nobody's business outside.
      await this.#quarantine(receipt, refusal!.code, refusal!.message.replaceAll(input, receipt.sha256))
      return null
    }
    return { upload: parsedUpload(receipt, answer, input), receipt, out }
  }

  async #parseInChild({ kind, sensor, byte_count }: Receipt, input: string): Promise<ParseResult> {
    const { telescope, telescope_epoch } = await this.#sensor(sensor)
    if (kind === 'batch') return await this.#pool.parse({ kind, input, sensor, telescope_epoch }, byte_count)
    const key = await readSensorKey(this.#folder, sensor)
    return await this.#pool.parse({ kind, input, sensor, telescope, telescope_epoch, key }, byte_count)
  }

  async #sensor(name: string) {
    const sensor = await this.#storage.findSensor(name)
    if (sensor === null) throw new TelescopeError('INTERNAL', `sensor "${name}" has a receipt and is not registered`)
    return sensor
  }

  /** The same content again (as .gz, say) adds no rows, whether the first is counted already or in this very group. */
  async #markDuplicates(candidates: readonly Candidate[]): Promise<Candidate[]> {
    const firstOf = new Map<string, string>()
    const marked: Candidate[] = []
    for (const candidate of candidates) {
      const { sensor, sha256, content_sha256 } = candidate.upload
      const identity = `${sensor}/${content_sha256}`
      const first = firstOf.get(identity) ?? (await this.#storage.findContent(sensor, content_sha256))?.sha256
      if (first === undefined) firstOf.set(identity, sha256)
      marked.push(
        first === undefined
          ? candidate
          : { ...candidate, upload: { ...candidate.upload, duplicate_of: first, batches: [] } },
      )
    }
    return marked
  }

  async #commit(group: readonly Candidate[]): Promise<void> {
    try {
      await this.#storage.countGroup(group.map(({ upload }) => upload))
    } catch (error) {
      if (group.length === 1) return await this.#refuse(group[0]!.receipt, error)
      // One upload must not hold up the others: each alone, and the one at fault is set aside in the end.
      this.#onError(error, `a group of ${group.length} uploads was not counted; trying them one by one`)
      for (const candidate of group) await this.#commit([candidate])
      return
    }
    for (const { receipt } of group) {
      this.#failures.delete(`${receipt.sensor}/${receipt.sha256}`)
      await this.#inbox.settle(receipt)
    }
  }

  /** An upload that parsed and cannot be counted: tried again later, since the machine may be at fault, but not for ever. */
  async #refuse(receipt: Receipt, error: unknown): Promise<void> {
    const identity = `${receipt.sensor}/${receipt.sha256}`
    const failures = (this.#failures.get(identity) ?? 0) + 1
    const machine = error instanceof TelescopeError && error.code === 'DISK_FULL'
    if (machine || failures < COUNT_TRIES_MAX) {
      this.#failures.set(identity, machine ? failures - 1 : failures)
      throw error
    }
    this.#failures.delete(identity)
    this.#onError(error, `${receipt.kind} ${receipt.sha256} of ${receipt.sensor} is set aside`)
    await this.#quarantine(
      receipt,
      'STORAGE_FAILED',
      `${receipt.kind} could not be counted in ${failures} tries; the hub's log says why`,
    )
  }

  async #quarantine(receipt: Receipt, code: string, message: string): Promise<void> {
    await this.#storage.quarantine(receipt.sensor, receipt.sha256, { code, message })
    await this.#inbox.quarantine(receipt, { code, message })
  }
}

/** Why nothing of an upload can be counted; null when something can, even if it is damaged. */
function refusalOf(answer: ParseAnswer): { code: string; message: string } | null {
  if (!answer.ok) return answer.error
  return answer.capture !== null && answer.capture.packets_read === 0 ? answer.capture.error : null
}

/** As many of the oldest as one commit may hold; always at least one. */
function takeGroup(pending: readonly Receipt[]): Receipt[] {
  let bytes = 0
  return pending.filter((receipt, index) => {
    bytes += receipt.byte_count
    return index === 0 || bytes <= GROUP_BYTES_MAX
  })
}
