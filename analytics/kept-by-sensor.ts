import type { Session } from './database.ts'

/** Something of each sensor as one snapshot of the catalog has it. */
export interface SensorView<T> {
  /** @returns at least those of the sensors that are named */
  read(session: Session, sensors: readonly string[]): Promise<ReadonlyMap<string, T>>
}

/**
 * What is derived of each sensor from rows of the catalog and asked for by every question, kept in memory. What a commit
 * adds is added here, too, before any question sees the commit. Whoever keeps something bounds it: a sensor may send what
 * it likes.
 */
export class KeptBySensor<T> {
  /** Replaced, never changed: views hold on to it. */
  #kept: ReadonlyMap<string, T> = new Map()
  /** Work under way that may change anything. */
  #changing = 0

  /**
   * Of the state of the catalog at this moment: to be called when a snapshot has just been taken.
   * @param derive from the rows of the snapshot, for each of the sensors
   */
  view(derive: (session: Session, sensors: readonly string[]) => Promise<ReadonlyMap<string, T>>): SensorView<T> {
    const kept = this.#kept
    return {
      read: async (session, sensors) => {
        const missing = sensors.filter(sensor => !kept.has(sensor))
        if (missing.length === 0) return kept
        const all = new Map([...kept, ...(await derive(session, missing))])
        // What was added meanwhile is not in the snapshot.
        if (this.#kept === kept && this.#changing === 0) this.#kept = all
        return all
      },
    }
  }

  /**
   * Adds what a commit adds that no question sees yet.
   * @param add what all additions of a sensor make of what is kept of it; null when the rows have to be read again
   */
  add<A extends { readonly sensor: string }>(
    additions: readonly A[],
    add: (before: T, additions: readonly A[]) => T | null,
  ): void {
    const bySensor = new Map<string, A[]>()
    for (const addition of additions) {
      const own = bySensor.get(addition.sensor)
      if (own) own.push(addition)
      else bySensor.set(addition.sensor, [addition])
    }
    const next = new Map(this.#kept)
    for (const [sensor, own] of bySensor) {
      const before = next.get(sensor)
      const after = before === undefined ? null : add(before, own)
      if (after === null) next.delete(sensor)
      else next.set(sensor, after)
    }
    this.#kept = next
  }

  clear(): void {
    this.#kept = new Map()
  }

  /** Runs work that may change anything of any sensor. */
  async changing<R>(work: () => Promise<R>): Promise<R> {
    this.#changing++
    this.clear()
    try {
      return await work()
    } finally {
      this.#changing--
      this.clear()
    }
  }
}
