/**
 * Counts by key in bounded memory: after `keysMax` distinct keys new ones are only counted together. Counts of the
 * keys that are there stay exact.
 */
export class BoundedTally<Key> {
  /** Sum over keys that found no room. */
  otherCount = 0
  private readonly counts = new Map<Key, number>()
  private readonly keysMax: number

  constructor(keysMax: number) {
    this.keysMax = keysMax
  }

  add(key: Key): void {
    const count = this.counts.get(key)
    if (count !== undefined) this.counts.set(key, count + 1)
    else if (this.counts.size < this.keysMax) this.counts.set(key, 1)
    else this.otherCount++
  }

  /** Distinct keys; the least there can be once `isCapped`. */
  get keyCount(): number {
    return this.counts.size
  }

  get isCapped(): boolean {
    return this.otherCount > 0
  }

  /** The largest counts, largest first, the earlier key first among equals. */
  top(limit: number): { key: Key; count: number }[] {
    const rows = Array.from(this.counts, ([key, count]) => ({ key, count }))
    return rows.sort((a, b) => b.count - a.count).slice(0, limit)
  }
}
