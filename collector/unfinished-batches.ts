import { randomBytes } from 'node:crypto'
import { readdirSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DAY_SECONDS } from '../schemas/time.ts'
import { isRunning, ownProcess } from './process-life.ts'

/**
 * Batches that are being written: `tmp/PID-START-NAMESPACE-RANDOM` below the output, on the same file system so that a
 * rename is atomic. The name says whose the file is. The number of a process does not: in a container it comes back with
 * every start, and it means another process, or none, to whoever shares the folder from outside.
 */
export const BATCH_TEMPORARY_FOLDER = 'tmp'

/** No batch is written for so long: what is older in a namespace that cannot be looked into belongs to no one. */
const FOREIGN_MILLISECONDS_MAX = DAY_SECONDS * 1000

const NAME = /^(\d+)-(\d+|none)-(\d+|none)-[0-9a-f]{12}$/

/** A name for a file of this process. */
export function unfinishedName(): string {
  return `${ownMark()}-${randomBytes(6).toString('hex')}`
}

/** Removes what processes have left that were killed; what belongs to running ones stays. */
export function removeAbandoned(out: string): void {
  const namespace = ownNamespace()
  removeWhere(out, (name, path) => {
    const [, pid, started, theirs] = NAME.exec(name) ?? []
    if (pid === undefined || started === undefined) return false
    if (theirs === namespace) return !isRunning({ pid: Number(pid), started: started === 'none' ? null : started })
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats !== undefined && Date.now() - stats.mtimeMs > FOREIGN_MILLISECONDS_MAX
  })
}

/** Removes what threads of this process have left that were ended; none may be writing. */
export function removeOwn(out: string): void {
  const mark = `${ownMark()}-`
  removeWhere(out, name => name.startsWith(mark))
}

function ownMark(): string {
  const { pid, started } = ownProcess()
  return `${pid}-${started ?? 'none'}-${ownNamespace()}`
}

/** Within it the numbers of processes mean something; `none` where the system has no such thing. */
function ownNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 'none'
  } catch {
    return 'none'
  }
}

function removeWhere(out: string, isAbandoned: (name: string, path: string) => boolean): void {
  const folder = join(out, BATCH_TEMPORARY_FOLDER)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return
  }
  for (const name of names) {
    const path = join(folder, name)
    if (isAbandoned(name, path)) rmSync(path, { force: true })
  }
}
