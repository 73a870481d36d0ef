import { CAPTURE_BYTES_MAX } from '../../schemas/batch.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { captureKind } from './capture-kind.ts'
import { type ChosenFile, reopenFile } from './file-access.ts'
import { sendFile } from './send-file.ts'
import { TransferRate } from './transfer-rate.ts'
import type { UploadClient } from './upload-client.ts'
import type { UploadRecord, UploadStore } from './upload-store.ts'

/**
 * - asks: by its first bytes it is no capture; a person decides
 * - queued, sending, paused
 * - file: the page was left meanwhile, and the same file must be chosen again; permission: a click is enough
 * - credential: nobody here may send for its sensor
 * - elsewhere: another tab sends it
 * - refused: will not be received as it is; received: the hub has given its receipt
 */
type UploadPhase =
  | 'asks'
  | 'queued'
  | 'sending'
  | 'paused'
  | 'file'
  | 'permission'
  | 'credential'
  | 'elsewhere'
  | 'refused'
  | 'received'

/** One file in the queue, as it is shown. */
export interface UploadItem {
  readonly id: string
  readonly sensor: string
  readonly name: string
  readonly byteCount: number
  /** Unix milliseconds. */
  readonly lastModified: number
  readonly phase: UploadPhase
  /** Bytes on their way or there. */
  readonly sent: number
  /** Bytes a second; null while unknown. */
  readonly speed: number | null
  /** What went wrong last; another attempt follows by itself while it is being sent. */
  readonly trouble: TelescopeError | null
  readonly receipt: Receipt | null
}

type MutableItem = { -readonly [K in keyof UploadItem]: UploadItem[K] }

interface Job {
  readonly item: MutableItem
  record: UploadRecord
  file: File | null
  digest: Promise<string> | null
  readonly rate: TransferRate
  /** Ends the sending under way, if any. */
  abort: AbortController
  /** Ends what outlives a pause. */
  gone: AbortController
  /** Ends a waiting before the next attempt. */
  hurry: () => void
}

interface UploadQueueParts {
  readonly store: UploadStore
  readonly client: UploadClient
  digest(file: File, signal: AbortSignal): Promise<string>
  /** Only one of the tabs of this browser sends an upload: runs `work` once no other does. */
  alone<T>(id: string, signal: AbortSignal, onElsewhere: () => void, work: () => Promise<T>): Promise<T>
  /** Something that is shown has changed. */
  onChange(): void
  /** The hub has given a receipt. */
  onReceived(): void
}

/** Files that are being sent, one after the other: a bad line is not made better by sharing it. */
export class UploadQueue {
  readonly #parts: UploadQueueParts
  #jobs: Job[] = []
  /** Sensors that can be sent for. */
  #sensors: readonly string[] = []

  constructor(parts: UploadQueueParts) {
    this.#parts = parts
  }

  get items(): readonly UploadItem[] {
    return this.#jobs.map(({ item }) => item)
  }

