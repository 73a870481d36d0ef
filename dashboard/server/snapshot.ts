import { randomBytes } from 'node:crypto'
import { copyFile, link, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Storage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { DataFolder } from './data-folder.ts'
import { checkRoomToReceive, type DiskSpace } from './disk-reserve.ts'
import type { Inbox } from './inbox.ts'

/** What moves from place to place while the hub works; it stands still while it is frozen. */
const MOVING = [join('inbox', 'captures'), join('inbox', 'batches'), join('inbox', 'quarantine')]
/** What only comes and goes. Half uploads are left out: their senders begin anew. */
const STAYING = ['captures', 'batches', 'keys', 'simulated']

const PREFIX = 'snapshot-'

/**
 * Freezes everything of one moment in a folder of its own, by second names for the same bytes: who reads it has all
 * the time in the world, and the hub goes on. The caller removes the folder.
 * @returns where it lies; laid out as a data folder, with the catalog closed
 * @throws DISK_FULL when the copy of the catalog would not leave the reserve
 */
export async function freezeData(parts: {
  storage: Storage
  folder: DataFolder
  inbox: Inbox
  space: DiskSpace
}): Promise<string> {
  const { root } = parts.folder
  const { size } = await stat(join(root, 'catalog.duckdb'))
  await checkRoomToReceive(root, 'capture', size, parts.space)
  const frozen = join(root, 'tmp', `${PREFIX}${randomBytes(6).toString('hex')}`)
  await mkdir(frozen, { recursive: true, mode: 0o700 })
  try {
    await parts.inbox.still(async () => {
      // The catalog first: the bytes of each receipt in it were there before the receipt was.
      await parts.storage.snapshot(frozen)
      for (const place of MOVING) await linkTree(join(root, place), join(frozen, place))
    })
    for (const place of STAYING) await linkTree(join(root, place), join(frozen, place))
    return frozen
  } catch (error) {
    await rm(frozen, { recursive: true, force: true })
    throw error
  }
}

/** Removes what was frozen for somebody who did not come back. */
export async function removeSnapshots({ root }: DataFolder): Promise<void> {
  const names = await readdir(join(root, 'tmp')).catch(() => [])
  for (const name of names.filter(name => name.startsWith(PREFIX))) {
    await rm(join(root, 'tmp', name), { recursive: true, force: true })
  }
}

async function linkTree(from: string, to: string): Promise<void> {
  const found = await stat(from).catch(() => null)
  if (found === null) return
  if (found.isFile()) return await linkFile(from, to)
  await mkdir(to, { recursive: true, mode: 0o700 })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const name = join(from, entry.name)
    if (entry.isDirectory()) await linkTree(name, join(to, entry.name))
    else if (entry.isFile()) await linkFile(name, join(to, entry.name))
  }
}

async function linkFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  try {
    await link(from, to)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Its retention ended, or it has moved to a place that is looked at, too.
    if (code === 'ENOENT') return
    // A file system without second names.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EMLINK') return await copyFile(from, to)
    throw new TelescopeError('OUTPUT_UNWRITABLE', `snapshot ${to} cannot be made (${code})`, { path: to }, error)
  }
}
