import { type ChildProcess, fork } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { targetsNamed } from './all-targets.ts'
import { loadCorpus } from './corpus.ts'
import { minimiseRecipe } from './minimise.ts'
import { applyRecipe, caseRandom, describeRecipe, drawRecipe, plainRecipe, type Recipe } from './recipe.ts'
import {
  CASE_SECONDS_MAX,
  type CaseFailure,
  type FileCase,
  type ShardCases,
  type ShardJob,
  type ShardTally,
  type WorkerMessage,
} from './shard.ts'
import { drawTarget, type Outcome } from './targets.ts'

/**
 * Runs cases in a worker process and watches it from outside: a case that hangs, eats memory or ends the process is a
 * failing case like any other, and the next ones run in a new worker.
 */

/** Resident memory of a worker at which it is ended. */
export const RESIDENT_BYTES_MAX = 256 * 1024 * 1024
const WATCH_MILLISECONDS = 100
/** A case that waits for something that never comes uses no processor time. */
const WAIT_SECONDS_MAX = 30
const DEATHS_MAX = 5
/** Kernel clock ticks a second, of which /proc counts processor time. */
const TICKS_PER_SECOND = 100
/** Leave out what a hang does not need, but not for ever: each try is a process. */
const DEATH_TRIES_MAX = 12

export interface ShardReport {
  /** Cases that were run. */
  cases: number
  /** Failing cases, also those that are not told one by one. */
  failing: number
  readonly failures: CaseFailure[]
  readonly outcomes: Record<string, number>
  readonly drops: Record<string, number>
  readonly fileOutcomes: Map<number, Outcome>
  corpus: string
  slowest: ShardTally['slowest']
  residentBytesMax: number
  cpuSeconds: number
  seconds: number
}

export interface ShardOptions {
  /** Of the checkout, with a slash at the end. */
  readonly root: string
  /** The built worker. */
  readonly worker: string
  readonly residentBytesMax?: number
  /** Deaths of workers after which the rest is not run: then it is one defect over and over. */
  readonly deathsMax?: number
  /** Told the number of the case at hand from time to time. */
  readonly onProgress?: (number: number) => void
}

type SeedCases = Extract<ShardCases, { seed: number }>

export function runSeed(cases: SeedCases, options: ShardOptions): Promise<ShardReport> {
  return withFolder(folder => new ShardRun(folder, options).run(cases))
}

export function runFiles(files: readonly FileCase[], options: ShardOptions): Promise<ShardReport> {
  return withFolder(folder => new ShardRun(folder, options).run({ files, from: 0 }))
}

/** Memory serves as the disk where it can: targets write files, and sync them. */
async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'hirundo-fuzz-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

