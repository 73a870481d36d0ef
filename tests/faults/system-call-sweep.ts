import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUILD, withBrokenBuild } from './broken-build.ts'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { type Acknowledged, FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * R2 and R3: a fault at the Nth system call of one upload and its counting, for every N. strace is attached to the
 * running hub, so that N counts from the upload on; the data folder goes from round to round, and each start checks
 * all that was acknowledged before.
 */

/** What touches the disk on the way from the socket to the lake. */
const CALLS = ['fsync', 'fdatasync', 'rename', 'unlink', 'write', 'pwrite64', 'openat', 'ftruncate', 'mkdir']
/** Where a fault comes: at the nth of the calls, of those on a path when there is one. */
interface Step {
  readonly name: string
  readonly calls: string
  readonly nth: number
  /** Below the data folder. */
  readonly path: string | null
}

const SYNC = 'fsync,fdatasync'
const CATALOG_LOG = 'catalog.duckdb.wal'
const SYNC_OF_FOLDER: Step = { name: 'fsync of the folder', calls: SYNC, nth: 1, path: 'inbox/captures/lab-1' }
/** The short form: each step of a receipt, and the commit that counts. */
const SHORT_STEPS: readonly Step[] = [
  // The body has a name of its own each time, so the first fsync of every thread fails here.
  { name: 'fsync of the body', calls: SYNC, nth: 1, path: null },
  { name: 'rename into the inbox', calls: 'rename', nth: 1, path: null },
  SYNC_OF_FOLDER,
  { name: 'fsync of the receipt in the catalog', calls: SYNC, nth: 1, path: CATALOG_LOG },
  { name: 'fsync of the count in the catalog', calls: SYNC, nth: 2, path: CATALOG_LOG },
]
/** A call that happens more often than this in one upload is a loop, and the next round is another call's. */
const NTH_MAX = 60
const ATTACH_SECONDS_MAX = 30
const COUNTED_SECONDS_MAX = 10
/** N counts in each thread, so there is one of libuv and one of DuckDB. */
const ONE_LIBUV_THREAD = { UV_THREADPOOL_SIZE: '1' }
const ONE_DUCKDB_THREAD = {
  file: 'analytics/duckdb-storage.js',
  from: 'const THREADS_DEFAULT = 2',
  to: 'const THREADS_DEFAULT = 1',
}

/** R2: the hub dies at the call. */
export async function crashAtSystemCalls(options: FaultOptions): Promise<FaultReport> {
  return await sweep(options, ['signal=KILL'])
}

/** R3: the call fails. */
export async function failingSystemCalls(options: FaultOptions): Promise<FaultReport> {
  return await sweep(options, options.short ? ['error=EIO'] : ['error=EIO', 'error=ENOSPC', 'error=EMFILE'])
}

/** R3 in one round: the fsync of the folder fails, and no other. */
export async function failingSyncOfFolder(options: FaultOptions): Promise<FaultReport> {
  return await sweepBuild({ ...options, short: true }, ['error=EIO'], [SYNC_OF_FOLDER])
}

async function sweep(options: FaultOptions, faults: readonly string[]): Promise<FaultReport> {
  if (options.build !== BUILD) return await sweepBuild(options, faults)
  return await withBrokenBuild([ONE_DUCKDB_THREAD], build => sweepBuild({ ...options, build }, faults))
}

async function sweepBuild(
  { short, build, print }: FaultOptions,
  faults: readonly string[],
  steps = SHORT_STEPS,
): Promise<FaultReport> {
  const hub = await FaultyHub.prepare(build, 1)
  const rounds = new Rounds(hub)
  try {
    for (const fault of faults) {
      if (short) for (const step of steps) await rounds.run(fault, step)
      else {
        for (const call of CALLS) {
          let nth = 1
          const step = () => ({ name: `${call} ${nth}`, calls: call, nth, path: null })
          while (nth <= NTH_MAX && (await rounds.run(fault, step()))) nth++
          print(`${fault} at ${call}: ${nth - 1} rounds`)
        }
      }
    }
    await hub.start()
    rounds.violations.push(...(await checkPromise(hub, rounds.acknowledged, rounds.sent)))
  } finally {
    await hub.remove()
  }
  const { fired, count, acknowledged, violations } = rounds
  if (fired === 0) violations.push('no fault fired: the sweep shows nothing')
  return { violations, figures: { rounds: count, 'faults that fired': fired, receipts: acknowledged.length } }
}

class Rounds {
  readonly violations: string[] = []
  readonly acknowledged: Acknowledged[] = []
  readonly sent: MadeUpload[] = []
  count = 0
  fired = 0
  readonly #hub: FaultyHub

  constructor(hub: FaultyHub) {
    this.#hub = hub
  }

  /** @returns whether the call happened so often that the fault fired */
  async run(fault: string, { name, calls, nth, path }: Step): Promise<boolean> {
    const hub = this.#hub
    await hub.start({ env: ONE_LIBUV_THREAD })
    for (const violation of await checkPromise(hub, this.acknowledged, this.sent)) {
      this.violations.push(`before ${fault} at ${name}: ${violation}`)
    }
    const log = join(hub.data, `strace-${this.count}.log`)
    const onPath = path === null ? [] : ['-P', join(hub.data, path)]
    const tracer = await attach(hub, log, [
      ...onPath,
      '-e',
      `inject=${calls}:${fault}:when=${nth}`,
      '-e',
      `trace=${calls}`,
    ])
    const upload = makeCapture(hub.sensors[0]!, this.count++, 20_000)
    this.sent.push(upload)
    const answer = await hub.put(upload)
    if (answer?.status === 201) {
      this.acknowledged.push({ upload, receivedAt: answer.body?.received_at ?? null })
      await this.#counted(upload)
    }
    // strace has written everything when it has seen the end of the hub.
    if (!hub.runs || (fault === 'signal=KILL' && answer === null)) await this.#ended(tracer)
    const text = readFileSync(log, 'utf8')
    // What did not sync may be lost whatever the next sync says: the hub must not go on.
    const lost = /f(?:data)?sync\(\d+<[^>]*\/(?:inbox\/(?:tmp|captures)\b|catalog\.duckdb)[^\n]*\(INJECTED\)/.exec(
      text,
    )?.[0]
    const wrong = (what: string) => this.violations.push(`${fault} at ${name}: ${what} after ${lost?.slice(0, 120)}`)
    if (lost?.includes('/inbox/') && answer?.status === 201) wrong('a receipt was given')
    else if (lost && !(await this.#endedWithFailure())) wrong('the hub went on')
    await hub.kill()
    tracer.kill('SIGKILL')
    const hasFired = /\(INJECTED\)|killed by SIGKILL/.test(text)
    if (hasFired) this.fired++
    return hasFired
  }

  /** Waits while the hub lives until the upload is counted; it may be at work on that when it dies. */
  async #counted(upload: MadeUpload): Promise<void> {
    for (const end = Date.now() + COUNTED_SECONDS_MAX * 1000; Date.now() < end && this.#hub.runs; ) {
      const receipts = await this.#hub.receipts(upload.sensor).catch(() => [])
      if (receipts.find(({ sha256 }) => sha256 === upload.sha256)?.state === 'counted') return
      await pause(50)
    }
  }

  async #endedWithFailure(): Promise<boolean> {
    const { child } = this.#hub.process
    await this.#ended(child)
    return child.exitCode !== null && child.exitCode !== 0
  }

  async #ended(child: ChildProcess): Promise<void> {
    for (const end = Date.now() + COUNTED_SECONDS_MAX * 1000; Date.now() < end; await pause(20)) {
      if (child.exitCode !== null || child.signalCode !== null) return
    }
  }
}

/** strace on all threads of the running hub, once it says so. */
async function attach(hub: FaultyHub, log: string, what: readonly string[]): Promise<ChildProcess> {
  const options = ['-f', '-y', '-o', log, ...what]
  const tracer = spawn('strace', [...options, '-p', String(hub.process.child.pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  tracer.stderr!.on('data', data => {
    said += data
  })
  for (const end = Date.now() + ATTACH_SECONDS_MAX * 1000; !/attached/.test(said); await pause(20)) {
    if (Date.now() > end || tracer.exitCode !== null) throw new Error(`strace did not attach: ${said}`)
  }
  while (!existsSync(log)) await pause(20)
  return tracer
}
