import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { TelescopeError } from '../schemas/errors.ts'
import { isAbandoned, unfinishedName } from './process-mark.ts'

const TEMPORARY_ENDING = '.tmp'

/** Makes names in a folder durable: creations, renames and removals up to now. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Puts a file, readable by its owner only, in the place of another: at every moment, a crash of the machine included,
 * there is either the old one or the new one, whole.
 * @param temporary name in the same folder
 * @returns inode of the new one
 * @throws OUTPUT_UNWRITABLE, DISK_FULL
 */
export function replaceFile(path: string, temporary: string, text: string): bigint {
  try {
    const descriptor = openSync(temporary, 'w', 0o600)
    let inode: bigint
    try {
      writeFileSync(descriptor, text)
      fsyncSync(descriptor)
      inode = fstatSync(descriptor, { bigint: true }).ino
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, path)
    syncDirectory(dirname(path))
    return inode
  } catch (error) {
    rmSync(temporary, { force: true })
    throw fileError(error, path)
  }
}

/**
 * Makes a file, readable by its owner only, where there is none: killed at any moment there is either no file or the
 * whole one, and of two that make it at once one does.
 * @returns false when there is one already; it stays as it is
 * @throws OUTPUT_UNWRITABLE, DISK_FULL
 */
export function createFile(path: string, text: string): boolean {
  const temporary = temporaryName(path)
  try {
    const descriptor = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    // A rename would replace what another has made meanwhile.
    linkSync(temporary, path)
    syncDirectory(dirname(path))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw fileError(error, path)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** A name beside a file that no other process takes. */
export function temporaryName(path: string): string {
  return `${path}.${unfinishedName()}${TEMPORARY_ENDING}`
}

/** Removes what processes that were killed have left beside a file, where that can be: it may hold a secret. */
export function removeLeftBeside(path: string): void {
  const beginning = `${basename(path)}.`
  try {
    for (const name of readdirSync(dirname(path))) {
      if (!name.startsWith(beginning) || !name.endsWith(TEMPORARY_ENDING)) continue
      const left = join(dirname(path), name)
      if (isAbandoned(name.slice(beginning.length, -TEMPORARY_ENDING.length), left)) rmSync(left, { force: true })
    }
  } catch {
    // A folder that is not there, or that may only be read.
  }
}

/**
 * The text of a file of ours; null when there is none.
 * @throws OUTPUT_UNWRITABLE
 */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw fileError(error, path)
  }
}

/** What an error of the file system means to the operator: a full disk, or a place that cannot be written. */
export function fileError(error: unknown, path: string): TelescopeError {
  if (error instanceof TelescopeError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new TelescopeError('DISK_FULL', `${path}: no space left; free some and run again`, { path }, error)
  }
  return new TelescopeError('OUTPUT_UNWRITABLE', `${path}: cannot be written (${message})`, { path }, error)
}
