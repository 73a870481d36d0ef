import { TelescopeError } from '../../schemas/errors.ts'

const FAILURES_MAX = 10
const WINDOW_SECONDS = 600
/** Bounds memory; the oldest address leaves first. */
const ADDRESSES_MAX = 10_000

/**
 * Failed enrolments by the address that they come from. What makes guessing hopeless is the length of a code; this
 * keeps log and catalog quiet meanwhile. Behind a proxy all callers share one address.
 */
export class Attempts {
  readonly #failures = new Map<string, { count: number; until: number }>()
  readonly #now: () => number

  /** @param now seconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now
  }

  /** @throws REQUESTS_TOO_MANY */
  check(address: string): void {
    const failed = this.#failures.get(address)
    if (failed === undefined) return
    const seconds = Math.ceil(failed.until - this.#now())
    if (seconds <= 0) this.#failures.delete(address)
    else if (failed.count >= FAILURES_MAX) {
      throw new TelescopeError(
        'REQUESTS_TOO_MANY',
        `${failed.count} codes from this address were wrong; try again in ${seconds} s`,
        { retry_seconds: seconds },
      )
    }
  }

  failed(address: string): void {
    const failed = this.#failures.get(address)
    if (failed !== undefined) failed.count++
    else {
      for (const oldest of this.#failures.keys()) {
        if (this.#failures.size < ADDRESSES_MAX) break
        this.#failures.delete(oldest)
      }
      this.#failures.set(address, { count: 1, until: this.#now() + WINDOW_SECONDS })
    }
  }
}
