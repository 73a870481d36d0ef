import { join } from 'node:path'
import { BUILD, withBrokenBuild } from './broken-build.ts'
import { ALL_CALLS, CALLS_OF_FAULT, type CallPoint, pointsOf, threadsOf } from './call-points.ts'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { readStraceLog } from './strace-log.ts'
import { attach, FaultRounds, ONE_LIBUV_THREAD } from './sweep-rounds.ts'
import { makeCapture } from './upload-maker.ts'

/**
 * R2 and R3: a fault at the Nth system call of one upload and its counting, for every N. strace is attached to the
 * running hub, so that N counts from the upload on. One run records the calls; then each of them is a point, and two
 * hubs at once go through the points of a fault. A data folder goes from round to round, and each round begins by holding
 * all that was acknowledged before against what the hub says.
 */

interface FaultPoint {
  readonly fault: string
  readonly point: CallPoint
}

const SYNC = 'fsync,fdatasync'
const CATALOG_LOG = 'catalog.duckdb.wal'
const SYNC_OF_FOLDER = step('fsync of the folder', SYNC, 1, 'inbox/captures/lab-1')
/** The short form: each step of a receipt, and the commit that counts. */
const SHORT_STEPS: readonly CallPoint[] = [
  // The body has a name of its own each time, so the first fsync of every thread fails here.
  step('fsync of the body', SYNC, 1, null),
  step('rename into the inbox', 'rename', 1, null),
  SYNC_OF_FOLDER,
  step('fsync of the receipt in the catalog', SYNC, 1, CATALOG_LOG),
  step('fsync of the count in the catalog', SYNC, 2, CATALOG_LOG),
]
const WORKERS = 2
/** Numbers differ a little from run to run: some points are passed by. */
const FIRED_MIN = 0.8
/** N counts in each thread, so there is one of libuv and one of DuckDB. */
const ONE_DUCKDB_THREAD = {
  file: 'analytics/duckdb-storage.js',
  from: 'const THREADS_DEFAULT = Math.max(1, Math.floor(availableParallelism() / 2))',
  to: 'const THREADS_DEFAULT = 1',
}

function step(name: string, calls: string, nth: number, path: string | null): CallPoint {
  return { name, calls, nth, path, thread: null }
}

/** R2: the hub dies at the call. */
export async function crashAtSystemCalls(options: FaultOptions): Promise<FaultReport> {
  return await sweep(options, ['signal=KILL'])
}

/** R3: the call fails. */
export async function failingSystemCalls(options: FaultOptions): Promise<FaultReport> {
  return await sweep(options, ['error=EIO', 'error=ENOSPC', 'error=EMFILE'])
}

/** R3 in one round: the fsync of the folder fails, and no other. */
export async function failingSyncOfFolder(options: FaultOptions): Promise<FaultReport> {
  return await run({ ...options, short: true }, [{ fault: 'error=EIO', point: SYNC_OF_FOLDER }])
}

async function sweep(options: FaultOptions, faults: readonly string[]): Promise<FaultReport> {
  if (options.build !== BUILD) return await sweepBuild(options, faults)
  return await withBrokenBuild([ONE_DUCKDB_THREAD], build => sweepBuild({ ...options, build }, faults))
}

async function sweepBuild(options: FaultOptions, faults: readonly string[]): Promise<FaultReport> {
  if (!options.short) {
    return await run(options, [...firstPoints(options, faults), ...(await allPoints(options, faults))])
  }
  const points = SHORT_STEPS.map((point): FaultPoint => ({ fault: faults[0]!, point }))
  if (faults.includes('error=EMFILE')) {
    points.push({ fault: 'error=EMFILE', point: step('open of the body', 'openat', 1, null) })
  }
  return await run(options, [...firstPoints(options, faults), ...points])
}

/** What only the first upload of a hub does, which the recording no longer sees. */
function firstPoints({ build, from }: FaultOptions, faults: readonly string[]): FaultPoint[] {
  const fault = 'error=EMFILE'
  if (!faults.includes(fault) || (from ?? 0) > 0) return []
  const module = join(build, 'analytics/count-group.js')
  return [{ fault, point: step('open of the module that counts', 'openat', 1, module) }]
}

/** What one upload does until it is counted, as points; `from`, `to` and `rounds` cut them. */
async function allPoints(
  { build, from, to, rounds, print }: FaultOptions,
  faults: readonly string[],
): Promise<FaultPoint[]> {
  const hub = await FaultyHub.prepare(build, 1)
  try {
    await hub.start({ env: ONE_LIBUV_THREAD })
    // What happens once in a life, such as the making of a folder, happened here.
    const [first, second] = [0, 1].map(content => makeCapture(hub.sensors[0]!, content, 20_000)) as [
      ReturnType<typeof makeCapture>,
      ReturnType<typeof makeCapture>,
    ]
    await hub.put(first)
    await hub.putAway(first)
    const threads = threadsOf(hub.process.child.pid!)
    const log = join(hub.data, 'recording.log')
    const tracer = await attach(hub, log, null, ['-e', `trace=${ALL_CALLS.join(',')}`])
    await hub.put(second)
    await hub.putAway(second)
    await pause(100)
    tracer.kill('SIGINT')
    await new Promise(resolve => tracer.once('close', resolve))
    const calls = readStraceLog(log)
    const all = faults.flatMap(fault =>
      pointsOf(calls, threads, hub.data, CALLS_OF_FAULT[fault]!).map((point): FaultPoint => ({ fault, point })),
    )
    const cut = all.slice(from ?? 0, to ?? all.length)
    // Spread over what is left.
    const some = rounds
      ? cut.filter(
          (_, index) => Math.floor((index * rounds) / cut.length) !== Math.floor(((index - 1) * rounds) / cut.length),
        )
      : cut
    print(`${calls.length} calls were recorded, ${all.length} points, ${some.length} of them now`)
    return some
  } finally {
    await hub.remove()
  }
}

async function run({ build, short, print }: FaultOptions, points: readonly FaultPoint[]): Promise<FaultReport> {
  const queue = [...points]
  const hubs = await Promise.all(Array.from({ length: short ? 1 : WORKERS }, () => FaultyHub.prepare(build, 1)))
  const workers = hubs.map(hub => new FaultRounds(hub))
  let done = 0
  const sum = (count: (rounds: FaultRounds) => number) => workers.reduce((total, rounds) => total + count(rounds), 0)
  const work = async (rounds: FaultRounds): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await rounds.run(next.fault, next.point)
      if (++done % 20 === 0) print(`${done} of ${points.length} points, ${sum(each => each.fired)} faults fired`)
    }
    await rounds.finish()
  }
  try {
    await Promise.all(workers.map(work))
  } finally {
    for (const hub of hubs) await hub.remove()
  }
  const violations = workers.flatMap(rounds => rounds.violations)
  const fired = sum(rounds => rounds.fired)
  if (fired < points.length * FIRED_MIN)
    violations.push(`${fired} of ${points.length} faults fired: the rest shows nothing`)
  return {
    violations,
    figures: {
      points: points.length,
      'faults that fired': fired,
      'of them on the data folder': sum(rounds => rounds.firedOnData),
      'hubs that ended': sum(rounds => rounds.ended),
      receipts: sum(rounds => rounds.acknowledged.length),
    },
  }
}