class ShardRun {
  readonly #folder: string
  readonly #options: ShardOptions
  readonly #progress: string
  readonly #report: ShardReport = {
    cases: 0,
    failing: 0,
    failures: [],
    outcomes: {},
    drops: {},
    fileOutcomes: new Map(),
    corpus: '',
    slowest: { number: -1, milliseconds: 0, target: '' },
    residentBytesMax: 0,
    cpuSeconds: 0,
    seconds: 0,
  }

  constructor(folder: string, options: ShardOptions) {
    this.#folder = folder
    this.#options = options
    this.#progress = join(folder, 'progress')
  }

  async run(cases: ShardCases): Promise<ShardReport> {
    const started = performance.now()
    const end = 'files' in cases ? cases.files.length : cases.to
    let from = cases.from
    for (let deaths = 0; from < end && deaths < (this.#options.deathsMax ?? DEATHS_MAX); deaths++) {
      const died = await this.#work({ ...cases, from })
      const stopped = died === null ? end : died.number + 1
      this.#report.cases += stopped - from
      from = stopped
      if (died !== null) await this.#tellDeath(died, cases)
    }
    this.#report.seconds = (performance.now() - started) / 1000
    return this.#report
  }

  /** @returns the case in which the worker died, and why; null when it came to its end */
  async #work(cases: ShardCases): Promise<{ number: number; why: string } | null> {
    const { root, worker } = this.#options
    writeFileSync(this.#progress, new Uint8Array(new Float64Array([cases.from]).buffer))
    const job: ShardJob = { root, folder: this.#folder, progress: this.#progress, cases }
    const child = fork(worker, [JSON.stringify(job)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] })
    let isDone = false
    let tally: ShardTally | null = null
    child.on('message', received => {
      const message = received as WorkerMessage
      if (message.kind === 'done') isDone = true
      else if (message.kind === 'tally') tally = message.tally
      else if (message.kind === 'outcome') this.#report.fileOutcomes.set(message.number, message.outcome)
      else this.#take(message.failure)
    })
    const why = await this.#watch(child)
    if (tally !== null) this.#add(tally)
    return isDone ? null : { number: this.#place(), why }
  }

  /** @returns why the child ended */
  async #watch(child: ChildProcess): Promise<string> {
    let killedFor: string | null = null
    const kill = (why: string): void => {
      killedFor ??= why
      child.kill('SIGKILL')
    }
    const watch = new CaseWatch(child.pid!, this.#options.residentBytesMax ?? RESIDENT_BYTES_MAX)
    const timer = setInterval(() => {
      const number = this.#place()
      const why = watch.look(number)
      if (why !== null) kill(why)
      this.#options.onProgress?.(number)
    }, WATCH_MILLISECONDS)
    try {
      return await new Promise<string>((resolve, reject) => {
        child.on('error', reject)
        child.on('close', (code, signal) => {
          // Nothing in an input can send these: somebody wants the run to end.
          if (killedFor === null && (signal === 'SIGTERM' || signal === 'SIGINT'))
            reject(new Error(`the worker was ended from outside by ${signal}`))
          else resolve(killedFor ?? `the process ended with ${signal ?? `status ${code}`}`)
        })
      })
    } finally {
      clearInterval(timer)
    }
  }

  #place(): number {
    const place = new Float64Array(1)
    const descriptor = openSync(this.#progress, 'r')
    try {
      readSync(descriptor, place, 0, 8, 0)
    } finally {
      closeSync(descriptor)
    }
    return place[0]!
  }

  #add(tally: ShardTally): void {
    const report = this.#report
    report.failing += tally.failing
    report.corpus = tally.corpus
    for (const [name, count] of Object.entries(tally.outcomes))
      report.outcomes[name] = (report.outcomes[name] ?? 0) + count
    for (const [name, count] of Object.entries(tally.drops)) report.drops[name] = (report.drops[name] ?? 0) + count
    if (tally.slowest.milliseconds > report.slowest.milliseconds) report.slowest = tally.slowest
    report.cpuSeconds += tally.cpuSeconds
    report.residentBytesMax = Math.max(report.residentBytesMax, tally.residentBytesMax)
  }

  /** A failure that is told again is the same one with a smaller input. */
  #take(failure: CaseFailure): void {
    const known = this.#report.failures.findIndex(({ number }) => number === failure.number)
    if (known < 0) this.#report.failures.push(failure)
    else this.#report.failures[known] = failure
  }

  async #tellDeath({ number, why }: { number: number; why: string }, cases: ShardCases): Promise<void> {
    // Death while a failing case was made smaller: it was told and counted.
    if (this.#report.failures.some(failure => failure.number === number)) return
    this.#report.failing++
    const { target, recipe } = await this.#caseOf(number, cases)
    const smaller = 'files' in cases ? recipe : await this.#minimiseDeath(target, recipe)
    this.#take({
      number,
      target,
      what: why,
      stack: '',
      made: describeRecipe(smaller),
      input: Buffer.from(applyRecipe(smaller)).toString('base64'),
    })
  }

  async #caseOf(number: number, cases: ShardCases): Promise<{ target: string; recipe: Recipe }> {
    if ('files' in cases) {
      const { target, path } = cases.files[number]!
      return { target, recipe: plainRecipe(path, new Uint8Array(readFileSync(path))) }
    }
    const folder = mkdtempSync(join(this.#folder, 'parent-'))
    const corpusFolder = join(folder, 'corpus')
    mkdirSync(corpusFolder)
    const random = caseRandom(cases.seed, number)
    const target = drawTarget(targetsNamed(cases.target, folder)!, random)
    return {
      target: target.name,
      recipe: drawRecipe(target.input, await loadCorpus(this.#options.root, corpusFolder), random),
    }
  }

  async #minimiseDeath(target: string, recipe: Recipe): Promise<Recipe> {
    let tries = 0
    return await minimiseRecipe(recipe, async bytes => {
      if (++tries > DEATH_TRIES_MAX) return false
      const folder = mkdtempSync(join(this.#folder, 'try-'))
      const path = join(folder, 'input')
      writeFileSync(path, bytes)
      return (await new ShardRun(folder, this.#options).#work({ files: [{ target, path }], from: 0 })) !== null
    })
  }
}

/** What a worker uses, by the kernel's account, and since when it is in its case. */
class CaseWatch {
  readonly #pid: number
  readonly #residentBytesMax: number
  #number = -1
  #since = 0
  #secondsBefore = 0

  constructor(pid: number, residentBytesMax: number) {
    this.#pid = pid
    this.#residentBytesMax = residentBytesMax
  }

  /** @returns why the worker must be ended, if it must */
  look(number: number): string | null {
    const use = processUse(this.#pid)
    if (use === null) return null
    if (number !== this.#number) {
      this.#number = number
      this.#since = performance.now()
      this.#secondsBefore = use.seconds
    }
    if (use.residentBytes > this.#residentBytesMax) return `${Math.round(use.residentBytes / 2 ** 20)} MiB of memory`
    // Twice as long as a case may take by its own clock: that one tells more.
    if (use.seconds - this.#secondsBefore > 2 * CASE_SECONDS_MAX) return `no end after ${2 * CASE_SECONDS_MAX} s`
    return performance.now() - this.#since > WAIT_SECONDS_MAX * 1000
      ? `no end after waiting ${WAIT_SECONDS_MAX} s`
      : null
  }
}

/** Null once the process is gone, and where there is no /proc: then only waiting is noticed. */
function processUse(pid: number): { seconds: number; residentBytes: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    const ticks = Number(fields[11]) + Number(fields[12])
    return { seconds: ticks / TICKS_PER_SECOND, residentBytes: Number(resident?.[1] ?? 0) * 1024 }
  } catch {
    return null
  }
}
