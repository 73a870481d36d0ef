import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasCommand } from '../support/external.ts'

export interface Measured {
  readonly seconds: number
  /** Processor time, user and system. */
  readonly cpuSeconds: number
  readonly residentMegabytes: number
}

/** GNU time reports what the child itself used, which no clock of ours can see. */
const TIME = '/usr/bin/time'
const TIME_FORMAT = '%e %U %S %M'

/**
 * Runs a command to its end, on the processors named where `taskset` is there.
 * @param folder current folder of the command: some leave files there
 * @param input file for standard input, and how often it is fed, one after the other; null for no input
 */
export async function measure(
  command: readonly string[],
  folder: string,
  input: { readonly path: string; readonly passes: number } | null = null,
  processors = '0',
): Promise<Measured> {
  const report = join(tmpdir(), `hirundo-time-${process.pid}`)
  const pinned = hasCommand('taskset') ? ['taskset', '-c', processors] : []
  const [program, ...args] = [...pinned, TIME, '-o', report, '-f', TIME_FORMAT, ...command]
  const child = spawn(program!, args, { cwd: folder, stdio: [input ? 'pipe' : 'ignore', 'ignore', 'ignore'] })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (input) await feed(child.stdin!, input.path, input.passes)
  const status = await ended
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}`)
  const { readFile, rm } = await import('node:fs/promises')
  const [seconds, user, system, kilobytes] = (await readFile(report, 'utf8')).trim().split(' ').map(Number)
  await rm(report)
  return { seconds: seconds!, cpuSeconds: user! + system!, residentMegabytes: kilobytes! / 1024 }
}

/** A pcap several times over: the header of the first pass only. */
async function feed(target: NodeJS.WritableStream, path: string, passes: number): Promise<void> {
  target.on('error', () => {})
  for (let pass = 0; pass < passes; pass++) {
    for await (const chunk of createReadStream(path, { start: pass === 0 ? 0 : 24, highWaterMark: 1 << 20 })) {
      if (!target.write(chunk)) await new Promise(resolve => target.once('drain', resolve))
    }
  }
  target.end()
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
