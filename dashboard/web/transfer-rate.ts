/** Speed is the mean of this time: short enough to follow the line, long enough not to jump. */
const WINDOW_MILLISECONDS = 10_000

/** How fast bytes go, from what has gone so far at moments of a clock. */
export class TransferRate {
  #samples: { readonly at: number; readonly byteCount: number }[] = []

  /** @param at milliseconds, never less than before; fewer bytes than before (sent again) start anew */
  add(at: number, byteCount: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && byteCount < last.byteCount) this.#samples = []
    this.#samples.push({ at, byteCount })
    // One sample at or before the window stays, so that the mean is of the whole window.
    while (this.#samples.length > 2 && this.#samples[1]!.at <= at - WINDOW_MILLISECONDS) this.#samples.shift()
  }

  /** Bytes a second at a moment; null before anything can be said. */
  at(now: number): number | null {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || now - first.at < 500 || last.byteCount === first.byteCount) {
      return null
    }
    return ((last.byteCount - first.byteCount) * 1000) / (now - first.at)
  }
}
