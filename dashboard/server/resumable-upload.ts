import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, stat, unlink } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { BodyWriter, bodyEmpty, bodyTooLarge, UPLOAD_BYTES_MAX } from './body-writer.ts'
import type { DataFolder } from './data-folder.ts'
import { inboxPath } from './data-folder.ts'
import { digestMismatch } from './digest-mismatch.ts'
import { checkRoomToReceive, type DiskSpace } from './disk-reserve.ts'
import type { Receiver } from './receive.ts'
import { partPath, removeState, type UploadState, writeState } from './resumable-state.ts'
import { Turns } from './resumable-turns.ts'
import { trustedStep } from './trusted-step.ts'
import type { UploadHeaders } from './upload-headers.ts'

/** What an upload needs of the hub. */
export interface ResumableParts {
  readonly folder: DataFolder
  readonly space: DiskSpace
  readonly receiver: Receiver
  readonly onBroken: (error: unknown) => void
  /** Unix milliseconds. */
  readonly now: () => number
}

/** An upload is numbered by the request that completes it. */
export interface Append extends UploadHeaders {
  /** Upload-Offset of the request. */
  readonly offset: number
  /** Upload-Complete of the request. */
  readonly complete: boolean
  /** Upload-Length of the request. */
  readonly length: number | null
  readonly sha256: string | null
  readonly contentLength: number | null
  /** Called when the body is wanted, at most once. */
  body(): Readable
}

/** Nothing more is appended, but the client can have the answer again. */
export interface Completed {
  readonly receipt: Receipt
  readonly created: boolean
}

/** Bytes after which what has arrived of a long body is made durable and announced. */
const CHECKPOINT_BYTES = 8 * 2 ** 20

/** One upload that arrives in parts. Every offset that leaves this class is durable. */
export class ResumableUpload {
  readonly #parts: ResumableParts
  readonly #turns = new Turns()
  #state: UploadState
  /** Of the first `offset` bytes; null when they have to be read again, as after a restart. */
  #hash: Hash | null
  #isRemoved = false

  constructor(parts: ResumableParts, state: UploadState) {
    this.#parts = parts
    this.#state = state
    this.#hash = state.offset === 0 ? createHash('sha256') : null
  }

  get state(): UploadState {
    return this.#state
  }

  get isRemoved(): boolean {
    return this.#isRemoved
  }

