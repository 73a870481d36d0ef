import { rm, stat } from 'node:fs/promises'
import type { NumberedReceipt, ParsedUpload, Storage } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { type ErrorCode, TelescopeError } from '../../schemas/errors.ts'
import type { ParseAnswer } from '../../schemas/parse-job.ts'
import { type DataFolder, inboxPath } from './data-folder.ts'
import type { Inbox } from './inbox.ts'
import type { ParsePool, ParseResult } from './parse-pool.ts'
import { ParseTries } from './parse-tries.ts'
import { parseUpload } from './parse-upload.ts'
import { parsedUpload } from './parsed-upload.ts'

/** A hub that ended so often while one upload was parsed is taken to have ended by it. */
const TRIES_MAX = 3
/**
 * What the hub has ended with waits so long after the start: others come first, and a hub that is killed at once again
 * has not ended by it.
 */
const SUSPECT_MILLISECONDS = 2000

/** An upload that can be counted. */
export interface Candidate {
  readonly receipt: NumberedReceipt
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
  readonly #tries: ParseTries
  /** When the first upload came; before that the hub was not ready. */
  #startedAt: number | null = null
  /** Being parsed now, but for those that are parsed alone. */
  readonly #ordinary = new Set<Promise<unknown>>()
  /** The last of those. */
  #alone: Promise<unknown> = Promise.resolve()

  constructor(parts: { storage: Storage; folder: DataFolder; inbox: Inbox; pool: ParsePool }) {
    this.#storage = parts.storage
    this.#folder = parts.folder
    this.#inbox = parts.inbox
    this.#pool = parts.pool
    this.#tries = new ParseTries(parts.folder.tries)
  }

  /**
   * @returns null when it is quarantined, when the hub stops meanwhile, or when its turn is later: then it stays received
   * @throws DISK_FULL, OUTPUT_UNWRITABLE: it stays received, too
   */
  async parse(receipt: NumberedReceipt): Promise<Candidate | null> {
    const tries = this.#tries.of(identityOf(receipt))
    if (tries >= TRIES_MAX) return await this.#giveUp(receipt, tries)
    this.#startedAt ??= performance.now()
    if (tries > 0) {
      return performance.now() - this.#startedAt < SUSPECT_MILLISECONDS ? null : await this.#parseAlone(receipt)
    }
    // What is parsed alone has nothing beside it.
    for (let alone = null; alone !== this.#alone; ) {
      alone = this.#alone
      await alone
    }
    const parsing = this.#parse(receipt)
    this.#ordinary.add(parsing)
    try {
      return await parsing
    } finally {
      this.#ordinary.delete(parsing)
    }
  }

  /** With nothing beside it, so that the hub's end can be nobody else's doing. */
  #parseAlone(receipt: NumberedReceipt): Promise<Candidate | null> {
    const others = this.#alone.then(() => Promise.allSettled([...this.#ordinary]))
    const parsing = others.then(() => this.#parse(receipt))
    this.#alone = parsing.catch(() => {})
    return parsing
  }

  async #parse(receipt: NumberedReceipt): Promise<Candidate | null> {
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
    const result = await this.#try(receipt, input)
    if (result.kind === 'closed') return null
    if (result.kind === 'died') {
      await this.quarantine(
        receipt,
        'PARSE_FAILED',
        `${kind} could not be parsed: the parsing process ${result.reason}`,
      )
      this.#tries.end(identityOf(receipt))
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

  /** A try is on disk before it begins, and gone again when the hub has survived it. */
  async #try(receipt: NumberedReceipt, input: string): Promise<ParseResult> {
    const upload = identityOf(receipt)
    const before = this.#tries.of(upload)
    let result: ParseResult | null = null
    try {
      const onTry = () => this.#tries.begin(upload)
      result = await parseUpload(this.#storage, this.#folder, this.#pool, receipt, input, onTry)
      return result
    } finally {
      // What kills the child is remembered until it is set aside.
      if (result?.kind === 'answered') this.#tries.end(upload)
      else if (result?.kind !== 'died') this.#tries.end(upload, before)
    }
  }

  async #giveUp(receipt: Receipt, tries: number): Promise<null> {
    const message = `${receipt.kind} could not be parsed: the hub ended ${tries} times meanwhile; the coordinator may try again with hirundo upload retry`
    await this.quarantine(receipt, 'PARSE_FAILED', message)
    this.#tries.end(identityOf(receipt))
    return null
  }

  /** Takes an upload out of the queue for good. */
  async quarantine(receipt: Receipt, code: string, message: string): Promise<void> {
    await this.#storage.quarantine(receipt.sensor, receipt.sha256, { code, message })
    await this.#inbox.quarantine(receipt, { code, message })
  }
}

function identityOf({ sensor, sha256 }: Receipt): string {
  return `${sensor}/${sha256}`
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
