import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { commandLine } from './instructions.ts'

/** Where everything of one hub lies. Created for the owner alone: raw captures hold the dark addresses. */
export interface DataFolder {
  readonly root: string
  readonly keys: string
  /** Raw captures that are counted and kept. */
  readonly captures: string
  /** Batches that are counted and kept. */
  readonly batches: string
  /** Bodies on their way in; worth nothing after a restart. */
  readonly arriving: string
  /** Uploads that come in parts; outlives a restart. */
  readonly open: string
  /** What the parsing child writes; worth nothing after a restart. */
  readonly parsed: string
  /** Journal of what is being parsed; outlives a restart. */
  readonly tries: string
  readonly quarantine: string
  /** The coordinator's door: whoever may open it administers the hub. */
  readonly socket: string
}

const SIMULATED_MARK = 'simulated'

/** Linux and macOS refuse a longer socket path (sun_path of 108 and 104 bytes with its end mark). */
const SOCKET_PATH_BYTES_MAX = 103

/**
 * Makes what is missing, mode 0700.
 * @throws OUTPUT_UNWRITABLE
 */
export function openDataFolder(path: string): DataFolder {
  const folder = dataFolder(path)
  try {
    const { root, keys, captures, batches, arriving, open: unfinished, parsed, quarantine } = folder
    for (const part of [root, keys, captures, batches, arriving, unfinished, parsed, quarantine]) {
      mkdirSync(part, { recursive: true, mode: 0o700 })
    }
  } catch (error) {
    throw new TelescopeError(
      'OUTPUT_UNWRITABLE',
      `data folder ${folder.root} cannot be made (${(error as NodeJS.ErrnoException).code}); choose another with --data`,
      { path: folder.root },
      error,
    )
  }
  return folder
}

/** The places below a data folder, without touching the disk. */
export function dataFolder(path: string): DataFolder {
  const root = resolve(path)
  const socket = join(root, 'hub.sock')
  if (process.platform !== 'win32' && Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
    throw new TelescopeError(
      'OUTPUT_UNWRITABLE',
      `data folder ${root} has too long a path for the socket in it (${Buffer.byteLength(socket)} bytes, at most ${SOCKET_PATH_BYTES_MAX}); choose a shorter one`,
      { path: root },
    )
  }
  return {
    root,
    keys: join(root, 'keys'),
    captures: join(root, 'captures'),
    batches: join(root, 'batches'),
    arriving: join(root, 'inbox', 'tmp'),
    open: join(root, 'inbox', 'open'),
    parsed: join(root, 'inbox', 'parsed'),
    tries: join(root, 'inbox', 'tries'),
    quarantine: join(root, 'inbox', 'quarantine'),
    socket,
  }
}

/**
 * Refuses a folder without a catalog: only `serve` and `demo` make a hub, so that a slip of --data makes none.
 * @throws NOT_FOUND
 */
export function checkHoldsHub({ root }: DataFolder): void {
  if (existsSync(join(root, 'catalog.duckdb'))) return
  throw new TelescopeError(
    'NOT_FOUND',
    `data folder ${root} holds no hub's data; start ${commandLine('serve', '--data', root)} first, or name the right one with --data`,
    { path: root },
  )
}

/** Whether the folder holds a simulated region: whatever is made from it has to say so. */
export function isSimulated(folder: DataFolder): boolean {
  return existsSync(join(folder.root, SIMULATED_MARK))
}

/** Marks a folder for good as one of a simulated region. */
export function markSimulated(folder: DataFolder): void {
  writeFileSync(join(folder.root, SIMULATED_MARK), '')
}

/** Where received bytes wait to be counted. Sensor and digest are checked names, so neither can leave the folder. */
export function inboxPath(folder: DataFolder, kind: UploadKind, sensor: string, sha256: string): string {
  return join(inboxFolder(folder, kind), sensor, sha256)
}

/** Where received bytes lie once they are counted or withdrawn. */
export function keptPath(folder: DataFolder, kind: UploadKind, sensor: string, sha256: string): string {
  return join(kind === 'capture' ? folder.captures : folder.batches, sensor, sha256)
}

export function inboxFolder(folder: DataFolder, kind: UploadKind): string {
  return join(folder.root, 'inbox', kind === 'capture' ? 'captures' : 'batches')
}

/** Makes the entries of a folder durable (names created, renamed or removed in it). */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates a folder when it is missing, durably. */
export async function makeFolder(path: string): Promise<void> {
  const topmost = mkdirSync(path, { recursive: true, mode: 0o700 })
  if (topmost === undefined) return
  for (let made = path; made.length >= topmost.length; made = dirname(made)) await syncFolder(dirname(made))
}

/**
 * Moves a file within the data folder; false when it is not there (any more). Not synced: a crash leaves the file at
 * the one place or the other, and the sweep at the next start moves it again.
 */
export async function moveFile(from: string, to: string): Promise<boolean> {
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Removes what a former run left on its way: half bodies and files of the parsing child. */
export async function emptyFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
  mkdirSync(path, { recursive: true, mode: 0o700 })
}
