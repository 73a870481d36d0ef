import type { Storage } from '../../analytics/storage.ts'
import type { DataFolder } from './data-folder.ts'
import { type DiskSpace, hasRoomToCount } from './disk-reserve.ts'
import type { UpkeepJob } from './upkeep.ts'

/** Bytes that a step of merging lake files may need beside the old ones, with what a sort spills. */
const STEP_BYTES = 512 * 2 ** 20

/** What a hub does for its data by itself. */
export function upkeepJobs(storage: Storage, folder: DataFolder, space: DiskSpace): UpkeepJob[] {
  return [
    {
      name: 'merging lake files',
      everyMilliseconds: 10_000,
      async step(signal) {
        // Uploads come first: below the reserve only what frees room goes on.
        if (!(await hasRoomToCount(folder.root, STEP_BYTES, space))) return false
        return (await storage.compactStep(signal)) !== null
      },
    },
    {
      name: 'removing lake files that were replaced',
      everyMilliseconds: 60_000,
      async step() {
        await storage.removeRetired()
        return false
      },
    },
    {
      name: 'sorting the keys of receipts',
      everyMilliseconds: 600_000,
      async step() {
        await storage.mergeReceiptKeys()
        return false
      },
    },
  ]
}
