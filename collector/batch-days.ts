import { DAYS_PER_UPLOAD_MAX } from '../schemas/batch.ts'
import { DAY_SECONDS } from '../schemas/time.ts'

/**
 * The UTC days that the packets of a batch are of, dropped ones included. In order of time they are those of its window;
 * late packets may add any others, and a hub takes only so many.
 */
export class BatchDays {
  #days = new Set<number>()
  #latest = -1

  /** Adds the day of a packet, by its Unix second; false when it would be one too many, and was not added. */
  take(seconds: number): boolean {
    const day = Math.floor(seconds / DAY_SECONDS)
    if (day === this.#latest) return true
    if (this.#days.size >= DAYS_PER_UPLOAD_MAX && !this.#days.has(day)) return false
    this.#days.add(day)
    this.#latest = day
    return true
  }

  clear(): void {
    this.#days.clear()
    this.#latest = -1
  }
}
