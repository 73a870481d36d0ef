import type { CaptureWarning } from '../schemas/batch.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'

/** Packets of several queues overtake each other by a little; a clock that was set goes back by more. */
const BACK_MIN = INTERVAL_SECONDS * MICROSECONDS

/** What the times of a capture say about the clock that gave them. Nothing is changed for it; somebody should know. */
export class ClockWatch {
  /** Unix microseconds of the packet before. */
  previous = Number.NEGATIVE_INFINITY
  #stepsBack = 0
  #firstBack = 0
  #largestBack = 0
  #ahead = 0
  #firstAhead = 0
  #firstAheadSeconds = 0

  /** A packet with a time that can be. @param record its number in the capture, from 1 */
  see(record: number, microseconds: number): void {
    const back = this.previous - microseconds
    this.previous = microseconds
    if (!(back > BACK_MIN)) return
    if (this.#stepsBack === 0) this.#firstBack = record
    this.#stepsBack++
    if (back > this.#largestBack) this.#largestBack = back
  }

  /** A packet from a time that has not come yet. */
  seeAhead(record: number, seconds: number): void {
    if (this.#ahead === 0) {
      this.#firstAhead = record
      this.#firstAheadSeconds = seconds
    }
    this.#ahead++
  }

  get warnings(): CaptureWarning[] {
    const warnings: CaptureWarning[] = []
    if (this.#stepsBack > 0) {
      const largest = Math.round(this.#largestBack / MICROSECONDS)
      const message = `record ${this.#firstBack}: time goes back by more than ${INTERVAL_SECONDS} s there${more(this.#stepsBack)}, by ${largest} s at most; the packets are counted at the times they have, so check the clock of the sensor and the order of the files`
      warnings.push({ code: 'CAPTURE_TIME_BACKWARDS', message })
    }
    if (this.#ahead > 0) {
      const message = `record ${this.#firstAhead}: Unix time ${this.#firstAheadSeconds} is more than a day ahead of this machine's clock${more(this.#ahead)}; such packets are dropped as time_invalid, so check both clocks`
      warnings.push({ code: 'CAPTURE_TIME_AHEAD', message })
    }
    return warnings
  }
}

function more(count: number): string {
  return count === 1 ? '' : ` and in ${count - 1} more`
}