  /** The state once nothing is appended any more; an append that is under way ends. */
  async settledState(): Promise<UploadState> {
    return await this.#turns.take(async () => {
      this.#checkThere()
      return this.#state
    })
  }

  /** Makes the files of a new upload. */
  async begin(): Promise<void> {
    const file = await open(this.#path, 'wx', 0o600)
    await file.close()
    await this.#save({})
  }

  /**
   * Brings the disk in line with the state after a crash: bytes that were never announced go; bytes that had moved
   * to the inbox and got no receipt come back.
   * @returns false when the bytes are gone, so that the upload has to begin anew
   */
  async recover(): Promise<boolean> {
    const { complete, kind, sensor, sha256, offset } = this.#state
    if (complete) return true
    if (sha256 !== null && (await this.#parts.receiver.find(sensor, sha256)) !== null) {
      await unlink(this.#path).catch(() => {})
      await this.#save({ complete: true })
      return true
    }
    if (sha256 !== null && (await sizeOf(this.#path)) === null) {
      await rename(inboxPath(this.#parts.folder, kind, sensor, sha256), this.#path).catch(() => {})
    }
    const size = await sizeOf(this.#path)
    if (size === null || size < offset) return false
    if (size === offset) return true
    const file = await open(this.#path, 'r+')
    try {
      await file.truncate(offset)
    } finally {
      await file.close()
    }
    return true
  }

  /**
   * Appends a body, and with `complete` ends the upload. An append that is under way ends first. What arrives before
   * an error stays.
   * @param onDurable is told of offsets while the body arrives
   * @returns the receipt when the upload is complete, else null
   * @throws UPLOAD_OFFSET_MISMATCH, UPLOAD_LENGTH_INCONSISTENT, QUERY_INVALID, BODY_TOO_LARGE, BODY_EMPTY,
   *   BODY_CUT_SHORT, DIGEST_MISMATCH, DISK_FULL, STORAGE_FAILED, NOT_FOUND
   */
  async append(request: Append, onDurable: (offset: number) => void): Promise<Completed | null> {
    return await this.#turns.take(async signal => {
      this.#checkThere()
      // Before anything else: a connection that was given up must not fail in a way that drops the upload.
      if (signal.aborted) throw this.#cutShort()
      this.#checkOffset(request.offset)
      if (this.#state.complete) return await this.#replay(request)
      this.#checkAnnounced(request)
      await this.#announce(request)
      await this.#write(request, signal, onDurable)
      return request.complete ? await this.#complete(request) : null
    })
  }

  /** Ends an append that is under way and forgets the upload with its bytes. */
  async remove(): Promise<void> {
    await this.#turns.take(async () => {
      this.#checkThere()
      await this.#drop()
    })
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#turns.idle()
  }

  get #path(): string {
    return partPath(this.#parts.folder.open, this.#state)
  }

  #checkThere(): void {
    if (this.#isRemoved) throw uploadNotFound()
  }

  #checkOffset(provided: number): void {
    const { offset } = this.#state
    if (provided === offset) return
    throw new TelescopeError(
      'UPLOAD_OFFSET_MISMATCH',
      `append begins at byte ${provided}, the upload is at ${offset}; go on there`,
      { expected_offset: offset, provided_offset: provided },
    )
  }

  /** What the headers already rule out; nothing is lost by it. */
  #checkAnnounced({ complete, length, sha256, contentLength }: Append): void {
    const { kind, offset } = this.#state
    const ends = contentLength === null ? null : offset + contentLength
    for (const announced of [length, complete ? ends : null]) {
      const known = this.#state.length ?? length
      if (announced !== null && known !== null && announced !== known) throw lengthInconsistent(known, announced)
    }
    const known = this.#state.length ?? length
    if (ends !== null && known !== null && ends > known) throw lengthInconsistent(known, ends)
    const most = Math.max(ends ?? 0, known ?? 0)
    if (most > UPLOAD_BYTES_MAX[kind]) throw bodyTooLarge(kind, most)
    if (this.#state.sha256 !== null && sha256 !== null && sha256 !== this.#state.sha256) {
      throw new TelescopeError(
        'QUERY_INVALID',
        `header "repr-digest" names SHA-256 ${sha256}, the upload was begun with ${this.#state.sha256}; begin another upload`,
        { header: 'repr-digest' },
      )
    }
    if (complete && (sha256 ?? this.#state.sha256) === null) {
      throw new TelescopeError(
        'QUERY_INVALID',
        'header "repr-digest" is missing: the hub completes an upload only when it can hold it against its SHA-256',
        { header: 'repr-digest' },
      )
    }
  }

  async #announce({ complete, length, sha256, contentLength }: Append): Promise<void> {
    const { offset } = this.#state
    const announced = length ?? (complete && contentLength !== null ? offset + contentLength : null)
    // Saved with the next offset, which no answer precedes.
    this.#state = {
      ...this.#state,
      length: this.#state.length ?? announced,
      sha256: this.#state.sha256 ?? sha256,
    }
    await checkRoomToReceive(this.#parts.folder.open, this.#state.kind, contentLength ?? 0, this.#parts.space)
  }

  async #write({ body, contentLength }: Append, signal: AbortSignal, onDurable: (offset: number) => void) {
    const { kind, offset, length } = this.#state
    const file = await open(this.#path, 'r+')
    try {
      const { folder, space } = this.#parts
      const hash = this.#hash
      const writer = new BodyWriter({ file, position: offset, kind, folder: folder.open, space, hash })
      const keep = async (): Promise<void> => {
        if (writer.position === this.#state.offset) return
        await trustedStep(this.#parts.onBroken, () => file.sync())
        await this.#save({ offset: writer.position, progressAt: this.#parts.now() })
      }
      try {
        await writer.write(addAbortSignal(signal, body()), contentLength, async position => {
          if (length !== null && position > length) throw lengthInconsistent(length, position)
          if (position - this.#state.offset < CHECKPOINT_BYTES) return
          await keep()
          onDurable(position)
        })
      } catch (error) {
        // The bytes are of something else than what was announced: nothing can be made of them.
        if (isBeyondRepair(error)) await this.#drop()
        else {
          // Of the piece that failed some may be written; the hash knows nothing of it.
          await trustedStep(this.#parts.onBroken, () => file.truncate(writer.position))
          await keep()
        }
        throw error
      }
      await keep()
    } finally {
      await file.close()
    }
  }

  async #complete({ sequence, clock_skew_seconds }: UploadHeaders): Promise<Completed> {
    const { sensor, kind, offset, length, sha256 } = this.#state
    if (offset === 0) {
      await this.#drop()
      throw bodyEmpty()
    }
    if (length !== null && offset !== length) throw lengthInconsistent(length, offset)
    // The digest may have come with this request, and the recovery after a crash needs it.
    await this.#save({ length: offset })
    const actual = await this.#digest()
    if (actual !== sha256) {
      await this.#drop()
      throw digestMismatch(sha256 ?? '', actual, offset)
    }
    const { receipt, created } = await this.#parts.receiver.adopt(
      { sensor, kind, sha256, sequence, clock_skew_seconds },
      this.#path,
      offset,
    )
    if (!created) await unlink(this.#path).catch(() => {})
    await this.#save({ complete: true, progressAt: this.#parts.now() })
    return { receipt, created }
  }

  async #digest(): Promise<string> {
    const kept = this.#hash
    // A digest ends its hash; should this go wrong after it, the next one reads the file.
    this.#hash = null
    if (kept !== null) return kept.digest('hex')
    const hash = createHash('sha256')
    for await (const piece of createReadStream(this.#path, { highWaterMark: 2 ** 20 })) hash.update(piece as Buffer)
    return hash.digest('hex')
  }

  /** The answer to the last append again: a client that lost it sends an empty one. */
  async #replay({ complete, contentLength, sequence }: Append): Promise<Completed> {
    const { sensor, sha256 } = this.#state
    if (!complete || contentLength !== 0) {
      throw new TelescopeError('QUERY_INVALID', 'upload is complete; nothing can be appended to it any more')
    }
    const receipt = await this.#parts.receiver.find(sensor, sha256 ?? '', sequence)
    if (receipt === null) throw new TelescopeError('INTERNAL', `upload ${this.#state.id} is complete without a receipt`)
    return { receipt, created: false }
  }

  async #save(change: Partial<UploadState>): Promise<void> {
    const state = { ...this.#state, ...change }
    await trustedStep(this.#parts.onBroken, () => writeState(this.#parts.folder.open, state))
    this.#state = state
  }

  async #drop(): Promise<void> {
    this.#isRemoved = true
    await removeState(this.#parts.folder.open, this.#state)
  }

  #cutShort(): TelescopeError {
    return new TelescopeError('BODY_CUT_SHORT', 'append was given up for a later request of the same upload')
  }
}

export function uploadNotFound(): TelescopeError {
  return new TelescopeError(
    'NOT_FOUND',
    'upload is not there: it has expired, was removed, or belongs to another sensor; begin it anew',
  )
}

function lengthInconsistent(expected: number, actual: number): TelescopeError {
  return new TelescopeError(
    'UPLOAD_LENGTH_INCONSISTENT',
    `upload was announced with ${expected} bytes, and this request makes it ${actual}; begin it anew if it has changed`,
    { expected, actual },
  )
}

function isBeyondRepair(error: unknown): boolean {
  return (
    error instanceof TelescopeError && (error.code === 'UPLOAD_LENGTH_INCONSISTENT' || error.code === 'BODY_TOO_LARGE')
  )
}

async function sizeOf(path: string): Promise<number | null> {
  const stats = await stat(path).catch(() => null)
  return stats?.size ?? null
}