  /** Takes up what an earlier visit left unfinished. */
  async restore(): Promise<void> {
    for (const record of await this.#parts.store.all()) {
      if (this.#jobs.some(({ item }) => item.id === record.id)) continue
      const job = this.#add(record, null, 'file')
      if (record.handle !== null) this.#reopened(job, await reopenFile(record.handle, false))
    }
    this.#changed()
  }

  /** Whoever sends may send for these; none when nobody does. */
  allow(sensors: readonly string[]): void {
    this.#sensors = sensors
    for (const { item } of this.#jobs) {
      if (item.phase === 'credential' && sensors.includes(item.sensor)) item.phase = 'queued'
    }
    this.#changed()
  }

  /** New files for a sensor, or those that unfinished uploads wait for. */
  async add(chosen: readonly ChosenFile[], sensor: string | null): Promise<void> {
    for (const { file, handle } of chosen) {
      const same = this.#jobs.find(({ item }) => isSame(item, file) && item.phase !== 'received')
      if (same && (same.item.phase === 'file' || same.item.phase === 'permission')) {
        this.#keep(same, { handle })
        this.#reopened(same, file)
      } else if (sensor !== null && (!same || same.item.phase === 'refused')) {
        if (same) await this.cancel(same.item.id)
        const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`
        const { name, size, lastModified } = file
        const place = { url: null, durable: 0, isPaused: false, handle, addedAt: Date.now() }
        const job = this.#add({ id, sensor, name, byteCount: size, lastModified, ...place }, file, 'queued')
        const problem = sizeProblem(file)
        if (problem) this.#end(job, 'refused', problem)
        else if ((await captureKind(file).catch(() => null)) === null) job.item.phase = 'asks'
        else this.#keep(job, {})
      }
    }
    this.#changed()
  }

  pause(id: string): void {
    const job = this.#job(id)
    if (!job) return
    job.item.phase = 'paused'
    job.abort.abort()
    this.#keep(job, { isPaused: true })
    this.#changed()
  }

  /** Goes on after a pause, after a question or after a refusal; within a click, since the browser may have to ask. */
  async resume(id: string): Promise<void> {
    const job = this.#job(id)
    if (!job) return
    if (job.item.phase === 'permission' && job.record.handle !== null) {
      this.#reopened(job, await reopenFile(job.record.handle, true))
    } else if (job.file === null) job.item.phase = 'file'
    else if (job.item.phase === 'sending') job.hurry()
    else job.item.phase = 'queued'
    this.#keep(job, { isPaused: false })
    this.#changed()
  }

  /** Takes a file out; what the hub has of it is thrown away there. */
  async cancel(id: string): Promise<void> {
    const job = this.#job(id)
    if (!job) return
    const { url } = job.record
    const isOpen = url !== null && job.item.phase !== 'received'
    this.#remove(job)
    this.#changed()
    // When that fails the hub does so by itself after a while.
    if (isOpen) await this.#parts.client.cancel(url, new AbortController().signal).catch(() => {})
  }

  #job(id: string): Job | undefined {
    return this.#jobs.find(({ item }) => item.id === id)
  }

  #add(record: UploadRecord, file: File | null, phase: UploadPhase): Job {
    const { id, sensor, name, byteCount, lastModified, durable } = record
    const shown = { sent: durable, speed: null, trouble: null, receipt: null }
    const job: Job = {
      item: { id, sensor, name, byteCount, lastModified, phase, ...shown },
      record,
      file,
      digest: null,
      rate: new TransferRate(),
      abort: new AbortController(),
      gone: new AbortController(),
      hurry: () => {},
    }
    this.#jobs.push(job)
    return job
  }

  #remove(job: Job): void {
    job.abort.abort()
    job.gone.abort()
    this.#jobs = this.#jobs.filter(other => other !== job)
    void this.#parts.store.remove(job.item.id).catch(() => {})
  }

  /** Notes what has changed of what must survive a reload. */
  #keep(job: Job, change: Partial<UploadRecord>): void {
    job.record = { ...job.record, ...change }
    void this.#parts.store.put(job.record).catch(() => {})
  }

  /** A file that an unfinished upload waited for, or null when it cannot be had without a click or at all. */
  #reopened(job: Job, file: File | null): void {
    if (file !== null && isSame(job.item, file)) {
      job.file = file
      job.digest = null
      job.item.trouble = null
      job.item.phase = job.record.isPaused ? 'paused' : 'queued'
    } else job.item.phase = file === null && job.record.handle !== null ? 'permission' : 'file'
  }

  #end(job: Job, phase: 'refused' | 'received', trouble: TelescopeError | null): void {
    job.item.phase = phase
    job.item.trouble = trouble
    job.item.speed = null
    job.gone.abort()
    job.gone = new AbortController()
    job.digest = null
    job.record = { ...job.record, url: null, durable: 0 }
    void this.#parts.store.remove(job.item.id).catch(() => {})
  }

  /** Shows what has changed, and sees to it that one file is being sent while any waits. */
  #changed(): void {
    for (const job of this.#jobs) {
      if (job.item.phase === 'queued' && !this.#sensors.includes(job.item.sensor)) job.item.phase = 'credential'
    }
    if (!this.#jobs.some(({ item }) => item.phase === 'sending')) {
      const next = this.#jobs.find(({ item }) => item.phase === 'queued')
      if (next) void this.#send(next)
    }
    this.#parts.onChange()
  }

  async #send(job: Job): Promise<void> {
    const { item } = job
    job.abort = new AbortController()
    const { signal } = job.abort
    item.phase = 'sending'
    item.trouble = null
    const onElsewhere = (): void => {
      item.phase = 'elsewhere'
      this.#changed()
    }
    try {
      const receipt = await this.#parts.alone(item.id, signal, onElsewhere, () => this.#sendNow(job, signal))
      if (receipt === null) this.#remove(job)
      else {
        item.receipt = receipt
        item.sent = item.byteCount
        this.#end(job, 'received', null)
        this.#parts.onReceived()
      }
    } catch (error) {
      // Whoever aborts has said what the file is now.
      if (!signal.aborted) this.#failed(job, error)
    }
    this.#changed()
  }

  /** @returns null when another tab has finished it meanwhile */
  async #sendNow(job: Job, signal: AbortSignal): Promise<Receipt | null> {
    const { item } = job
    if (item.phase === 'elsewhere') {
      const kept = (await this.#parts.store.all()).find(record => record.id === item.id)
      if (!kept) return null
      job.record = kept
      item.phase = 'sending'
    }
    const file = job.file!
    job.digest ??= this.#parts.digest(file, job.gone.signal)
    // It is awaited when it is needed.
    job.digest.catch(() => {})
    return await sendFile({
      client: this.#parts.client,
      file,
      sensor: item.sensor,
      contentType: (await captureKind(file))?.contentType ?? 'application/octet-stream',
      url: job.record.url,
      digest: job.digest,
      signal,
      onPlace: url => this.#keep(job, { url, durable: 0 }),
      onProgress: (sent, durable) => {
        job.rate.add(performance.now(), sent)
        item.sent = sent
        item.speed = job.rate.at(performance.now())
        if (durable !== job.record.durable) this.#keep(job, { durable })
        this.#parts.onChange()
      },
      onTrouble: error => {
        item.trouble = error
        item.speed = null
        this.#parts.onChange()
      },
      wait: milliseconds =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, milliseconds)
          // The line is back, or a person does not want to wait.
          job.hurry = () => {
            clearTimeout(timer)
            resolve()
          }
          addEventListener('online', job.hurry, { once: true, signal })
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
      now: () => performance.now(),
    })
  }

  #failed(job: Job, error: unknown): void {
    const trouble = error instanceof TelescopeError ? error : new TelescopeError('INTERNAL', String(error), {}, error)
    if (trouble.code === 'CAPTURE_UNREADABLE') {
      job.file = null
      job.digest = null
      job.item.phase = 'file'
    } else if (trouble.code === 'UNAUTHENTICATED') job.item.phase = 'credential'
    else this.#end(job, 'refused', trouble)
    job.item.trouble = trouble
    job.item.speed = null
  }
}

function isSame(item: UploadItem, file: File): boolean {
  return item.name === file.name && item.byteCount === file.size && item.lastModified === file.lastModified
}

/** What the size alone forbids. */
function sizeProblem(file: File): TelescopeError | null {
  if (file.size === 0) return new TelescopeError('BODY_EMPTY', `file ${file.name} is empty; nothing was sent`)
  if (file.size <= CAPTURE_BYTES_MAX) return null
  return new TelescopeError(
    'BODY_TOO_LARGE',
    `file ${file.name} has ${file.size} bytes, at most ${CAPTURE_BYTES_MAX} are received; cut it (editcap -c) and send the parts`,
  )
}
