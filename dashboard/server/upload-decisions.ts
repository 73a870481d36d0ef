import type { Reopening, Storage, UploadDecision } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { Inbox } from './inbox.ts'

/**
 * What an operator decides about an upload: bytes and receipt change together. Bytes go to the inbox before the commit
 * that needs them there, and leave it after the commit; what a crash leaves in between the sweep at the next start puts
 * right by the receipt.
 */
export class UploadDecisions {
  readonly #storage: Storage
  readonly #inbox: Inbox
  readonly #onReceived: () => void
  /** One decision at a time: two about one upload would move its bytes past each other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: { storage: Storage; inbox: Inbox; onReceived: () => void }) {
    this.#storage = parts.storage
    this.#inbox = parts.inbox
    this.#onReceived = parts.onReceived
  }

  /**
   * See Storage.reopenUpload.
   * @throws NOT_FOUND, UPLOAD_STATE, UPLOAD_BYTES_GONE
   */
  reopen(action: Reopening, decision: UploadDecision): Promise<Receipt> {
    return this.#inTurn(async () => {
      const { sensor, sha256 } = decision
      await this.#storage.checkReopening(action, decision)
      const before = (await this.#storage.findReceipt(sensor, sha256))!
      if (!(await this.#inbox.fetch(before))) {
        throw new TelescopeError(
          'UPLOAD_BYTES_GONE',
          `upload ${sha256}: its bytes are no longer kept, so it cannot be counted; send them under another digest, for instance compressed`,
          { sensor, sha256 },
        )
      }
      const receipt = await this.#storage.reopenUpload(action, decision)
      this.#onReceived()
      return receipt
    })
  }

  /** See Storage.withdrawUpload, also for what it throws. */
  withdraw(decision: UploadDecision): Promise<Receipt> {
    return this.#inTurn(async () => {
      const before = await this.#storage.findReceipt(decision.sensor, decision.sha256)
      if (before?.state === 'quarantined') await this.#inbox.fetch(before)
      const receipt = await this.#storage.withdrawUpload(decision)
      await this.#inbox.place(receipt)
      // What was held for it may wait now.
      this.#onReceived()
      return receipt
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}
