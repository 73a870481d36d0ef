import { readFileSync } from 'node:fs'

/** One process, told apart from a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number
  /** When it began, as the kernel counts; null where it does not say. */
  readonly started: string | null
}

export function ownProcess(): ProcessIdentity {
  return { pid: process.pid, started: startOf(process.pid) }
}

/** True while the process runs; where the kernel does not say when it began, one with the same id passes for it. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
  return isAlive(pid) && startOf(pid) === started
}

/** True while a process with this id runs. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Fields 3 and 22 of proc_pid_stat(5); the name before them may hold spaces and parentheses. */
function startOf(pid: number): string | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    // No such process, or a system without /proc.
    return null
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // A zombie has ended: only its parent has not looked yet.
  return fields[0] === 'Z' ? null : (fields[19] ?? null)
}
