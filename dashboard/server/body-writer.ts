import type { Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { BATCH_BYTES_MAX, CAPTURE_BYTES_MAX } from '../../schemas/batch.ts'
import type { UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { checkRoomToReceive, type DiskSpace, diskFull } from './disk-reserve.ts'

/** A larger upload is refused. */
export const UPLOAD_BYTES_MAX: Readonly<Record<UploadKind, number>> = {
  capture: CAPTURE_BYTES_MAX,
  batch: BATCH_BYTES_MAX,
}
/** What to do about a larger one. */
const SMALLER: Readonly<Record<UploadKind, string>> = {
  capture: 'split it (editcap -c PACKETS FILE PART.pcap) and send the parts',
  batch: 'let hirundo collect make smaller ones (--batch-seconds)',
}
/** Free space is looked at again after this many bytes; far below any sensible reserve. */
const DISK_CHECK_BYTES = 16 * 2 ** 20

/** Writes bodies of one upload to its file, one behind the other. */
export class BodyWriter {
  readonly #file: FileHandle
  readonly #kind: UploadKind
  readonly #folder: string
  readonly #space: DiskSpace
  /** Of all bytes up to `position`; whoever made the writer may read it. */
  readonly #hash: Hash | null
  #position: number
  #nextCheck: number

  constructor(parts: {
    file: FileHandle
    /** Where in the file the first byte goes. */
    position: number
    kind: UploadKind
    folder: string
    space: DiskSpace
    hash: Hash | null
  }) {
    this.#file = parts.file
    this.#position = parts.position
    this.#kind = parts.kind
    this.#folder = parts.folder
    this.#space = parts.space
    this.#hash = parts.hash
    this.#nextCheck = parts.position + DISK_CHECK_BYTES
  }

  /** Bytes of the upload that are written whole and in the hash; not yet synced. */
  get position(): number {
    return this.#position
  }

  /**
   * Writes a body to its end. What was written before an error stays written.
   * @param onWritten is awaited after each piece
   * @throws BODY_TOO_LARGE, DISK_FULL, BODY_CUT_SHORT
   */
  async write(
    body: Readable,
    contentLength: number | null,
    onWritten: (position: number) => Promise<void> | void = () => {},
  ): Promise<void> {
    const from = this.#position
    try {
      // The body is left as it is on an error: destroying it would close the connection before the answer is sent.
      for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        const end = this.#position + chunk.length
        if (end > UPLOAD_BYTES_MAX[this.#kind]) throw bodyTooLarge(this.#kind, end)
        if (end > this.#nextCheck) {
          await checkRoomToReceive(this.#folder, this.#kind, chunk.length, this.#space)
          this.#nextCheck = end + DISK_CHECK_BYTES
        }
        await this.#writeAll(chunk)
        this.#hash?.update(chunk)
        this.#position = end
        await onWritten(end)
      }
    } catch (error) {
      throw bodyError(error, this.#position - from, contentLength)
    }
  }

  async #writeAll(chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length; ) {
      const { bytesWritten } = await this.#file.write(chunk, offset, chunk.length - offset, this.#position + offset)
      offset += bytesWritten
    }
  }
}

export function bodyEmpty(): TelescopeError {
  return new TelescopeError('BODY_EMPTY', 'body is empty; send the file itself, with curl: --upload-file FILE')
}

export function bodyTooLarge(kind: UploadKind, bytes: number): TelescopeError {
  const limit = UPLOAD_BYTES_MAX[kind]
  return new TelescopeError(
    'BODY_TOO_LARGE',
    `${kind} has ${bytes} bytes or more, at most ${limit} are taken; ${SMALLER[kind]}`,
    { bytes, limit },
  )
}

/** What an error of a body or of its file means to whoever sends it. */
export function bodyError(error: unknown, received: number, expected: number | null): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull('disk of the hub is full', {}, error)
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR') {
    return new TelescopeError(
      'BODY_CUT_SHORT',
      `connection ended after ${received} of ${expected ?? 'an unknown number of'} bytes; send the rest, or all of it where nothing was kept`,
      { received, expected },
      error,
    )
  }
  return error
}
