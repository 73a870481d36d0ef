import { readFileSync } from 'node:fs'

/**
 * Process ids of the children of a process that run a program with this text in its command line. One that was forked and
 * is not there yet is left out: stopped then, it would stop its parent, which waits for it. Linux only.
 */
export function childProcesses(pid: number, text: string): number[] {
  try {
    const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    const children = ids === '' ? [] : ids.split(' ').map(Number)
    return children.filter(child => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes(text))
  } catch {
    // One of them has ended meanwhile; who asks again sees the others.
    return []
  }
}
