import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import type { NewUpload, Storage } from '../../analytics/storage.ts'
import { BATCH_BYTES_MAX, CAPTURE_BYTES_MAX } from '../../schemas/batch.ts'
import type { Receipt, UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { UploadSequence } from '../../schemas/upload-sequence.ts'
import { type DataFolder, inboxPath, makeFolder, syncFolder } from './data-folder.ts'
import { checkRoomToReceive, type DiskSpace, diskFull } from './disk-reserve.ts'

/** A larger body is refused. */
const UPLOAD_BYTES_MAX: Record<UploadKind, number> = { capture: CAPTURE_BYTES_MAX, batch: BATCH_BYTES_MAX }
/** Free space is looked at again after this many bytes; far below any sensible reserve. */
const DISK_CHECK_BYTES = 16 * 2 ** 20

export interface Upload extends Pick<NewUpload, 'sequence' | 'clock_skew_seconds'> {
  readonly sensor: string
  readonly sha256: string
  readonly kind: UploadKind
  /** What the request announces; null when it does not. */
  readonly contentLength: number | null
  readonly body: Readable
}

/**
 * The first of the two promises. When `receive` resolves, the bytes are durable under the inbox and so is their
 * receipt: data file, fsync, rename, fsync of the folder, commit in the catalog, in this order.
 */
export class Receiver {
  readonly #storage: Storage
  readonly #folder: DataFolder
  readonly #space: DiskSpace
  readonly #onReceived: () => void
  readonly #onBroken: (error: unknown) => void
  /** The last step of each identity that is on its way in; callers of one identity queue behind each other. */
  readonly #settling = new Map<string, Promise<unknown>>()

  constructor(parts: {
    storage: Storage
    folder: DataFolder
    space: DiskSpace
    /** A new upload can be counted. */
    onReceived: () => void
    /** The disk or the catalog can be trusted no more: the hub must stop and start again from what is durable. */
    onBroken: (error: unknown) => void
  }) {
    this.#storage = parts.storage
    this.#folder = parts.folder
    this.#space = parts.space
    this.#onReceived = parts.onReceived
    this.#onBroken = parts.onBroken
  }

  /**
   * The receipt of an earlier upload of the same bytes; then the body need not be sent. A number that the repetition
   * has is noted as come: it may be another than the first had.
   */
  async find(sensor: string, sha256: string, sequence: UploadSequence | null = null): Promise<Receipt | null> {
    const earlier = await this.#storage.findReceipt(sensor, sha256)
    if (earlier !== null && sequence !== null) await this.#note(earlier, sequence)
    return earlier
  }

  async #note({ sensor, sha256, kind, byte_count }: Receipt, sequence: UploadSequence): Promise<void> {
    await this.#trusted(() => this.#storage.recordReceived({ sensor, sha256, kind, byte_count, sequence }))
  }

  /**
   * Refuses what the announced length already rules out, before any byte of the body is read.
   * @throws BODY_EMPTY, BODY_TOO_LARGE, DISK_FULL
   */
  async announce(kind: UploadKind, contentLength: number | null): Promise<void> {
    if (contentLength === 0) throw bodyEmpty()
    if (contentLength !== null && contentLength > UPLOAD_BYTES_MAX[kind]) throw bodyTooLarge(kind, contentLength)
    await checkRoomToReceive(this.#folder.arriving, kind, contentLength ?? 0, this.#space)
  }

  /**
   * Takes one body in. On any error nothing of it stays. The body may be left unread then.
   * @throws BODY_EMPTY, BODY_TOO_LARGE, BODY_CUT_SHORT, DIGEST_MISMATCH, DISK_FULL, STORAGE_FAILED
   */
  async receive(upload: Upload): Promise<{ receipt: Receipt; created: boolean }> {
    const arriving = join(this.#folder.arriving, randomUUID())
    let kept = false
    try {
      const byteCount = await this.#writeBody(upload, arriving)
      const identity = `${upload.sensor}/${upload.sha256}`
      const before = this.#settling.get(identity) ?? Promise.resolve()
      const settled = before.then(() => this.#settle(upload, arriving, byteCount))
      const ended = settled.catch(() => {})
      this.#settling.set(identity, ended)
      const result = await settled.finally(() => {
        if (this.#settling.get(identity) === ended) this.#settling.delete(identity)
      })
      kept = result.created
      return result
    } finally {
      if (!kept) await unlink(arriving).catch(() => {})
    }
  }

  async #writeBody(upload: Upload, path: string): Promise<number> {
    const hash = createHash('sha256')
    let byteCount = 0
    let nextCheck = DISK_CHECK_BYTES
    const file = await this.#create(path)
    try {
      // The body is left as it is on an error: destroying it would close the connection before the answer is sent.
      for await (const chunk of upload.body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        byteCount += chunk.length
        if (byteCount > UPLOAD_BYTES_MAX[upload.kind]) throw bodyTooLarge(upload.kind, byteCount)
        if (byteCount > nextCheck) {
          await checkRoomToReceive(this.#folder.arriving, upload.kind, chunk.length, this.#space)
          nextCheck = byteCount + DISK_CHECK_BYTES
        }
        hash.update(chunk)
        await writeAll(file, chunk)
      }
      if (byteCount === 0) throw bodyEmpty()
      const actual = hash.digest('hex')
      if (actual !== upload.sha256) {
        throw new TelescopeError(
          'DIGEST_MISMATCH',
          `body has SHA-256 ${actual}, the request names ${upload.sha256}; it was changed on the way or is another file`,
          { expected: upload.sha256, actual, byte_count: byteCount },
        )
      }
      await this.#trusted(() => file.sync())
      return byteCount
    } catch (error) {
      throw wrapBodyError(error, byteCount, upload.contentLength)
    } finally {
      await file.close()
    }
  }

  async #create(path: string): Promise<FileHandle> {
    try {
      return await open(path, 'wx', 0o600)
    } catch (error) {
      throw wrapBodyError(error, 0, null)
    }
  }

  /** Gives the verified file its name and its receipt; one identity at a time, see `receive`. */
  async #settle(upload: Upload, arriving: string, byteCount: number): Promise<{ receipt: Receipt; created: boolean }> {
    const { sensor, sha256, kind } = upload
    // Looked for again: while this body was on its way another of the same identity may have been received, and even
    // counted and removed; a second file would then stay for ever.
    const earlier = await this.find(sensor, sha256, upload.sequence ?? null)
    if (earlier !== null) return { receipt: earlier, created: false }
    const path = inboxPath(this.#folder, kind, sensor, sha256)
    await this.#trusted(async () => {
      await makeFolder(dirname(path))
      await rename(arriving, path)
      await syncFolder(dirname(path))
    })
    try {
      const { sequence = null, clock_skew_seconds = null } = upload
      const received = { sensor, sha256, kind, byte_count: byteCount, sequence, clock_skew_seconds }
      const record = () => this.#storage.recordReceived(received)
      const { receipt } = await this.#trusted(record)
      this.#onReceived()
      return { receipt, created: true }
    } catch (error) {
      // After any other failure the receipt may be on disk all the same, and then it needs these bytes.
      if (isRolledBack(error)) await unlink(path).catch(() => {})
      throw error
    }
  }

  /**
   * Runs a step whose failure leaves unknown what the disk holds. A failed fsync is never tried again: the kernel may
   * have dropped the pages, and the next fsync would report success.
   */
  async #trusted<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      // The storage took the step back by itself.
      if (isRolledBack(error)) throw error
      this.#onBroken(error)
      throw new TelescopeError(
        'STORAGE_FAILED',
        'hub could not make the upload durable and stops; send it again later',
        {},
        error,
      )
    }
  }
}

function isRolledBack(error: unknown): boolean {
  return error instanceof TelescopeError && error.code === 'DISK_FULL'
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, offset)
    offset += bytesWritten
  }
}

function bodyEmpty(): TelescopeError {
  return new TelescopeError('BODY_EMPTY', 'body is empty; send the file itself, with curl: --upload-file FILE')
}

function bodyTooLarge(kind: UploadKind, bytes: number): TelescopeError {
  const limit = UPLOAD_BYTES_MAX[kind]
  return new TelescopeError(
    'BODY_TOO_LARGE',
    `${kind} has ${bytes} bytes or more, at most ${limit} are taken; split it`,
    {
      bytes,
      limit,
    },
  )
}

function wrapBodyError(error: unknown, received: number, expected: number | null): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull('disk of the hub is full', {}, error)
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR') {
    return new TelescopeError(
      'BODY_CUT_SHORT',
      `connection ended after ${received} of ${expected ?? 'an unknown number of'} bytes; nothing was kept, send it again`,
      { received, expected },
      error,
    )
  }
  return error
}
