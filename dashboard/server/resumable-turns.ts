/**
 * One at a time on one upload. A client that comes again has given up its earlier request, whose connection may be
 * dead without the hub knowing: whoever comes ends the one that still reads a body, waits until what it read is kept,
 * and only then has its turn.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()
  #current: AbortController | null = null

  /** @param work must end soon after its signal, and leave everything in order; what it returns or throws is passed on */
  async take<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#current?.abort()
    const controller = new AbortController()
    this.#current = controller
    const turn = this.#last.then(() => work(controller.signal))
    const ended = turn.catch(() => {})
    this.#last = ended
    try {
      return await turn
    } finally {
      if (this.#current === controller) this.#current = null
    }
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#last
  }
}
