/** Above this, times of the sensor's packets mislead. */
const SKEW_SECONDS_MAX = 30
/** It is told again after this long. */
const TELL_AGAIN_MS = 3_600_000

/** Compares this machine's clock with the `Date` of the hub's answers, which is exact to a second. */
export class ClockSkew {
  #toldAt = Number.NEGATIVE_INFINITY

  /**
   * @param askedAt Unix milliseconds by this machine when the request began; its end is now
   * @returns what to tell the operator; null when the clocks agree, or when it was told within the hour
   */
  see(date: string | undefined, askedAt: number, now = Date.now()): string | null {
    const hub = Date.parse(date ?? '')
    if (Number.isNaN(hub)) return null
    // The hub's clock was read at some moment of the request.
    const skew = askedAt > hub ? Math.max(0, askedAt - hub - 1000) : Math.min(0, now - hub)
    if (Math.abs(skew) <= SKEW_SECONDS_MAX * 1000 || now - this.#toldAt < TELL_AGAIN_MS) return null
    this.#toldAt = now
    const seconds = Math.round(Math.abs(skew) / 1000)
    return `clock: ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} the hub's; set it (timedatectl set-ntp true), because packets are counted at the times that this clock gives them`
  }
}
