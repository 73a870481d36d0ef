import type { UploadUsage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { DAY_SECONDS } from '../../schemas/time.ts'

/** What one sensor may take of the hub, so that nothing is left to want for the others. */
export interface UploadQuotas {
  /** Uploads of one sensor on their way in at once. */
  readonly connections: number
  /** Uploads that wait to be counted. */
  readonly pending: number
  /** New uploads of a UTC day. */
  readonly uploadsPerDay: number
  /** Bytes of new uploads of a UTC day, as sent. */
  readonly bytesPerDay: number
}

/**
 * Far above what an honest sensor needs: a batch a minute is 1440 uploads a day, and one that comes back after a month
 * has 43 200 to send.
 */
export const UPLOAD_QUOTAS: UploadQuotas = {
  connections: 64,
  pending: 20_000,
  uploadsPerDay: 100_000,
  bytesPerDay: 256 * 2 ** 30,
}

/** The catalog is asked again after this time; between, what was received here is added up. */
const REFRESH_SECONDS = 10
/** Connections end and queues shrink within seconds. */
const RETRY_SECONDS = 30

interface Tally {
  uploads: number
  bytes: number
  pending: number
}

/** Lets uploads of a sensor in as long as it stays within its quotas; repetitions are answered before and cost none. */
export class QuotaKeeper {
  readonly #quotas: UploadQuotas
  readonly #usage: (since: number) => Promise<readonly UploadUsage[]>
  readonly #now: () => number
  readonly #connections = new Map<string, number>()
  #tallies = new Map<string, Tally>()
  #day = -1
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | null = null

  /**
   * @param usage what the catalog knows since a time, Unix seconds
   * @param now clock, Unix milliseconds
   */
  constructor(
    quotas: UploadQuotas,
    usage: (since: number) => Promise<readonly UploadUsage[]>,
    now: () => number = Date.now,
  ) {
    this.#quotas = quotas
    this.#usage = usage
    this.#now = now
  }

  /**
   * Takes a place for an upload; whoever got one calls `leave` once, with the bytes of a new receipt or null.
   * @param byteCount what the request announces; null when it does not
   * @throws QUOTA_EXCEEDED with the detail retry_after_seconds
   */
  async enter(sensor: string, byteCount: number | null): Promise<(received: number | null) => void> {
    const { connections, pending, uploadsPerDay, bytesPerDay } = this.#quotas
    const open = this.#connections.get(sensor) ?? 0
    if (open >= connections) throw exceeded(sensor, 'uploads at once', open + 1, connections, RETRY_SECONDS)
    this.#connections.set(sensor, open + 1)
    try {
      await this.#refresh()
      const tally = this.#tallyOf(sensor)
      const untilTomorrow = (this.#day + 1) * DAY_SECONDS - Math.floor(this.#now() / 1000)
      const bytes = tally.bytes + (byteCount ?? 0)
      if (tally.pending >= pending) {
        throw exceeded(sensor, 'uploads that wait to be counted', tally.pending + 1, pending, RETRY_SECONDS)
      }
      if (tally.uploads >= uploadsPerDay) {
        throw exceeded(sensor, 'uploads a day (UTC)', tally.uploads + 1, uploadsPerDay, untilTomorrow)
      }
      if (bytes > bytesPerDay) throw exceeded(sensor, 'bytes a day (UTC)', bytes, bytesPerDay, untilTomorrow)
    } catch (error) {
      this.#leave(sensor)
      throw error
    }
    return received => {
      this.#leave(sensor)
      if (received === null) return
      const tally = this.#tallyOf(sensor)
      tally.uploads++
      tally.pending++
      tally.bytes += received
    }
  }

  #leave(sensor: string): void {
    const open = this.#connections.get(sensor)! - 1
    if (open === 0) this.#connections.delete(sensor)
    else this.#connections.set(sensor, open)
  }

  #tallyOf(sensor: string): Tally {
    const known = this.#tallies.get(sensor)
    if (known) return known
    const tally = { uploads: 0, bytes: 0, pending: 0 }
    this.#tallies.set(sensor, tally)
    return tally
  }

  async #refresh(): Promise<void> {
    const seconds = this.#now() / 1000
    const day = Math.floor(seconds / DAY_SECONDS)
    if (day === this.#day && seconds - this.#readAt < REFRESH_SECONDS) return
    this.#reading ??= this.#read(day).finally(() => {
      this.#reading = null
    })
    await this.#reading
  }

  async #read(day: number): Promise<void> {
    const readAt = this.#now() / 1000
    const rows = await this.#usage(day * DAY_SECONDS)
    this.#tallies = new Map(
      rows.map(({ sensor, upload_count, byte_count, pending_count }) => [
        sensor,
        { uploads: upload_count, bytes: byte_count, pending: pending_count },
      ]),
    )
    this.#day = day
    this.#readAt = readAt
  }
}

function exceeded(sensor: string, what: string, actual: number, limit: number, seconds: number): TelescopeError {
  return new TelescopeError(
    'QUOTA_EXCEEDED',
    `sensor "${sensor}" would have ${actual} ${what}, at most ${limit} are taken; nothing was kept, send it again in ${seconds} s`,
    { sensor, actual, limit, retry_after_seconds: seconds },
  )
}
