import { execFile } from 'node:child_process'
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { DataFolder } from './data-folder.ts'
import { checkRoomToReceive, diskSpace } from './disk-reserve.ts'
import { askHub } from './hub-client.ts'

type Verdict = 'OK' | 'WARN' | 'FAIL'

export interface Diagnosis {
  readonly check: string
  readonly verdict: Verdict
  /** What was found, and what to do where it is not OK. */
  readonly what: string
}

type Check = () => Promise<Omit<Diagnosis, 'check'>>

/** File systems of Linux by their magic number that forget, or are not for a catalog. */
const UNFIT_FILE_SYSTEMS: Readonly<Record<number, string>> = {
  16914836: 'tmpfs, which is gone after a restart of the machine',
  2240043254: 'ramfs, which is gone after a restart of the machine',
  2035054128: 'overlayfs, which goes with its container; mount a volume there',
  26985: 'NFS, on which locks and fsync are not what the catalog needs',
  4283649346: 'SMB, on which locks and fsync are not what the catalog needs',
}
const MEMORY_BYTES_MIN = 2 * 2 ** 30
const NODE_TESTED_MAX = 24
const FSYNC_TRIES = 8
/** A disk that really writes needs about a tenth of a millisecond and more; a cache with a battery, too. */
const FSYNC_MILLISECONDS_MIN = 0.02
const FSYNC_MILLISECONDS_SLOW = 50
const CLOCK_SECONDS_MAX = 5

const ok = (what: string) => ({ verdict: 'OK', what }) as const
const warn = (what: string) => ({ verdict: 'WARN', what }) as const
const fail = (what: string) => ({ verdict: 'FAIL', what }) as const

/** What has to be right of the machine and the data folder for a hub to keep its promise. */
export function hubChecks(folder: DataFolder, port: number, startParser: () => Promise<void>): Record<string, Check> {
  // A folder that is still to be made is judged by where it will lie.
  let place = folder.root
  while (!existsSync(place)) place = dirname(place)
  return {
    Node: async () => {
      const [major] = process.versions.node.split('.').map(Number)
      if (major! <= NODE_TESTED_MAX) return ok(process.versions.node)
      return warn(`${process.versions.node} is newer than what Hirundo was tested with (up to ${NODE_TESTED_MAX})`)
    },
    memory: async () => {
      const said = `${Math.round(totalmem() / 2 ** 20)} MiB, ${availableParallelism()} processors`
      if (totalmem() >= MEMORY_BYTES_MIN) return ok(said)
      return warn(`${said}; counting and parsing may need ${MEMORY_BYTES_MIN / 2 ** 20} MiB`)
    },
    'disk space': async () => {
      const { free } = await diskSpace(place)
      const said = `${Math.round(free / 2 ** 20)} MiB free`
      const full = await checkRoomToReceive(place, 'capture', 0, diskSpace).catch((error: Error) => error)
      return full ? fail(`${said}: uploads are refused; ${full.message}`) : ok(`${said}, above the reserve`)
    },
    'file system': async () => {
      const unfit = UNFIT_FILE_SYSTEMS[(await statfs(place)).type >>> 0]
      return unfit ? warn(`${place} is on ${unfit}`) : ok(`${place} is on a file system for data`)
    },
    fsync: async () => judgeSync(place),
    'data folder': async () => judgePermissions(folder),
    port: async () => {
      if ((await askHub(folder, { method: 'GET', path: '/api/v1/health' })) !== null) return ok('the hub runs')
      return (await isFree(port))
        ? ok(`${port} is free`)
        : fail(`${port} is taken by another program; choose one with serve --port`)
    },
    'address families': async () =>
      (await isFree(0, '::1')) ? ok('IPv4 and IPv6') : warn('IPv4 alone: ::1 cannot be listened on'),
    clock: async () => judgeClock(),
    fonts: async () => judgeFonts(),
    engine: async () => {
      const { engineVersion } = await import('../../analytics/engine-version.ts')
      return ok(`DuckDB ${engineVersion()}`)
    },
    'parsing process': async () => {
      await startParser()
      return ok('starts and reads a capture')
    },
  }
}

