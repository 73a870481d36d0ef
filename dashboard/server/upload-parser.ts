import { rm, stat } from 'node:fs/promises'
import type { ParsedUpload, Storage } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { type ErrorCode, TelescopeError } from '../../schemas/errors.ts'
import type { ParseAnswer } from '../../schemas/parse-job.ts'
import { type DataFolder, inboxPath } from './data-folder.ts'
import type { Inbox } from './inbox.ts'
import type { ParsePool } from './parse-pool.ts'
import { parseUpload } from './parse-upload.ts'
import { parsedUpload } from './parsed-upload.ts'

/** An upload that can be counted. */
export interface Candidate {
  readonly receipt: Receipt
  readonly upload: ParsedUpload
  /** Folder of its batches; whoever has the candidate removes it. */
  readonly out: string
}

/** Turns received bytes into something to count, or sets them aside with the reason. */
export class UploadParser {
  readonly #storage: Storage
  readonly #folder: DataFolder
  readonly #inbox: Inbox
  readonly #pool: ParsePool

  constructor(parts: { storage: Storage; folder: DataFolder; inbox: Inbox; pool: ParsePool }) {
    this.#storage = parts.storage
    this.#folder = parts.folder
    this.#inbox = parts.inbox
    this.#pool = parts.pool
  }

  /**
   * @returns null when it is quarantined, or when the hub stops meanwhile: then it stays received
   * @throws DISK_FULL, OUTPUT_UNWRITABLE: it stays received, too
   */
  async parse(receipt: Receipt): Promise<Candidate | null> {
    const { kind } = receipt
    const input = inboxPath(this.#folder, kind, receipt.sensor, receipt.sha256)
    if ((await stat(input).catch(() => null)) === null && !(await this.#inbox.fetch(receipt))) {
      await this.quarantine(
        receipt,
        'STORAGE_FAILED',
        `${kind} is gone from the inbox of the hub; tell its coordinator`,
      )
      return null
    }
    const result = await parseUpload(this.#storage, this.#folder, this.#pool, receipt, input)
    if (result.kind === 'closed') return null
    if (result.kind === 'died') {
      await this.quarantine(
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
      if (isOfTheMachine(answer)) throw new TelescopeError(refusal!.code, 'parsing child: could not write what it read')
      // The child names the file by where it lies in the hub; that is nobody's business outside.
      await this.quarantine(receipt, refusal!.code, refusal!.message.replaceAll(input, receipt.sha256))
      return null
    }
    return { upload: parsedUpload(receipt, answer, input), receipt, out }
  }

  /** Takes an upload out of the queue for good. */
  async quarantine(receipt: Receipt, code: string, message: string): Promise<void> {
    await this.#storage.quarantine(receipt.sensor, receipt.sha256, { code, message })
    await this.#inbox.quarantine(receipt, { code, message })
  }
}

/** Why nothing of an upload can be counted; null when something can, even if it is damaged. */
export function refusalOf(answer: ParseAnswer): { code: ErrorCode; message: string } | null {
  if (!answer.ok) return answer.error
  const error = answer.capture?.error ?? null
  // What came before the refused part of a bomb would be counted again when it is sent decompressed, as it should be.
  return answer.capture?.packets_read === 0 || error?.code === 'COMPRESSION_BOMB' ? error : null
}

/** The upload is not at fault: it stays received and is tried again when there is room. */
function isOfTheMachine(answer: ParseAnswer): boolean {
  return !answer.ok && (answer.error.code === 'DISK_FULL' || answer.error.code === 'OUTPUT_UNWRITABLE')
}
