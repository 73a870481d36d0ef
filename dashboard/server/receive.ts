import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import type { NewUpload, Storage } from '../../analytics/storage.ts'
import type { Receipt, UploadKind } from '../../schemas/catalog.ts'
import type { UploadSequence } from '../../schemas/upload-sequence.ts'
import { BodyWriter, bodyEmpty, bodyError, bodyTooLarge, UPLOAD_BYTES_MAX } from './body-writer.ts'
import { type DataFolder, inboxPath, makeFolder, syncFolder } from './data-folder.ts'
import { digestMismatch, otherLength } from './digest-mismatch.ts'
import { checkRoomToReceive, type DiskSpace } from './disk-reserve.ts'
import { isRolledBack, trustedStep } from './trusted-step.ts'

/** What an upload is known by, however it arrives. */
interface UploadIdentity extends Pick<NewUpload, 'sequence' | 'clock_skew_seconds'> {
  readonly sensor: string
  readonly sha256: string
  readonly kind: UploadKind
}

interface Upload extends UploadIdentity {
  /** What the request announces; null when it does not. */
  readonly contentLength: number | null
  readonly body: Readable
}

interface Received {
  readonly receipt: Receipt
  readonly created: boolean
}

/**
 * The first of the two promises. When `receive` or `adopt` resolves, the bytes are durable under the inbox and so is
 * their receipt: data file, fsync, rename, fsync of the folder, commit in the catalog, in this order.
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
   * @param contentLength of the repetition in bytes, where it is known: it tells another file under the same digest
   * @throws DIGEST_MISMATCH, STORAGE_FAILED
   */
  async find(
    sensor: string,
    sha256: string,
    sequence: UploadSequence | null = null,
    contentLength: number | null = null,
  ): Promise<Receipt | null> {
    const earlier = await this.#storage.findReceipt(sensor, sha256)
    if (earlier !== null && contentLength !== null && contentLength !== earlier.byte_count) {
      throw otherLength(earlier, contentLength)
    }
    if (earlier !== null && sequence !== null) await this.#note(earlier, sequence)
    return earlier
  }

  async #note({ sensor, sha256, kind, byte_count }: Receipt, sequence: UploadSequence): Promise<void> {
    await trustedStep(this.#onBroken, () =>
      this.#storage.recordReceived({ sensor, sha256, kind, byte_count, sequence }),
    )
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
  async receive(upload: Upload): Promise<Received> {
    const arriving = join(this.#folder.arriving, randomUUID())
    let kept = false
    try {
      const byteCount = await this.#writeBody(upload, arriving)
      const result = await this.adopt(upload, arriving, byteCount)
      kept = result.created
      return result
    } finally {
      if (!kept) await unlink(arriving).catch(() => {})
    }
  }

  /**
   * Gives a receipt for a file that is complete, synced and has the digest that it is named by. When it is created the
   * file has moved into the inbox; when there was a receipt before, and after DISK_FULL, it is where it was.
   * @throws DISK_FULL, STORAGE_FAILED
   */
  async adopt(upload: UploadIdentity, path: string, byteCount: number): Promise<Received> {
    const identity = `${upload.sensor}/${upload.sha256}`
    const before = this.#settling.get(identity) ?? Promise.resolve()
    const settled = before.then(() => this.#settle(upload, path, byteCount))
    const ended = settled.catch(() => {})
    this.#settling.set(identity, ended)
    return await settled.finally(() => {
      if (this.#settling.get(identity) === ended) this.#settling.delete(identity)
    })
  }

  async #writeBody({ kind, sha256, body, contentLength }: Upload, path: string): Promise<number> {
    const hash = createHash('sha256')
    const file = await this.#create(path)
    try {
      const { arriving } = this.#folder
      const writer = new BodyWriter({ file, position: 0, kind, folder: arriving, space: this.#space, hash })
      await writer.write(body, contentLength)
      const byteCount = writer.position
      if (byteCount === 0) throw bodyEmpty()
      const actual = hash.digest('hex')
      if (actual !== sha256) throw digestMismatch(sha256, actual, byteCount)
      await trustedStep(this.#onBroken, () => file.sync())
      return byteCount
    } finally {
      await file.close()
    }
  }

  async #create(path: string): Promise<FileHandle> {
    try {
      return await open(path, 'wx', 0o600)
    } catch (error) {
      throw bodyError(error, 0, null)
    }
  }

  /** Gives the verified file its name and its receipt; one identity at a time, see `adopt`. */
  async #settle(upload: UploadIdentity, arriving: string, byteCount: number): Promise<Received> {
    const { sensor, sha256, kind } = upload
    // Looked for again: while this body was on its way another of the same identity may have been received, and even
    // counted and removed; a second file would then stay for ever.
    const earlier = await this.find(sensor, sha256, upload.sequence ?? null)
    if (earlier !== null) return { receipt: earlier, created: false }
    const path = inboxPath(this.#folder, kind, sensor, sha256)
    await trustedStep(this.#onBroken, async () => {
      await makeFolder(dirname(path))
      await rename(arriving, path)
      await syncFolder(dirname(path))
    })
    try {
      const { sequence = null, clock_skew_seconds = null } = upload
      const received = { sensor, sha256, kind, byte_count: byteCount, sequence, clock_skew_seconds }
      const record = () => this.#storage.recordReceived(received)
      const { receipt } = await trustedStep(this.#onBroken, record)
      this.#onReceived()
      return { receipt, created: true }
    } catch (error) {
      // After any other failure the receipt may be on disk all the same, and then it needs these bytes.
      if (isRolledBack(error)) await rename(path, arriving).catch(() => {})
      throw error
    }
  }
}
