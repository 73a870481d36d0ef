import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { ROOT } from './external.ts'

const PROGRAM = `${ROOT}bin/hirundo`

export interface Ended {
  /** Null when a signal ended it. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a command to its end, as a user would from a checkout.
 * @param env what it has besides our own environment
 */
export function hirundo(
  args: readonly string[],
  input?: Buffer,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: 'pipe', env: { ...process.env, ...env } })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', text => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', text => (output.stderr += text))
  // A command that refuses its input before it has read all of it closes the pipe; what counts is what it answers.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', status => resolve({ status, ...output }))
  })
}

/** The same, for commands that must succeed. */
export async function hirundoSucceeds(args: readonly string[], input?: Buffer): Promise<Ended> {
  const ended = await hirundo(args, input)
  if (ended.status !== 0) throw new Error(`hirundo ${args.join(' ')} ended with ${ended.status}: ${ended.stderr}`)
  return ended
}

/** A hub or demo that runs as a process of its own, in a process group of its own. */
export interface RunningHub {
  /** `http://127.0.0.1:8080` */
  readonly url: string
  readonly child: ChildProcess
  /** All that it has printed so far. */
  output(): string
  /** Resolves with the exit status once it has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts `serve` or `demo` and waits for the line with the address. */
export async function startHirundo(args: readonly string[]): Promise<RunningHub> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let output = ''
  const ended = new Promise<number | null>(resolve => child.on('close', resolve))
  child.stderr.setEncoding('utf8').on('data', text => (output += text))
  const lines = createInterface({ input: child.stdout })
  const url = await new Promise<string>((resolve, reject) => {
    lines.on('line', line => {
      output += `${line}\n`
      if (/^http:\/\/\S+\/$/.test(line)) resolve(line.slice(0, -1))
    })
    child.on('close', status => reject(new Error(`hirundo ${args[0]} ended with ${status}: ${output}`)))
  })
  return {
    url,
    child,
    output: () => output,
    stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal)
      return ended
    },
  }
}

/** Where the link leads that `serve` has printed for its coordinator. */
export function signInPath(hub: RunningHub): string {
  return /\/sign-in#\S+/.exec(hub.output())![0]
}

/** Waits until `done` holds, and says what it waited for when it never does. */
export async function until(what: string, done: () => Promise<boolean>, seconds = 60): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    if (await done()) return
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new Error(`${what}: still not so after ${seconds} s`)
}
