import type { ParsedUpload, Storage } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'

/** What happens to uploads, as it is durable. */
export interface UploadEvents {
  received(receipt: Receipt): void
  /** @param seconds the whole group took */
  counted(uploads: readonly ParsedUpload[], seconds: number): void
  quarantined(sensor: string, sha256: string, error: { readonly code: string; readonly message: string }): void
}

/** The storage, with somebody who is told; one place for logs and figures, so that no step needs to know of them. */
export function observeStorage(storage: Storage, events: UploadEvents): Storage {
  return {
    ...storage,
    async recordReceived(upload) {
      const recorded = await storage.recordReceived(upload)
      if (recorded.created) events.received(recorded.receipt)
      return recorded
    },
    async countGroup(uploads) {
      const started = performance.now()
      const result = await storage.countGroup(uploads)
      if (uploads.length > 0) events.counted(uploads, (performance.now() - started) / 1000)
      return result
    },
    async quarantine(sensor, sha256, error) {
      await storage.quarantine(sensor, sha256, error)
      events.quarantined(sensor, sha256, error)
    },
  }
}
