import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isAbandoned, ownMark } from './process-mark.ts'

/**
 * Batches that are being written: files with a mark of their process in `tmp/` below the output, on the same file system
 * so that a rename is atomic.
 */
export const BATCH_TEMPORARY_FOLDER = 'tmp'

/** Removes what processes have left that were killed; what belongs to running ones stays. */
export function removeAbandoned(out: string): void {
  removeWhere(out, isAbandoned)
}

/** Removes what threads of this process have left that were ended; none may be writing. */
export function removeOwn(out: string): void {
  const mark = `${ownMark()}-`
  removeWhere(out, name => name.startsWith(mark))
}

function removeWhere(out: string, isToGo: (name: string, path: string) => boolean): void {
  const folder = join(out, BATCH_TEMPORARY_FOLDER)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return
  }
  for (const name of names) {
    const path = join(folder, name)
    if (isToGo(name, path)) rmSync(path, { force: true })
  }
}
