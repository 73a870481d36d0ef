import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { type Acknowledged, FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * R7: a hub on a file system of 64 MB that fills up. It refuses uploads with 507 while there is room left for what it
 * promised, goes on answering, and takes uploads again by itself once there is space. Needs root, for the mount.
 */

const DISK = '64m'
/** Takes part of the disk, and is what the operator removes. */
const BALLAST_BYTES = 24 * 2 ** 20
const UPLOAD_BYTES = 2 ** 20
const UPLOADS_MAX = 64
/** Half of the reserve, below which not even counting goes. */
const FREE_BYTES_MIN = 8 * 2 ** 20
const RECOVERY_SECONDS_MAX = 10
const INSUFFICIENT_STORAGE = 507

export async function fullDisk({ short, build }: FaultOptions): Promise<FaultReport> {
  const disk = mkdtempSync(join(tmpdir(), 'hirundo-disk-'))
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk]).status !== 0) {
    rmSync(disk, { recursive: true })
    throw new Error('a file system cannot be mounted: run as root')
  }
  let hub: FaultyHub | null = null
  try {
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, randomBytes(BALLAST_BYTES))
    hub = await FaultyHub.prepare(build, 1, join(disk, 'data'))
    await hub.start()
    return await fill(hub, disk, ballast, short)
  } finally {
    await hub?.remove()
    spawnSync('umount', ['-l', disk])
    rmSync(disk, { recursive: true, force: true })
  }
}

async function fill(hub: FaultyHub, disk: string, ballast: string, short: boolean): Promise<FaultReport> {
  const violations: string[] = []
  const acknowledged: Acknowledged[] = []
  const sent: MadeUpload[] = []
  let freeAtLeast = Number.POSITIVE_INFINITY
  const upload = async (): Promise<number> => {
    const made = makeCapture(hub.sensors[0]!, sent.length, UPLOAD_BYTES)
    sent.push(made)
    const answer = await hub.put(made)
    if (answer?.status === 201) acknowledged.push({ upload: made, receivedAt: answer.body?.received_at ?? null })
    freeAtLeast = Math.min(freeAtLeast, freeBytes(disk))
    return answer?.status ?? 0
  }
  let status = 201
  while (status === 201 && sent.length < UPLOADS_MAX) status = await upload()
  if (status !== INSUFFICIENT_STORAGE) violations.push(`a full disk was answered with ${status}, not with 507`)
  const receivedBefore = acknowledged.length
  if (!hub.runs) violations.push('the hub ended when the disk was full')
  else {
    const known = await hub.receipts('lab-1').catch(() => [])
    if (known.length < receivedBefore) violations.push('receipts are missing on a full disk')
  }
  if (freeAtLeast < FREE_BYTES_MIN)
    violations.push(`only ${freeAtLeast} bytes were left free, at least ${FREE_BYTES_MIN} are kept`)
  rmSync(ballast)
  const spaceMade = performance.now()
  for (status = 0; status !== 201 && performance.now() - spaceMade < 60_000 && hub.runs; await pause(100))
    status = await upload()
  const recovery = (performance.now() - spaceMade) / 1000
  if (status !== 201) violations.push(`no upload was taken after space was made: answered with ${status}`)
  else if (!short && recovery > RECOVERY_SECONDS_MAX) violations.push(`it took ${recovery} s to take uploads again`)
  // A hub that stops meanwhile keeps nothing of what it is asked.
  if (hub.runs) violations.push(...(await checkPromise(hub, acknowledged, sent).catch(error => [String(error)])))
  return {
    violations,
    figures: {
      'uploads until 507': receivedBefore,
      'free at least, MB': Math.round(freeAtLeast / 1e6),
      'seconds to recover': recovery.toFixed(1),
    },
  }
}

function freeBytes(disk: string): number {
  const { bavail, bsize } = statfsSync(disk)
  return bavail * bsize
}
