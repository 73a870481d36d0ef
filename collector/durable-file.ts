import { closeSync, fsyncSync, openSync } from 'node:fs'
import { TelescopeError } from '../schemas/errors.ts'

/** Makes names in a folder durable: creations, renames and removals up to now. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
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
