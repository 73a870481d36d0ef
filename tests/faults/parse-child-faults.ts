import { spawnSync } from 'node:child_process'
import { childProcesses } from '../support/child-processes.ts'
import { BUILD, type Change, withBrokenBuild } from './broken-build.ts'
import type { FaultOptions, FaultReport } from './fault-test.ts'
import { type Acknowledged, FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * H4: the process of a running hub that parses uploads is killed, hangs, or has no memory left, whenever it has the one
 * upload. That one is set aside with the reason, the next one is counted, and so is the first when it is tried again.
 */

interface ChildFault {
  readonly name: string
  /** What the receipt must say. */
  readonly reason: RegExp
  /** Of the upload that it meets. */
  readonly byteCount: number
  strike(pid: number): void
}

const POISON_BYTES = 20_000
/** Twenty times as long as that may take, so that no busy machine harms it. */
const GOOD_BYTES = 20 * POISON_BYTES
const CHILD_FAULTS: readonly ChildFault[] = [
  {
    name: 'killed',
    // Who hands it the upload may find it gone already.
    reason: /was ended by SIGKILL$|could not be reached/,
    byteCount: GOOD_BYTES,
    strike: pid => process.kill(pid, 'SIGKILL'),
  },
  {
    name: 'stopped',
    reason: /took longer than 3 s$/,
    byteCount: POISON_BYTES,
    strike: pid => process.kill(pid, 'SIGSTOP'),
  },
  {
    name: 'without memory',
    // A thread that gets no memory may also wait for it for ever.
    reason:
      /was ended by SIG(?:ABRT|TRAP|ILL|SEGV|BUS)$|ended with status \d+$|could not be reached|took longer than \d+ s$/,
    // Enough to need memory that it has not got yet, nearly always.
    byteCount: GOOD_BYTES,
    strike: pid => void spawnSync('prlimit', [`--pid=${pid}`, '--data=1'], { stdio: 'ignore' }),
  },
]
const ROUNDS = { long: 20, short: 1 }
/** Three seconds for the small upload instead of a minute. */
export const SHORT_LIMITS = [
  { file: 'dashboard/server/parse-child-process.js', from: 'seconds: 60,', to: 'seconds: 1,' },
  { file: 'dashboard/server/parse-child-process.js', from: 'bytesPerSecond: 2 ** 20,', to: 'bytesPerSecond: 10_000,' },
] as const satisfies readonly Change[]
const STRIKE_MILLISECONDS = 3
/** Two tries of the larger one, to the end of their time. */
const SETTLE_SECONDS_MAX = 100
/** A child that had enough memory from before is struck again, with another upload. */
const STRIKES_MAX = 3

/** A build other than the usual has short limits already. */
export async function parseChildFaults(options: FaultOptions): Promise<FaultReport> {
  if (options.build !== BUILD) return await strikeChildren(options)
  return await withBrokenBuild(SHORT_LIMITS, build => strikeChildren({ ...options, build }))
}

async function strikeChildren({ build, short, rounds, print }: FaultOptions): Promise<FaultReport> {
  const form = short ? 'short' : 'long'
  const count = rounds ?? ROUNDS[form]
  const hub = await FaultyHub.prepare(build, 1)
  const violations: string[] = []
  const sent: MadeUpload[] = []
  const acknowledged: Acknowledged[] = []
  const put = async (byteCount: number): Promise<MadeUpload> => {
    const upload = makeCapture(hub.sensors[0]!, sent.length, byteCount)
    sent.push(upload)
    const answer = await hub.put(upload)
    if (answer?.status === 201) acknowledged.push({ upload, receivedAt: answer.body?.received_at ?? null })
    else violations.push(`an upload was answered with ${answer?.status}`)
    return upload
  }
  const settled = (upload: MadeUpload) => hub.settled(upload, SETTLE_SECONDS_MAX)
  let struck = 0
  try {
    await hub.start()
    for (let round = 1; round <= count; round++) {
      for (const { name, reason, byteCount, strike } of CHILD_FAULTS) {
        const wrong = (what: string): void => void violations.push(`child ${name}, round ${round}: ${what}`)
        const strikeWith = async () => {
          const known = new Set<number>()
          const strikeNew = (): void => {
            for (const pid of childProcesses(hub.process.child.pid!, 'parse-child.js')) {
              if (known.has(pid)) continue
              known.add(pid)
              strike(pid)
            }
          }
          // The one that waits is struck before it gets anything: a busy machine might be later than the upload.
          strikeNew()
          const striking = setInterval(strikeNew, STRIKE_MILLISECONDS)
          const poison = await put(byteCount)
          const receipt = await settled(poison).finally(() => clearInterval(striking))
          struck += known.size
          return { poison, receipt }
        }
        let { poison, receipt } = await strikeWith()
        for (let strikes = 1; receipt?.state === 'counted' && strikes < STRIKES_MAX; strikes++) {
          ;({ poison, receipt } = await strikeWith())
        }
        if (receipt?.state !== 'quarantined') {
          wrong(`its upload is ${receipt?.state}, not quarantined`)
          // Nothing behind it would be counted either.
          return report()
        }
        if (receipt.error_code !== 'PARSE_FAILED' || !reason.test(receipt.error_message ?? '')) {
          wrong(`the reason is ${receipt.error_code} ${receipt.error_message}`)
        }
        const counted = async (which: string, upload: MadeUpload): Promise<void> => {
          const { state, error_message } = (await settled(upload)) ?? {}
          if (state !== 'counted') wrong(`${which} is ${state}: ${error_message}`)
        }
        await counted('the next upload', await put(GOOD_BYTES))
        const again = await hub.retry(poison)
        if (again?.status !== 200) wrong(`trying again was answered with ${again?.status}`)
        await counted('the upload tried again', poison)
        if (!hub.runs) wrong('the hub ended')
      }
      print(`${round} rounds, ${struck} children struck`)
    }
    violations.push(...(await checkPromise(hub, acknowledged, sent)))
    return report()
  } finally {
    await hub.remove()
  }

  function report(): FaultReport {
    return { violations, figures: { rounds: count, 'children struck': struck, uploads: sent.length } }
  }
}
