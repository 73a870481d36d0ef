import { setTimeout as delay } from 'node:timers/promises'
import { TelescopeError } from '../../schemas/errors.ts'

/**
 * Work of the hub that nobody waits for: one job at a time, in small steps. A step that fails is tried again later;
 * after a failure that is final the hub stops, as it does for uploads.
 */

export interface UpkeepJob {
  readonly name: string
  /** Time from one run to the next. */
  readonly everyMilliseconds: number
  /**
   * One step, of some seconds at most.
   * @param signal the hub stops: end early
   * @returns whether another step is worth it now
   */
  step(signal: AbortSignal): Promise<boolean>
}

/** How often the jobs are looked at. */
const TICK_MILLISECONDS = 1000
/** After a failure, such as a full disk, a job waits at least so long. */
const RETRY_MILLISECONDS = 60_000

export class Upkeep {
  readonly #jobs: readonly UpkeepJob[]
  readonly #onError: (error: unknown, what: string) => void
  readonly #onBroken: (error: unknown) => void
  readonly #stop = new AbortController()
  readonly #due = new Map<UpkeepJob, number>()
  #running: Promise<void> = Promise.resolve()

  constructor(parts: {
    jobs: readonly UpkeepJob[]
    /** A step failed and is tried again later. */
    onError: (error: unknown, what: string) => void
    /** The storage failed for good: the hub must stop. */
    onBroken: (error: unknown) => void
  }) {
    this.#jobs = parts.jobs
    this.#onError = parts.onError
    this.#onBroken = parts.onBroken
  }

  /** Each job runs at once, then in its own time. */
  start(): void {
    this.#running = this.#run()
  }

  /** Calls the step under way off, and resolves when nothing touches the storage any more. */
  async stop(): Promise<void> {
    this.#stop.abort(new TelescopeError('NOT_READY', 'hub is stopping'))
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      for (const job of this.#jobs) {
        if (signal.aborted) return
        if ((this.#due.get(job) ?? 0) <= Date.now() && !(await this.#step(job))) return
      }
      await this.#sleep()
    }
  }

  /** @returns false when the storage failed for good */
  async #step(job: UpkeepJob): Promise<boolean> {
    try {
      const more = await job.step(this.#stop.signal)
      this.#due.set(job, more ? 0 : Date.now() + job.everyMilliseconds)
    } catch (error) {
      if (error instanceof TelescopeError && error.details['fatal'] === true) {
        this.#onBroken(error)
        return false
      }
      if (!this.#stop.signal.aborted) this.#onError(error, `${job.name} failed; it is tried again later`)
      this.#due.set(job, Date.now() + Math.max(job.everyMilliseconds, RETRY_MILLISECONDS))
    }
    return true
  }

  async #sleep(): Promise<void> {
    const { signal } = this.#stop
    const isBusy = this.#jobs.some(job => (this.#due.get(job) ?? 0) <= Date.now())
    // Told to stop, the loop sees it.
    await delay(isBusy ? 0 : TICK_MILLISECONDS, undefined, { signal }).catch(() => {})
  }
}
