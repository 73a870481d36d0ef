import { type FSWatcher, watch } from 'node:fs'

/** Changes come in bursts, one for each write; they are looked at no more often than this. */
const BURST_MILLISECONDS = 100

/**
 * Waits for something to change in a folder. What the system does not tell (network file systems, too many watches) is
 * found by whoever looks again when the wait is over.
 */
export class ChangeWaker {
  #watcher: FSWatcher | null = null
  #hasChanged = false
  #wake: () => void = () => {}

  constructor(folder: string) {
    try {
      this.#watcher = watch(folder, { persistent: false }, () => this.wake())
      this.#watcher.on('error', () => this.close())
    } catch {
      // No watch to be had: waiting ends by time alone.
    }
  }

  /** Ends the wait at hand, or the next one. */
  wake(): void {
    this.#hasChanged = true
    this.#wake()
  }

  /** Resolves after a change, at the latest after the milliseconds. */
  async wait(milliseconds: number): Promise<void> {
    await this.#pause(Math.min(BURST_MILLISECONDS, milliseconds), false)
    await this.#pause(milliseconds - BURST_MILLISECONDS, true)
    this.#hasChanged = false
  }

  close(): void {
    this.#watcher?.close()
    this.#watcher = null
  }

  async #pause(milliseconds: number, endsByChange: boolean): Promise<void> {
    if (milliseconds <= 0 || (endsByChange && this.#hasChanged)) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, milliseconds)
      if (!endsByChange) return
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = () => {}
  }
}
