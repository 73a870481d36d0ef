import { randomBytes } from 'node:crypto'
import { readlinkSync, statSync } from 'node:fs'
import { DAY_SECONDS } from '../schemas/time.ts'
import { isRunning, ownProcess } from './process-life.ts'

/**
 * Names of files that are being written, `PID-START-NAMESPACE-RANDOM`: they say whose the file is. The number of a
 * process does not: in a container it comes back with every start, and it means another process, or none, to whoever
 * shares the folder from outside.
 */

/** Nothing is written for so long: what is older in a namespace that cannot be looked into belongs to no one. */
const FOREIGN_MILLISECONDS_MAX = DAY_SECONDS * 1000

const NAME = /^(\d+)-(\d+|none)-(\d+|none)-[0-9a-f]{12}$/

/** A name for a file of this process. */
export function unfinishedName(): string {
  return `${ownMark()}-${randomBytes(6).toString('hex')}`
}

/** What names of this process begin with. */
export function ownMark(): string {
  const { pid, started } = ownProcess()
  return `${pid}-${started ?? 'none'}-${ownNamespace()}`
}

/**
 * Whether a file was left by a process that is no more.
 * @param name as `unfinishedName` makes it; any other is nobody's to judge
 */
export function isAbandoned(name: string, path: string): boolean {
  const [, pid, started, theirs] = NAME.exec(name) ?? []
  if (pid === undefined || started === undefined) return false
  if (theirs === ownNamespace()) return !isRunning({ pid: Number(pid), started: started === 'none' ? null : started })
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - stats.mtimeMs > FOREIGN_MILLISECONDS_MAX
}

/** Within it the numbers of processes mean something; `none` where the system has no such thing. */
function ownNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 'none'
  } catch {
    return 'none'
  }
}
