import type { Storage } from '../../analytics/storage.ts'
import type { Retention } from '../../schemas/retention.ts'
import { DAY_SECONDS } from '../../schemas/time.ts'
import type { DataFolder } from './data-folder.ts'
import { type DiskSpace, hasRoomToCount } from './disk-reserve.ts'
import type { Retainer } from './retain.ts'
import type { UpkeepJob } from './upkeep.ts'

/** Bytes that a step of merging lake files may need beside the old ones, with what a sort spills. */
const STEP_BYTES = 512 * 2 ** 20

/** In the audit log: the hub by itself. */
const UPKEEP_ACTOR = 'upkeep'

/** What a hub does for its data by itself. */
export function upkeepJobs(parts: {
  storage: Storage
  folder: DataFolder
  space: DiskSpace
  retainer: Retainer
  retention: Retention
}): UpkeepJob[] {
  const { storage, folder, space, retainer, retention } = parts
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
      name: 'preparing days that are over for questions',
      everyMilliseconds: 10_000,
      async step() {
        return (await storage.closeDays()) > 0
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
      name: 'renewing the read copy for other programs',
      everyMilliseconds: 300_000,
      async step() {
        if (await hasRoomToCount(folder.root, STEP_BYTES, space)) await storage.renewReadCopy()
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
    {
      name: 'removing what is older than it is kept',
      everyMilliseconds: DAY_SECONDS * 1000,
      async step() {
        const { captures, batches } = await retainer.run(retention, { dryRun: false, actor: UPKEEP_ACTOR })
        return captures + batches > 0
      },
    },
  ]
}
