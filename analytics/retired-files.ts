/**
 * Files that are data no more but may still be read by somebody who learned their names earlier: by a program that
 * opened the read copy, above all. Times are Unix milliseconds.
 */

/** How long a file stays readable after the last list that named it was replaced. */
export const GRACE_MILLISECONDS = 10 * 60_000

export class RetiredFiles {
  /** Path to the time from which nobody needs it. */
  readonly #retired = new Map<string, number>()
  #held: ReadonlySet<string> = new Set()
  /** What the read copy before named, until its grace is over. */
  readonly #released = new Map<string, number>()

  retire(paths: readonly string[], now: number): void {
    for (const path of paths) this.#retired.set(path, now + GRACE_MILLISECONDS)
  }

  /** Replaces the list of names that a read copy gives to outside readers. */
  hold(paths: readonly string[], now: number): void {
    const held = new Set(paths)
    for (const path of this.#held) if (!held.has(path)) this.#released.set(path, now + GRACE_MILLISECONDS)
    for (const path of held) this.#released.delete(path)
    this.#held = held
  }

  /** Whether a read copy names it, or one that was replaced a moment ago. */
  isHeld(path: string, now = Date.now()): boolean {
    return this.#held.has(path) || (this.#released.get(path) ?? 0) > now
  }

  /** Takes the paths whose time is over out of the list. */
  takeOver(now: number): string[] {
    for (const [path, until] of this.#released) if (until <= now) this.#released.delete(path)
    const over = [...this.#retired].filter(([path, until]) => until <= now && !this.isHeld(path, now))
    for (const [path] of over) this.#retired.delete(path)
    return over.map(([path]) => path)
  }
}
