import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { ROOT } from './external.ts'

export interface Finished {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a built command to its end. */
export async function runCommand(...args: string[]): Promise<Finished> {
  return await new CommandProcess(args).finished
}

/** A built command that keeps running: `serve` or `demo`. */
export class CommandProcess {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
  stdout = ''
  stderr = ''

  /**
   * @param wrapper a command before it, such as strace with its options
   * @param build folder of the built program
   */
  constructor(
    args: readonly string[],
    {
      wrapper = [],
      env = {},
      build = `${ROOT}dist`,
    }: { wrapper?: string[]; env?: Record<string, string>; build?: string } = {},
  ) {
    const [command, ...rest] = [...wrapper, process.execPath, `${build}/bin/main.js`, ...args]
    // A group of its own, so that a test can end it with all its children.
    this.child = spawn(command!, rest, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    this.child.stdout!.on('data', data => {
      this.stdout += data
    })
    this.child.stderr!.on('data', data => {
      this.stderr += data
    })
    this.finished = new Promise(resolve => {
      this.child.on('close', status => resolve({ status, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** The address that stands alone on a line when the page is ready. */
  async url(seconds = 60): Promise<string> {
    const deadline = performance.now() + seconds * 1000
    while (performance.now() < deadline && this.child.exitCode === null && this.child.signalCode === null) {
      const match = /^(http:\/\/\S+)\/$/m.exec(this.stdout)
      if (match) return match[1]!
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    throw new Error(`no address was printed\n${this.stdout}\n${this.stderr}`)
  }

  /**
   * Milliseconds so far in which it was ready to run and other processes had the processors: what a busy machine adds
   * to the time of a step. 0 where the kernel does not say.
   */
  get heldUpMilliseconds(): number {
    try {
      const [, nanoseconds] = readFileSync(`/proc/${this.child.pid}/schedstat`, 'utf8').split(' ')
      return Number(nanoseconds) / 1e6
    } catch {
      return 0
    }
  }

  /** Ends it with all its children, however it is. */
  async kill(): Promise<void> {
    try {
      process.kill(-this.child.pid!, 'SIGKILL')
    } catch {
      // Nothing of the group is left.
    }
    await this.finished
  }
}

/** Processes that have this text among their arguments. */
export async function processesWith(text: string): Promise<string[]> {
  const child = spawn('ps', ['-eo', 'pid,args'], { stdio: ['ignore', 'pipe', 'ignore'] })
  let listing = ''
  child.stdout.on('data', data => {
    listing += data
  })
  await new Promise(resolve => child.on('close', resolve))
  return listing.split('\n').filter(line => line.includes(text) && !line.includes('ps -eo'))
}