/** Whether the machine that asks has the time of the hub. */
export function hubClockCheck(url: string): Record<string, Check> {
  return {
    'clock of the hub': async () => {
      const asked = Date.now()
      const answer = await fetch(new URL('/api/v1/health', url))
      const seconds = (Date.parse(answer.headers.get('date') ?? '') - (asked + Date.now()) / 2) / 1000
      if (!Number.isFinite(seconds)) return fail(`${url} answers without a date; is it a hub?`)
      const said = `${Math.abs(seconds).toFixed(0)} s ${seconds < 0 ? 'behind' : 'ahead of'} this machine`
      return Math.abs(seconds) <= CLOCK_SECONDS_MAX ? ok(`agrees with this machine`) : fail(`${said}; set the clocks`)
    },
  }
}

/** A check that throws has found that its thing does not work. */
export async function diagnose(checks: Record<string, Check>): Promise<Diagnosis[]> {
  const diagnoses: Diagnosis[] = []
  for (const [check, run] of Object.entries(checks)) {
    const { verdict, what } = await run().catch((error: unknown) =>
      fail(`does not work: ${error instanceof Error ? error.message : String(error)}`),
    )
    diagnoses.push({ check, verdict, what })
  }
  return diagnoses
}

function judgeSync(place: string) {
  const path = join(place, `.hirundo-doctor-${process.pid}`)
  const times: number[] = []
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    for (let tries = 0; tries < FSYNC_TRIES; tries++) {
      writeSync(descriptor, Buffer.alloc(4096, tries))
      const started = performance.now()
      fsyncSync(descriptor)
      times.push(performance.now() - started)
    }
  } finally {
    closeSync(descriptor)
    rmSync(path)
  }
  const median = times.sort((a, b) => a - b)[FSYNC_TRIES / 2]!
  const said = `${median.toFixed(2)} ms for 4 KiB (median of ${FSYNC_TRIES})`
  if (median < FSYNC_MILLISECONDS_MIN) return warn(`${said}: too fast for a disk; is it one that only says so?`)
  return median > FSYNC_MILLISECONDS_SLOW ? warn(`${said}: each upload waits for several of them`) : ok(said)
}

function judgePermissions({ root, keys }: DataFolder) {
  if (!existsSync(root)) return ok('is not there yet; serve makes it')
  const open = [root, keys, ...keyFiles(keys)].filter(path => existsSync(path) && (statSync(path).mode & 0o077) !== 0)
  if (open.length > 0) return fail(`others may open ${open[0]}; chmod go= it: raw captures and keys lie there`)
  const owner = statSync(root).uid
  const self = process.getuid?.() ?? owner
  return self === owner || self === 0 ? ok('for its owner alone') : fail(`belongs to user ${owner}, this is ${self}`)
}

function keyFiles(keys: string): string[] {
  return existsSync(keys) ? readdirSync(keys).map(name => join(keys, name)) : []
}

async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = createServer()
  return await new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}

/** The kernel's own word is not to be had without a native call; systemd and chrony leave signs. */
async function judgeClock() {
  if (existsSync('/run/systemd/timesync/synchronized')) return ok('set by systemd-timesyncd')
  if (existsSync('/run/chrony') || existsSync('/var/run/ntpd.pid')) return ok('a time service runs')
  return warn('no sign of a time service (systemd-timesyncd, chrony, ntpd); a sensor whose clock is off is refused')
}

async function judgeFonts() {
  try {
    const { stdout } = await promisify(execFile)('fc-list', [':lang=ja', 'family'])
    return stdout.trim() === ''
      ? warn('no Japanese font; boxes instead of letters in pictures. Install fonts-noto-cjk')
      : ok('Japanese letters are there')
  } catch {
    return warn('fc-list is not there, so fonts are unknown; only pictures with Japanese letters need them')
  }
}
