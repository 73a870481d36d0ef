import { joinSpans, type ListenedSpan, SILENCE_ALWAYS_LISTENED } from '../schemas/coverage.ts'
import { HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'

/** Runs remembered; a capture whose clock jumps about would otherwise make one for every packet. */
const RUNS_MAX = 4096

interface Run {
  from: number
  /** Time of the latest packet, inclusive. */
  last: number
  packets: number
}

/**
 * What the packets of one batch say about when the sensor listened. Packets may come out of order: the runs are the
 * same in any order.
 */
export class SpanTracker {
  /** In order, parted by more than SILENCE_ALWAYS_LISTENED. */
  #runs: Run[] = []
  /** Place of the run that the latest packet joined; -1 at first. */
  #at = -1
  #packetsByHour = new Map<number, number>()
  #hour = -1
  #hourPackets = 0

  /** True when the next packet needs a cleared tracker. */
  get isFull(): boolean {
    return this.#runs.length >= RUNS_MAX
  }

  /** Unix microseconds of the earliest packet; null without packets. */
  get first(): number | null {
    return this.#runs[0]?.from ?? null
  }

  /** Unix microseconds of the latest packet; null without packets. */
  get last(): number | null {
    return this.#runs.at(-1)?.last ?? null
  }

  add(microseconds: number): void {
    const hour = Math.floor(microseconds / (HOUR_SECONDS * MICROSECONDS))
    if (hour !== this.#hour) this.#openHour(hour)
    this.#hourPackets++

    const current = this.#runs[this.#at]
    if (current && microseconds >= current.last && microseconds - current.last <= SILENCE_ALWAYS_LISTENED) {
      current.last = microseconds
      current.packets++
      // There is a next run only when the clock went back.
      if (this.#at < this.#runs.length - 1) this.#joinNext()
    } else this.#place(microseconds)
  }

  /**
   * Counts packets that follow the one added last, in order of time, in the same hour, and within
   * SILENCE_ALWAYS_LISTENED of it, so that they are of its run.
   * @param microseconds of the last of them
   */
  addFollowing(microseconds: number, packets: number): void {
    const current = this.#runs[this.#at]!
    this.#hourPackets += packets
    current.packets += packets
    if (microseconds > current.last) current.last = microseconds
    this.#joinNext()
  }

  clear(): void {
    this.#runs = []
    this.#at = -1
    this.#packetsByHour.clear()
    this.#hour = -1
    this.#hourPackets = 0
  }

  /** Listened spans by the packets alone: runs, joined over silences that are likely at the usual rate. */
  inferredSpans(): ListenedSpan[] {
    const spans = this.#runs.map(
      ({ from, last, packets }): ListenedSpan => ({ from, to: last + 1, basis: 'inferred', packets }),
    )
    return joinSpans(spans, this.packetsPerSecond())
  }

  /**
   * The usual rate: the median of packets per hour over the whole hours between the first and the last packet, empty
   * hours included. With fewer than three whole hours, or a median of zero, the mean from first to last packet.
   */
  packetsPerSecond(): number {
    const { first, last } = this
    if (first === null || last === null || last === first) return 0
    this.#openHour(-1)
    const firstHour = Math.floor(first / (HOUR_SECONDS * MICROSECONDS))
    const lastHour = Math.floor(last / (HOUR_SECONDS * MICROSECONDS))
    const wholeHours = lastHour - firstHour - 1
    const counts = [...this.#packetsByHour]
      .filter(([hour]) => hour > firstHour && hour < lastHour)
      .map(([, count]) => count)
      .sort((a, b) => a - b)
    // Of an even number of hours the lower middle one; empty hours come first and are not in the list.
    const middle = Math.floor((wholeHours - 1) / 2) - (wholeHours - counts.length)
    const median = wholeHours >= 3 && middle >= 0 ? counts[middle]! : 0
    if (median > 0) return median / HOUR_SECONDS
    const packets = this.#runs.reduce((sum, run) => sum + run.packets, 0)
    return packets / ((last - first) / MICROSECONDS)
  }

  #openHour(hour: number): void {
    if (this.#hourPackets > 0) {
      this.#packetsByHour.set(this.#hour, (this.#packetsByHour.get(this.#hour) ?? 0) + this.#hourPackets)
    }
    this.#hour = hour
    this.#hourPackets = 0
  }

  /** Puts a packet that does not simply prolong the current run where it belongs. */
  #place(microseconds: number): void {
    const runs = this.#runs
    let low = 0
    let high = runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (runs[middle]!.from <= microseconds) low = middle + 1
      else high = middle
    }
    const before = runs[low - 1]
    if (before && microseconds - before.last <= SILENCE_ALWAYS_LISTENED) {
      before.last = Math.max(before.last, microseconds)
      before.packets++
      this.#at = low - 1
    } else {
      runs.splice(low, 0, { from: microseconds, last: microseconds, packets: 1 })
      this.#at = low
    }
    this.#joinNext()
  }

  /** Joins the run at hand with the next when it has come near enough. */
  #joinNext(): void {
    const current = this.#runs[this.#at]!
    const next = this.#runs[this.#at + 1]
    if (!next || next.from - current.last > SILENCE_ALWAYS_LISTENED) return
    current.last = Math.max(current.last, next.last)
    current.packets += next.packets
    this.#runs.splice(this.#at + 1, 1)
  }
}
