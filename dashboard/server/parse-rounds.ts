import type { NumberedReceipt } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { contentBytes } from './disk-reserve.ts'
import type { Candidate, UploadParser } from './upload-parser.ts'

/** So long a round waits for what was begun in it. */
const STRAGGLER_MILLISECONDS = 2000

/** What a round has brought; parsed uploads stay in hand until `release`. */
interface Round {
  readonly parsed: readonly Candidate[]
  /** Why some stay received, which are tried again. */
  readonly failures: readonly unknown[]
}

/**
 * Uploads on their way through the parsing children. A round gives all that was begun in it, and what is left of earlier
 * ones; what takes long comes with a later round, so that it holds up nothing else.
 */
export class ParseRounds {
  readonly #parser: UploadParser
  readonly #onEnd: () => void
  /** Parsed now or parsed and not released, and the bytes of their content; they still are pending in the catalog. */
  readonly #inHand = new Map<string, number>()
  readonly #underWay = new Set<Promise<void>>()
  #parsed: Candidate[] = []
  #failures: unknown[] = []

  /** @param onEnd is told of each upload that has ended, well or not */
  constructor(parser: UploadParser, onEnd: () => void) {
    this.#parser = parser
    this.#onEnd = onEnd
  }

  /** Uploads in hand. */
  get size(): number {
    return this.#inHand.size
  }

  /** Bytes of content of those. */
  get contentBytes(): number {
    return [...this.#inHand.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  has(receipt: Receipt): boolean {
    return this.#inHand.has(identity(receipt))
  }

  /** Begins to parse uploads that are not in hand. Resolves when all of them have ended, or after a while. */
  async next(receipts: readonly NumberedReceipt[]): Promise<Round> {
    const all = Promise.all(receipts.map(receipt => this.#begin(receipt)))
    const { promise: isLate, cancel } = timer(STRAGGLER_MILLISECONDS)
    await Promise.race([all, isLate])
    cancel()
    return this.#take()
  }

  /** Resolves when nothing is under way, with all that is left. */
  async last(): Promise<Round> {
    await Promise.all(this.#underWay)
    return this.#take()
  }

  /** They were counted, or may be taken again. */
  release(parsed: readonly Candidate[]): void {
    for (const { receipt } of parsed) this.#inHand.delete(identity(receipt))
  }

  #begin(receipt: NumberedReceipt): Promise<void> {
    this.#inHand.set(identity(receipt), contentBytes(receipt.kind, receipt.byte_count))
    const parsing = this.#parse(receipt).finally(() => {
      this.#underWay.delete(parsing)
      this.#onEnd()
    })
    this.#underWay.add(parsing)
    return parsing
  }

  async #parse(receipt: NumberedReceipt): Promise<void> {
    try {
      const candidate = await this.#parser.parse(receipt)
      if (candidate) this.#parsed.push(candidate)
      else this.#inHand.delete(identity(receipt))
    } catch (error) {
      this.#failures.push(error)
      this.#inHand.delete(identity(receipt))
    }
  }

  #take(): Round {
    const round = { parsed: this.#parsed, failures: this.#failures }
    this.#parsed = []
    this.#failures = []
    return round
  }
}

function timer(milliseconds: number): { promise: Promise<void>; cancel(): void } {
  let timeout: NodeJS.Timeout | undefined
  const promise = new Promise<void>(resolve => {
    timeout = setTimeout(resolve, milliseconds)
  })
  return { promise, cancel: () => clearTimeout(timeout) }
}

function identity({ sensor, sha256 }: Receipt): string {
  return `${sensor}/${sha256}`
}
