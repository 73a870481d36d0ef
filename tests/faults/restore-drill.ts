import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { walkFiles } from '../../dashboard/server/walk-files.ts'
import type { FaultOptions, FaultReport } from './fault-test.ts'
import type { FaultyHub } from './faulty-hub.ts'
import { hubWithData, timed } from './stored-data.ts'

/** O2: a running hub is backed up, its data folder is wiped, and the restored one answers as it did. */

/** Uploads of so many bytes: 200 MB, and 2 MB. */
const UPLOADS = { long: 50, short: 8 }
const UPLOAD_BYTES = { long: 4 * 2 ** 20, short: 2 ** 18 }
const SECONDS_PER_GB_MAX = 60
const GB = 1e9

export async function restoreDrill({ short, build, rounds, print }: FaultOptions): Promise<FaultReport> {
  const form = short ? 'short' : 'long'
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-drill-'))
  const backup = join(folder, 'backup')
  const hub = await hubWithData(build, rounds ?? UPLOADS[form], UPLOAD_BYTES[form])
  const violations: string[] = []
  try {
    const before = await answers(hub)
    const steps = [await timed(build, 'backup', backup, '--data', hub.data)]
    await hub.kill()
    const { data } = hub
    rmSync(data, { recursive: true })
    steps.push(await timed(build, 'restore', backup, '--data', data))
    steps.push(await timed(build, 'verify', '--data', data))
    for (const [index, name] of ['backup', 'restore', 'verify'].entries()) {
      const { status, stderr, seconds } = steps[index]!
      print(`${name}: ${seconds.toFixed(1)} s`)
      if (status !== 0) violations.push(`${name} ended with status ${status}: ${stderr}`)
    }
    await hub.start()
    if (!isDeepStrictEqual(await answers(hub), before)) violations.push('the restored hub answers otherwise')
    const gigabytes = walkFiles(backup).reduce((sum, path) => sum + statSync(join(backup, path)).size, 0) / GB
    const [backupSeconds, restoreSeconds, verifySeconds] = steps.map(({ seconds }) => seconds) as [
      number,
      number,
      number,
    ]
    const perGigabyte = (restoreSeconds + verifySeconds) / gigabytes
    if (!short && perGigabyte > SECONDS_PER_GB_MAX) {
      violations.push(`restoring and verifying takes ${perGigabyte.toFixed(0)} s per GB, at most ${SECONDS_PER_GB_MAX}`)
    }
    return {
      violations,
      figures: {
        uploads: rounds ?? UPLOADS[form],
        'backup, GB': gigabytes.toFixed(3),
        'backup, s/GB': (backupSeconds / gigabytes).toFixed(1),
        'restore, s/GB': (restoreSeconds / gigabytes).toFixed(1),
        'verify, s/GB': (verifySeconds / gigabytes).toFixed(1),
      },
    }
  } finally {
    await hub.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What must be the same after the drill. */
async function answers(hub: FaultyHub): Promise<unknown> {
  const receipts = await Promise.all(hub.sensors.map(({ sensor }) => hub.receipts(sensor)))
  return { receipts, packets: await hub.packets() }
}
