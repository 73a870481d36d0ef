import { readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpiryLimits, Storage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { Retention } from '../../schemas/retention.ts'
import { DAY_SECONDS } from '../../schemas/time.ts'
import type { DataFolder } from './data-folder.ts'

/** What a run removed, or would remove. */
export interface Retained {
  readonly captures: number
  readonly capture_bytes: number
  readonly batches: number
  readonly batch_bytes: number
  readonly lake_files: number
  readonly flows: number
  readonly lake_bytes: number
  readonly rollup_hours: number
}

/** Files of received bytes that one run removes at most; the rest is for the next. */
const FILES_PER_RUN_MAX = 50_000

const SHA256 = /^[0-9a-f]{64}$/

/** States of uploads whose bytes are still needed to keep the promise of the receipt, or to look into. */
const NEEDED: readonly string[] = ['received', 'held', 'quarantined']

interface ExpiredFiles {
  readonly paths: readonly string[]
  readonly bytes: number
}

/** Removes what is older than it is to be kept; see Retention. Runs one after another. */
export class Retainer {
  readonly #storage: Storage
  readonly #folder: DataFolder
  readonly #now: () => number
  #running: Promise<unknown> = Promise.resolve()

  /** @param now clock, Unix milliseconds */
  constructor(storage: Storage, folder: DataFolder, now: () => number = Date.now) {
    this.#storage = storage
    this.#folder = folder
    this.#now = now
  }

  /**
   * The audit row is written first, so that nothing is ever removed without one; a run that finds nothing writes none.
   * @param actor who asked, for the audit log
   * @throws STORAGE_FAILED
   */
  run(retention: Retention, { dryRun, actor }: { dryRun: boolean; actor: string }): Promise<Retained> {
    const turn = this.#running.then(() => this.#run(retention, dryRun, actor))
    this.#running = turn.catch(() => {})
    return turn
  }

  async #run(retention: Retention, dryRun: boolean, actor: string): Promise<Retained> {
    const now = Math.floor(this.#now() / 1000)
    const limits: ExpiryLimits = {
      flows: dayBefore(now, retention.flows_days),
      rollups: dayBefore(now, retention.rollups_days),
    }
    const captures = await this.#expiredFiles(this.#folder.captures, now, retention.captures_days)
    const batches = await this.#expiredFiles(join(this.#folder.root, 'batches'), now, retention.batches_days)
    const data = await this.#storage.findExpired(limits)
    const retained: Retained = {
      captures: captures.paths.length,
      capture_bytes: captures.bytes,
      batches: batches.paths.length,
      batch_bytes: batches.bytes,
      lake_files: data.file_count,
      flows: data.flow_count,
      lake_bytes: data.byte_count,
      rollup_hours: data.hour_count,
    }
    if (dryRun || Object.values(retained).every(count => count === 0)) return retained
    await this.#storage.audit({ actor, action: 'retain', subject: 'data', details: { ...retained, ...retention } })
    await this.#storage.dropExpired(limits)
    for (const path of [...captures.paths, ...batches.paths]) await unlink(path).catch(ignoreMissing)
    return retained
  }

  /** Files by age first, because only old ones are worth a question to the catalog; the receipt decides. */
  async #expiredFiles(folder: string, now: number, days: number | null): Promise<ExpiredFiles> {
    const paths: string[] = []
    let bytes = 0
    if (days === null) return { paths, bytes }
    const limit = (now - days * DAY_SECONDS) * 1000
    for (const sensor of await entries(folder)) {
      for (const sha256 of await entries(join(folder, sensor))) {
        if (paths.length === FILES_PER_RUN_MAX) return { paths, bytes }
        if (!SHA256.test(sha256)) continue
        const path = join(folder, sensor, sha256)
        const found = await stat(path).catch(ignoreMissing)
        if (!found || found.mtimeMs >= limit) continue
        const receipt = await this.#storage.findReceipt(sensor, sha256)
        if (!receipt?.counted_at || NEEDED.includes(receipt.state) || Date.parse(receipt.counted_at) >= limit) continue
        paths.push(path)
        bytes += found.size
      }
    }
    return { paths, bytes }
  }
}

/** Start of the UTC day before which nothing is kept. */
function dayBefore(now: number, days: number | null): number | null {
  return days === null ? null : Math.floor((now - days * DAY_SECONDS) / DAY_SECONDS) * DAY_SECONDS
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw new TelescopeError('STORAGE_FAILED', `folder ${folder} cannot be read (${code})`, { fatal: false }, error)
  }
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
