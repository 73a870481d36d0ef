import type { ListenedSpan } from '../schemas/coverage.ts'
import { SpanTracker } from './span-tracker.ts'

/** Start and end that the operator declares, Unix microseconds, [from, to). */
export interface DeclaredSpan {
  readonly from: number
  readonly to: number
}

/**
 * The coverage of each batch of a run. A declared span overrides what the packets say within it, and is shared out
 * among the batches: each gets the part up to the packet that opens the next. Packets outside it speak for themselves.
 */
export class CoverageRecorder {
  #declared: DeclaredSpan | null
  /** Start of the declared time that no batch has yet. */
  #declaredFrom: number
  #declaredPackets = 0
  /** Unix microseconds of the earliest and latest of these. */
  #declaredFirst = Number.POSITIVE_INFINITY
  #declaredLast = Number.NEGATIVE_INFINITY
  /** Packets before the declared span; all packets when nothing is declared. */
  #before = new SpanTracker()
  #after = new SpanTracker()
  /** Unix microseconds of the earliest and latest packet of the batch. */
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY

  constructor(declared: DeclaredSpan | null) {
    this.#declared = declared
    this.#declaredFrom = declared?.from ?? 0
  }

  /** Takes the declared time before this, Unix microseconds, for what earlier batches have. */
  resume(from: number): void {
    if (this.#declared === null) return
    this.#declaredFrom = Math.min(Math.max(from, this.#declared.from), this.#declared.to)
  }

  /** True when the batch must end before the next packet. */
  get isFull(): boolean {
    return this.#before.isFull || this.#after.isFull
  }

  get first(): number | null {
    return this.#first <= this.#last ? this.#first : null
  }

  get last(): number | null {
    return this.#first <= this.#last ? this.#last : null
  }

  /** Counts a kept packet; Unix microseconds. */
  add(microseconds: number): void {
    if (microseconds < this.#first) this.#first = microseconds
    if (microseconds > this.#last) this.#last = microseconds
    const declared = this.#declared
    if (declared === null || microseconds < declared.from) this.#before.add(microseconds)
    else if (microseconds >= declared.to) this.#after.add(microseconds)
    else this.#addDeclared(microseconds, 1)
  }

  /**
   * Counts kept packets that follow one counted by `add`, in order of time, within 60 seconds of it and before
   * `changesAfter` of its time.
   * @param microseconds of the last of them
   */
  addFollowing(microseconds: number, packets: number): void {
    if (microseconds > this.#last) this.#last = microseconds
    const declared = this.#declared
    if (declared === null || microseconds < declared.from) this.#before.addFollowing(microseconds, packets)
    else if (microseconds >= declared.to) this.#after.addFollowing(microseconds, packets)
    else this.#addDeclared(microseconds, packets)
  }

  #addDeclared(microseconds: number, packets: number): void {
    this.#declaredPackets += packets
    if (microseconds < this.#declaredFirst) this.#declaredFirst = microseconds
    if (microseconds > this.#declaredLast) this.#declaredLast = microseconds
  }

  /** First time after this one at which the declared span begins or ends; infinity when it does not. */
  changesAfter(microseconds: number): number {
    if (this.#declared === null || microseconds >= this.#declared.to) return Number.POSITIVE_INFINITY
    return microseconds < this.#declared.from ? this.#declared.from : this.#declared.to
  }

  /**
   * Ends a batch.
   * @param next Unix microseconds of the packet that opens the next batch; null at the end of the run
   * @returns spans in order, disjoint; those of different batches overlap where packets came late
   */
  take(next: number | null): ListenedSpan[] {
    const spans = [...this.#before.inferredSpans(), ...this.#takeDeclared(next), ...this.#after.inferredSpans()]
    this.#before.clear()
    this.#after.clear()
    this.#declaredPackets = 0
    this.#declaredFirst = Number.POSITIVE_INFINITY
    this.#declaredLast = Number.NEGATIVE_INFINITY
    this.#first = Number.POSITIVE_INFINITY
    this.#last = Number.NEGATIVE_INFINITY
    return spans
  }

  #takeDeclared(next: number | null): ListenedSpan[] {
    if (this.#declared === null) return []
    const from = this.#declaredFrom
    const to = next === null ? this.#declared.to : Math.min(Math.max(next, from), this.#declared.to)
    this.#declaredFrom = to
    if (to > from) return [{ from, to, basis: 'declared', packets: this.#declaredPackets }]
    if (this.#declaredPackets === 0) return []
    // Late packets of time that an earlier batch has: a batch with packets says when it listened.
    return [
      { from: this.#declaredFirst, to: this.#declaredLast + 1, basis: 'declared', packets: this.#declaredPackets },
    ]
  }
}
