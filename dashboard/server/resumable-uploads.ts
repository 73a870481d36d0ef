import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { UPLOAD_BYTES_MAX } from './body-writer.ts'
import { makeFolder } from './data-folder.ts'
import { checkRoomToReceive } from './disk-reserve.ts'
import { readStates, removeState, type UploadState } from './resumable-state.ts'
import { type ResumableParts, ResumableUpload, uploadNotFound } from './resumable-upload.ts'

/** Of one sensor. A sender works on one or two; more are those that it has lost track of. */
const OPEN_UPLOADS_MAX = 16
/** What the unfinished uploads of one sensor may come to take. */
const OPEN_BYTES_MAX = 2 * UPLOAD_BYTES_MAX.capture
/** An unfinished upload is dropped when nothing was appended for so long. */
const OPEN_MILLISECONDS = 24 * 3600 * 1000
/** One that was not appended to for so long makes room for a new one of its sensor. */
const IDLE_MILLISECONDS = 3600 * 1000
/** So long a client that lost the last answer can have it again here; receipts are kept for ever. */
const COMPLETE_MILLISECONDS = 3600 * 1000
const SWEEP_MILLISECONDS = 10 * 60 * 1000

interface NewUpload {
  readonly sensor: string
  readonly kind: UploadKind
  readonly length: number | null
  readonly sha256: string | null
}

/**
 * Uploads that are not finished. They lie in the data folder and outlive the hub; there are only so many of each
 * sensor, and each has an end.
 */
export class ResumableUploads {
  readonly #parts: ResumableParts
  readonly #uploads = new Map<string, ResumableUpload>()
  #timer: NodeJS.Timeout | null = null
  #expiredCount = 0

  constructor(parts: ResumableParts) {
    this.#parts = parts
  }

  /** Uploads that ended because nothing was appended for a day. */
  get expiredCount(): number {
    return this.#expiredCount
  }

  /** Unfinished uploads of all sensors. */
  get openCount(): number {
    return this.#all().filter(({ state }) => !state.complete).length
  }

  /** Takes up what a former run left, and from now on drops what has expired. Before the sweep of the inbox. */
  async recover(): Promise<void> {
    const { folder } = this.#parts
    for (const state of await readStates(folder.open)) {
      const upload = new ResumableUpload(this.#parts, state)
      if (await upload.recover()) this.#uploads.set(state.id, upload)
      else await removeState(folder.open, state)
    }
    await this.sweep()
    this.#timer = setInterval(() => void this.sweep().catch(this.#parts.onBroken), SWEEP_MILLISECONDS)
    this.#timer.unref()
  }

  /** Resolves when no upload is written to any more; the connections must be closed before. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const upload of this.#uploads.values()) await upload.idle()
  }

  /**
   * An unfinished upload of these very bytes, which the client has lost track of; null when there is none. With it no
   * client has to remember anything: the same file sent again goes on where it was.
   */
  findSame({ sensor, kind, length, sha256 }: NewUpload): ResumableUpload | null {
    if (sha256 === null) return null
    const isSame = ({ state }: ResumableUpload): boolean =>
      state.kind === kind && state.sha256 === sha256 && (length === null || state.length === length)
    return this.#openOf(sensor).find(isSame) ?? null
  }

  /** @throws BODY_TOO_LARGE through the first append; UPLOADS_TOO_MANY, DISK_FULL, STORAGE_FAILED */
  async create({ sensor, kind, length, sha256 }: NewUpload): Promise<ResumableUpload> {
    const { folder, space, now } = this.#parts
    await checkRoomToReceive(folder.open, kind, length ?? 0, space)
    const displaced = this.#makePlace(sensor, length ?? UPLOAD_BYTES_MAX[kind])
    const id = randomBytes(16).toString('hex')
    const upload = new ResumableUpload(this.#parts, {
      id,
      sensor,
      kind,
      offset: 0,
      length,
      sha256,
      complete: false,
      progressAt: now(),
    })
    // In its place before anything is waited for, so that many at once cannot all find room.
    this.#uploads.set(id, upload)
    try {
      for (const idle of displaced) await this.#remove(idle)
      await makeFolder(join(folder.open, sensor))
      await upload.begin()
      return upload
    } catch (error) {
      this.#uploads.delete(id)
      throw error
    }
  }

  /** @throws NOT_FOUND also when it is another sensor's */
  find(sensor: string, id: string): ResumableUpload {
    const upload = this.#uploads.get(id)
    if (upload === undefined || upload.isRemoved || upload.state.sensor !== sensor) throw uploadNotFound()
    return upload
  }

  /** @throws NOT_FOUND */
  async remove(sensor: string, id: string): Promise<void> {
    await this.#remove(this.find(sensor, id))
  }

  /** Seconds until it is dropped if nothing is appended. */
  maxAge({ state }: ResumableUpload): number {
    return (lifeEnd(state) - this.#parts.now()) / 1000
  }

  /** Drops what has expired. */
  async sweep(): Promise<void> {
    const now = this.#parts.now()
    for (const upload of this.#all().filter(({ state }) => lifeEnd(state) <= now)) {
      if (!upload.state.complete) this.#expiredCount++
      await this.#remove(upload)
    }
  }

  async #remove(upload: ResumableUpload): Promise<void> {
    await upload.remove()
    this.#uploads.delete(upload.state.id)
  }

  /** Those that are still there; a digest that is wrong, for one, removes an upload from within. */
  #all(): ResumableUpload[] {
    for (const [id, { isRemoved }] of this.#uploads) if (isRemoved) this.#uploads.delete(id)
    return [...this.#uploads.values()]
  }

  #openOf(sensor: string): ResumableUpload[] {
    return this.#all().filter(({ state }) => state.sensor === sensor && !state.complete)
  }

  /**
   * @returns uploads that have to go for the new one
   * @throws UPLOADS_TOO_MANY when too many are at work
   */
  #makePlace(sensor: string, bytes: number): ResumableUpload[] {
    const now = this.#parts.now()
    const open = this.#openOf(sensor).sort((a, b) => b.state.progressAt - a.state.progressAt)
    const displaced: ResumableUpload[] = []
    const taken = (): number => open.reduce((sum, upload) => sum + bytesAtMost(upload.state), bytes)
    while (open.length >= OPEN_UPLOADS_MAX || taken() > OPEN_BYTES_MAX) {
      const oldest = open.at(-1)
      if (oldest === undefined || now - oldest.state.progressAt < IDLE_MILLISECONDS) {
        throw new TelescopeError(
          'UPLOADS_TOO_MANY',
          `sensor "${sensor}" has ${open.length} unfinished uploads, at most ${OPEN_UPLOADS_MAX} of ${OPEN_BYTES_MAX} bytes together are kept; finish or DELETE one`,
          { sensor, open: open.length, limit: OPEN_UPLOADS_MAX, limit_bytes: OPEN_BYTES_MAX },
        )
      }
      open.pop()
      displaced.push(oldest)
    }
    return displaced
  }
}

function lifeEnd({ complete, progressAt }: UploadState): number {
  return progressAt + (complete ? COMPLETE_MILLISECONDS : OPEN_MILLISECONDS)
}

function bytesAtMost({ kind, length }: UploadState): number {
  return length ?? UPLOAD_BYTES_MAX[kind]
}
