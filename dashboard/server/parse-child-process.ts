import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { ParseAnswer, ParseJob } from '../../schemas/parse-job.ts'

/** What one job of the parsing child may use. */
export interface ParseLimits {
  /** Resident memory. Not known where there is no /proc: then only the heap is bounded. */
  readonly residentBytes: number
  readonly heapMebibytes: number
  /** Time of a job, and more of it for larger inputs. */
  readonly seconds: number
  readonly bytesPerSecond: number
}

/**
 * Memory: a flow table at its limit, its batch and the reader's buffers need about 250 MiB; the rest is room for
 * garbage. Time: far above what an honest upload takes, even on a slow machine with compressed content.
 */
export const PARSE_LIMITS: ParseLimits = {
  residentBytes: 768 * 2 ** 20,
  heapMebibytes: 512,
  seconds: 60,
  bytesPerSecond: 2 ** 20,
}

/** How often memory is looked at: a runaway child can allocate a few hundred MiB in between. */
const WATCH_MILLISECONDS = 100

const STOPPED = 'was stopped with the hub'

/** What became of a job: an answer, or why there is none. */
type ParseOutcome = { readonly answer: ParseAnswer } | { readonly died: string }

/**
 * The one process that opens what came from outside. It may crash, hang or grow without harm to the hub: then it is
 * killed, the job gets the reason, and the next job a new process.
 */
export class ParseChildProcess {
  readonly #module: string
  readonly #limits: ParseLimits
  #child: ChildProcess | null = null
  #closed = false
  #settle: ((outcome: ParseOutcome) => void) | null = null
  #killReason: string | null = null
  /** Processes so far. */
  starts = 0

  constructor(module: string, limits: ParseLimits) {
    this.#module = module
    this.#limits = limits
  }

  /** Process id while a child runs. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts the process before there is a job: loading what it needs takes a while. */
  load(): void {
    if (!this.#closed) this.#child ??= this.#start()
  }

  /**
   * Runs one job; the caller waits for it before giving the next.
   * @param byteCount size of the input
   */
  async run(job: ParseJob, byteCount: number): Promise<ParseOutcome> {
    // Started now it would outlive the hub's work and keep it from ending.
    if (this.#closed) return { died: STOPPED }
    const secondsMax = Math.ceil(this.#limits.seconds + byteCount / this.#limits.bytesPerSecond)
    this.#child ??= this.#start()
    const child = this.#child
    const timer = setTimeout(() => this.#kill(`took longer than ${secondsMax} s`), secondsMax * 1000)
    const watch = setInterval(() => {
      const bytes = residentBytes(child.pid)
      if (bytes > this.#limits.residentBytes) this.#kill(`used ${Math.round(bytes / 2 ** 20)} MiB of memory`)
    }, WATCH_MILLISECONDS)
    try {
      return await new Promise<ParseOutcome>(resolve => {
        this.#settle = resolve
        child.send(job, error => {
          if (error) this.#kill(`could not be reached (${error.message})`)
        })
      })
    } finally {
      this.#settle = null
      clearTimeout(timer)
      clearInterval(watch)
    }
  }

  /** Ends the child at once, for good; a job that runs gets `died`, as does any that comes later. */
  close(): void {
    this.#closed = true
    this.#kill(STOPPED)
  }

  #start(): ChildProcess {
    this.starts++
    const child = fork(this.#module, [], {
      execArgv: [`--max-old-space-size=${this.#limits.heapMebibytes}`],
      // Nothing of the hub's environment: a token or key that an operator put there is no business of the child.
      env: { TZ: 'UTC' },
      // What a crashing child prints may quote the upload, so it goes nowhere.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    this.#killReason = null
    child.on('message', message => this.#settle?.({ answer: message as ParseAnswer }))
    child.on('error', error => this.#ended(child, `could not be started (${error.message})`))
    child.on('exit', (code, signal) => {
      this.#ended(child, this.#killReason ?? (signal === null ? `ended with status ${code}` : `was ended by ${signal}`))
    })
    return child
  }

  #kill(reason: string): void {
    this.#killReason = reason
    this.#child?.kill('SIGKILL')
  }

  #ended(child: ChildProcess, reason: string): void {
    if (this.#child !== child) return
    this.#child = null
    this.#settle?.({ died: reason })
  }
}

/** Resident memory by the kernel's account; 0 where there is no /proc, then only the heap limit holds. */
function residentBytes(pid: number | undefined): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return match ? Number(match[1]) * 1024 : 0
  } catch {
    return 0
  }
}
