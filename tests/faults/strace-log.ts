import { readFileSync } from 'node:fs'

/** A system call of `strace -f -y`, from the line where it begins to the line where it ends. */
export interface SystemCall {
  readonly thread: string
  readonly name: string
  /** What stands behind the opening bracket, with the result. */
  readonly text: string
  readonly begin: number
  readonly end: number
}

/** Calls that ended, in the order of their ends. */
export function readStraceLog(path: string): SystemCall[] {
  const open = new Map<string, { name: string; text: string; begin: number }>()
  const calls: SystemCall[] = []
  for (const [index, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    const match = /^(\d+) +(.*)$/.exec(line)
    if (!match) continue
    const [, thread, rest] = match as unknown as [string, string, string]
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest)
    if (resumed) {
      const begun = open.get(thread)
      open.delete(thread)
      if (begun) calls.push({ ...begun, thread, text: begun.text + resumed[2]!, end: index })
      continue
    }
    const begun = /^(\w+)\((.*)$/.exec(rest)
    if (!begun) continue
    const [, name, text] = begun as unknown as [string, string, string]
    const unfinished = text.indexOf(' <unfinished ...>')
    if (unfinished === -1) calls.push({ thread, name, text, begin: index, end: index })
    else open.set(thread, { name, text: text.slice(0, unfinished), begin: index })
  }
  return calls
}
