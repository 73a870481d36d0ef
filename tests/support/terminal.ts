import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { hasCommand, ROOT, requireExternal } from './external.ts'

/** True where a pseudo-terminal can be made: `script` is part of util-linux. */
export const hasTerminal = requireExternal('script', hasCommand('script') && hasCommand('mkfifo'))

/** The built program as words for `sh`. */
export const HIRUNDO = `'${process.execPath}' '${ROOT}dist/bin/main.js'`

interface TerminalRun {
  readonly child: ChildProcess
  /** All that the terminal was sent so far. */
  output(): string
  /** Types text. */
  type(text: string): void
  /** Resolves with the exit status. */
  ended: Promise<number | null>
}

/** Starts a shell command on a pseudo-terminal of its own. */
export function startOnTerminal(command: string, columns = 80, env: NodeJS.ProcessEnv = {}): TerminalRun {
  const child = spawn('script', ['-qec', `stty cols ${columns}; exec ${command}`, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '', FORCE_COLOR: '', ...env },
    stdio: 'pipe',
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', text => (output += text))
  child.stderr.setEncoding('utf8').on('data', text => (output += text))
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { child, output: () => output, type: text => void child.stdin.write(text), ended }
}

/** A named pipe, and the end to write to. Opening waits for the reader. */
export function makePipe(path: string): () => WriteStream {
  execFileSync('mkfifo', [path])
  return () => createWriteStream(path)
}
