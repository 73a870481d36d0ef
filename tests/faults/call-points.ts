import { readdirSync, readFileSync } from 'node:fs'
import type { SystemCall } from './strace-log.ts'

/** Where a fault comes: at the nth of the calls. */
export interface CallPoint {
  readonly name: string
  /** Of strace, separated by commas. */
  readonly calls: string
  readonly nth: number
  /** Only calls on this path, absolute or below the data folder, are counted; null for all. */
  readonly path: string | null
  /** Place of the thread in `threadsOf`; null for all, each of which counts by itself. */
  readonly thread: number | null
}

/** Calls that touch the disk between the socket and the lake, and those that need a descriptor. */
export const DISK_CALLS = [
  ...['fsync', 'fdatasync', 'write', 'pwrite64', 'writev', 'pwritev', 'ftruncate', 'openat', 'mkdir'],
  ...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'unlink', 'unlinkat', 'copy_file_range'],
]
const DESCRIPTOR_CALLS = ['openat', 'socket', 'accept4']
export const ALL_CALLS = [...new Set([...DISK_CALLS, ...DESCRIPTOR_CALLS])]

/** Which calls can fail in which way; whatever they are, the hub can die at each. */
export const CALLS_OF_FAULT: Readonly<Record<string, readonly string[]>> = {
  'signal=KILL': ALL_CALLS,
  'error=EIO': DISK_CALLS,
  'error=ENOSPC': DISK_CALLS.filter(call => !call.startsWith('unlink')),
  'error=EMFILE': DESCRIPTOR_CALLS,
}

/**
 * Threads of a hub: the main one, then the others by how much they have read and written, so that libuv's comes next. How
 * many there are, and how old, differs from start to start.
 */
export function threadsOf(pid: number): number[] {
  const others = readdirSync(`/proc/${pid}/task`).filter(thread => thread !== String(pid))
  const ranked = others.map(thread => ({ thread: Number(thread), calls: callsOf(pid, thread) }))
  return [pid, ...ranked.sort((a, b) => b.calls - a.calls).map(({ thread }) => thread)]
}

function callsOf(pid: number, thread: string): number {
  const text = readFileSync(`/proc/${pid}/task/${thread}/io`, 'utf8')
  return [...text.matchAll(/^sysc[rw]: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
}

/**
 * Every call on the data folder that was recorded, by its number among the calls of its name in its thread. A socket has
 * no path, so calls for sockets are all points.
 */
export function pointsOf(
  calls: readonly SystemCall[],
  threads: readonly number[],
  data: string,
  names: readonly string[],
): CallPoint[] {
  const counts = new Map<string, number>()
  const points: CallPoint[] = []
  for (const { thread, name, text } of calls.toSorted((a, b) => a.begin - b.begin)) {
    const place = threads.indexOf(Number(thread))
    if (place === -1 || !names.includes(name)) continue
    const nth = (counts.get(`${thread} ${name}`) ?? 0) + 1
    counts.set(`${thread} ${name}`, nth)
    const isOnData = text.includes(data) || name === 'socket' || name === 'accept4'
    if (isOnData)
      points.push({ name: `${name} ${nth} of thread ${place}`, calls: name, nth, path: null, thread: place })
  }
  return points
}
