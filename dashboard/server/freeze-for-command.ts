import { rmSync } from 'node:fs'
import { diskSpace } from './disk-reserve.ts'
import { administer } from './hub-client.ts'
import { Inbox } from './inbox.ts'
import { freezeData } from './snapshot.ts'

/**
 * Runs work on frozen data of a hub, whether it runs or not.
 * @throws what freezing throws; NOT_FOUND when the folder is no hub's
 */
export async function withFrozenData<T>(data: string, work: (frozen: string) => Promise<T>): Promise<T> {
  const { path } = await administer<{ path: string }>(
    data,
    { method: 'POST', path: '/api/v1/snapshots' },
    async (storage, folder) => ({
      path: await freezeData({ storage, folder, inbox: new Inbox(folder, true), space: diskSpace }),
    }),
  )
  try {
    return await work(path)
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
}
