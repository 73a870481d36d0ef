import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { NetworkNamespace } from './network-namespaces.ts'

/** `node`, where a command says `#!/usr/bin/env node`, is the one that runs the tests. */
const ENVIRONMENT = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` }

/** A command line that runs in a shell until it is told to stop, and what it has said. */
export class ShellCommand {
  readonly child: ChildProcess
  readonly ended: Promise<void>
  stdout = ''
  stderr = ''

  /** @param namespace where it runs; null for our own */
  constructor(line: string, cwd: string, namespace: NetworkNamespace | null = null) {
    const options = { cwd, env: ENVIRONMENT }
    this.child = namespace
      ? namespace.spawn(['sh', '-c', line], options)
      : spawn('sh', ['-c', line], { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.child.stdout!.setEncoding('utf8').on('data', text => (this.stdout += text))
    this.child.stderr!.setEncoding('utf8').on('data', text => (this.stderr += text))
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      // Only when the last program of the pipeline has closed its output.
      this.child.on('close', () => resolve())
    })
  }

  /** Signals the shell and all that it runs, as Ctrl-C (SIGINT) and a supervisor (SIGTERM) do. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    const { pid, exitCode, signalCode } = this.child
    if (exitCode === null && signalCode === null) process.kill(-pid!, signal)
    await this.ended
  }

  /** Signals only the program of this name, and waits until all has ended. */
  async stopOne(name: string, signal: NodeJS.Signals): Promise<void> {
    this.signalOne(name, signal)
    await this.ended
  }

  /** Signals only the program of this name. */
  signalOne(name: string, signal: NodeJS.Signals): void {
    const { pid } = this.child
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    const found = children.find(child => readFileSync(`/proc/${child}/comm`, 'utf8').trim() === name)
    if (found === undefined) throw new Error(`${name} does not run: ${this.stderr}`)
    process.kill(Number(found), signal)
  }
}
