/**
 * Counts by key in bounded memory: after `keysMax` distinct keys new ones are only counted together. Counts of the
 * keys that are there stay exact.
 */
export class BoundedTally<Key> {
  /** Sum over keys that found no room. */
  otherCount = 0
  private readonly places = new Map<Key, number>()
  private readonly counts: number[] = []
  private readonly keysMax: number

  constructor(keysMax: number) {
    this.keysMax = keysMax
  }

  /** @returns the place of the key in order of first sight, from 0; -1 when it found no room */
  add(key: Key): number {
    const place = this.places.get(key)
    if (place !== undefined) {
      this.counts[place]!++
      return place
    }
    if (this.places.size >= this.keysMax) {
      this.otherCount++
      return -1
    }
    this.places.set(key, this.counts.length)
    return this.counts.push(1) - 1
  }

  /** Distinct keys; the least there can be once `isCapped`. */
  get keyCount(): number {
    return this.places.size
  }

  get isCapped(): boolean {
    return this.otherCount > 0
  }

  /** The largest counts, largest first, the earlier key first among equals. */
  top(limit: number): { key: Key; count: number; place: number }[] {
    const rows = Array.from(this.places, ([key, place]) => ({ key, count: this.counts[place]!, place }))
    return rows.sort((a, b) => b.count - a.count).slice(0, limit)
  }
}
