import { type BigIntStats, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { TelescopeError } from '../schemas/errors.ts'

/** A file as it was when it was looked at. */
export interface CaptureFile {
  readonly path: string
  /** Device and inode: the file itself, whatever its name. */
  readonly device: string
  readonly inode: string
  readonly bytes: number
  /** Time of the last change, Unix nanoseconds. */
  readonly modified: string
}

/** Device and inode in one. */
export function fileKey({ device, inode }: Pick<CaptureFile, 'device' | 'inode'>): string {
  return `${device}:${inode}`
}

/** The regular file, or link to one, of this name; null when there is none. */
export function captureFile(path: string): CaptureFile | null {
  let stats: BigIntStats | undefined
  try {
    stats = statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    // A link that leads nowhere, or a name whose folder is gone: no file, as far as anyone can read.
    return null
  }
  if (!stats?.isFile()) return null
  const { dev, ino, size, mtimeNs } = stats
  return { path, device: String(dev), inode: String(ino), bytes: Number(size), modified: String(mtimeNs) }
}

/**
 * The files in a directory, not below it, and no hidden ones; a file with several names once, by the first of them.
 * @throws CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE
 */
export function captureFilesIn(folder: string): CaptureFile[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR'
    throw new TelescopeError(
      isMissing ? 'CAPTURE_NOT_FOUND' : 'CAPTURE_UNREADABLE',
      isMissing ? `directory ${folder}: there is none` : `directory ${folder}: cannot be read: ${code}`,
      { path: folder },
      cause,
    )
  }
  const files = new Map<string, CaptureFile>()
  for (const name of names.filter(name => !name.startsWith('.')).sort()) {
    const file = captureFile(join(folder, name))
    if (file !== null && !files.has(fileKey(file))) files.set(fileKey(file), file)
  }
  return [...files.values()]
}

/** True when nothing was written to the file between the two looks. */
export function isUnchanged(before: CaptureFile, now: CaptureFile): boolean {
  return fileKey(before) === fileKey(now) && before.bytes === now.bytes && before.modified === now.modified
}
