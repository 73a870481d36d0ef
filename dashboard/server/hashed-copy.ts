import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { TelescopeError } from '../../schemas/errors.ts'

const CHUNK_BYTES = 2 ** 20

interface Hashed {
  readonly byte_count: number
  readonly sha256: string
}

/** Digest of a file as it is on the disk now. Synchronous: for commands that do nothing else. */
export function hashFile(path: string): Hashed {
  return readThrough(path, () => {})
}

/**
 * Copies a file under a temporary name, makes it durable, and gives it its name; the folder still has to be synced.
 * @param expected when it is known what the bytes must be; else nothing is left of them
 * @throws BACKUP_INVALID when they are not, DISK_FULL, OUTPUT_UNWRITABLE
 */
export function copyHashed(from: string, to: string, expected: Hashed | null): Hashed {
  const written = `${to}.part`
  try {
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
    const target = openSync(written, 'w', 0o600)
    let hashed: Hashed
    try {
      hashed = readThrough(from, chunk => {
        for (let offset = 0; offset < chunk.length; ) offset += writeSync(target, chunk, offset)
      })
      fsyncSync(target)
    } finally {
      closeSync(target)
    }
    if (expected !== null && hashed.sha256 !== expected.sha256) {
      throw new TelescopeError(
        'BACKUP_INVALID',
        `backup file ${from} has SHA-256 ${hashed.sha256}, its manifest says ${expected.sha256}; nothing was restored. Remove that file and run hirundo backup into the same folder again, which copies what is missing, or take another backup`,
        { path: from, expected: expected.sha256, actual: hashed.sha256 },
      )
    }
    renameSync(written, to)
    return hashed
  } catch (error) {
    rmSync(written, { force: true })
    throw unwritable(to, error)
  }
}

/** Makes the names in a folder durable. */
export function syncFolderNow(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** A failure of the file system as ours. */
export function unwritable(path: string, error: unknown): TelescopeError {
  if (error instanceof TelescopeError) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new TelescopeError('DISK_FULL', `disk is full at ${path}; make room and start again`, { path }, error)
  }
  return new TelescopeError('OUTPUT_UNWRITABLE', `file ${path} cannot be written (${code})`, { path }, error)
}

function readThrough(path: string, onChunk: (chunk: Buffer) => void): Hashed {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  const descriptor = openSync(path, 'r')
  let byte_count = 0
  try {
    for (;;) {
      const bytes = readSync(descriptor, buffer)
      if (bytes === 0) return { byte_count, sha256: hash.digest('hex') }
      const chunk = buffer.subarray(0, bytes)
      hash.update(chunk)
      onChunk(chunk)
      byte_count += bytes
    }
  } finally {
    closeSync(descriptor)
  }
}
