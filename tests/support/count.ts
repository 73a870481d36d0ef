import type { ParsedUpload, Storage } from '../../analytics/storage.ts'

/** Records and counts uploads as the hub does: receipts first, then one group. */
export async function receiveAndCount(storage: Storage, uploads: readonly ParsedUpload[]): Promise<void> {
  for (const { sensor, sha256 } of uploads) {
    await storage.recordReceived({ sensor, sha256, kind: 'batch', byte_count: 1000 })
  }
  await storage.countGroup(uploads)
}
