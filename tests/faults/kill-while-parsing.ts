import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { childProcesses } from '../support/child-processes.ts'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * An upload whose parsing the hub does not survive: the real child is stopped while it has the upload, and the hub is
 * killed, three times. The fourth start sets the upload aside with the reason, and the next one is counted.
 */

const DEATHS = 3
const UPLOAD_BYTES = 20_000
const TRY_SECONDS_MAX = 60
const SETTLE_SECONDS_MAX = 60
const REASON = /the hub ended 3 times meanwhile/

export async function killWhileParsing({ build, print }: FaultOptions): Promise<FaultReport> {
  const hub = await FaultyHub.prepare(build, 1)
  const violations: string[] = []
  const sent: MadeUpload[] = []
  const put = async (): Promise<MadeUpload> => {
    const upload = makeCapture(hub.sensors[0]!, sent.length, UPLOAD_BYTES)
    sent.push(upload)
    const status = (await hub.put(upload))?.status
    if (status !== 201) throw new Error(`an upload was answered with ${status}`)
    return upload
  }
  let poison: MadeUpload | null = null
  try {
    for (let death = 1; death <= DEATHS; death++) {
      await hub.start()
      // The one child that the hub's own check started gets the next job.
      for (const pid of childProcesses(hub.process.child.pid!, 'parse-child.js')) process.kill(pid, 'SIGSTOP')
      poison ??= await put()
      const { sensor, sha256 } = poison
      if (!(await isTried(hub, `${death} ${sensor}/${sha256}`))) {
        violations.push(`start ${death}: no child got the upload, or nobody wrote it down: ${readTries(hub)}`)
        return { violations, figures: { deaths: death - 1 } }
      }
      print(`death ${death} while the upload is parsed`)
      await hub.kill()
    }
    await hub.start()
    const next = await put()
    const receipt = await hub.settled(poison!, SETTLE_SECONDS_MAX)
    if (receipt?.state !== 'quarantined' || receipt.error_code !== 'PARSE_FAILED') {
      violations.push(`after ${DEATHS} deaths the upload is ${receipt?.state} ${receipt?.error_code}`)
    } else if (!REASON.test(receipt.error_message ?? '')) violations.push(`the reason is ${receipt.error_message}`)
    const state = (await hub.settled(next, SETTLE_SECONDS_MAX))?.state
    if (state !== 'counted') violations.push(`the next upload is ${state}`)
    const again = await hub.retry(poison!)
    if (again?.status !== 200) violations.push(`trying again was answered with ${again?.status}`)
    violations.push(...(await checkPromise(hub, [], sent)))
    if (
      readTries(hub).includes(poison!.sha256) &&
      !readTries(hub).trimEnd().endsWith(`0 ${hub.sensors[0]!.sensor}/${poison!.sha256}`)
    ) {
      violations.push(`tries of what is counted are remembered: ${readTries(hub)}`)
    }
    return { violations, figures: { deaths: DEATHS, uploads: sent.length } }
  } finally {
    await hub.remove()
  }
}

function readTries(hub: FaultyHub): string {
  const path = join(hub.data, 'inbox', 'tries')
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

async function isTried(hub: FaultyHub, line: string): Promise<boolean> {
  for (const end = Date.now() + TRY_SECONDS_MAX * 1000; Date.now() < end && hub.runs; await pause(10)) {
    if (readTries(hub).includes(`${line}\n`)) return true
  }
  return false
}
