/** Bins that are kept: each column of a wide terminal has some, and a day has bins of two minutes. */
const BINS = 1024
/**
 * Widths of a bin in milliseconds; each divides the next, so that bins can be joined, and after the last they double.
 * Starts of bins are multiples of their width since 1970, so whole minutes, hours and days.
 */
const WIDTHS = [
  1, 2, 10, 20, 100, 200, 1000, 2000, 10_000, 20_000, 60_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000,
  21_600_000, 43_200_000, 86_400_000,
]
const DAY_MS = 86_400_000
/** Widths that people read easily, milliseconds; longer ones are whole numbers of days. */
const READABLE = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  900_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 14_400_000, 21_600_000, 28_800_000, 43_200_000,
]

/** Packets over time in equal buckets, the first and the last not empty. */
export interface TimeSeries {
  /** Unix milliseconds. */
  readonly start: number
  readonly bucketMilliseconds: number
  readonly packets: readonly number[]
}

/**
 * Counts packets over time in bounded memory, in any order, without knowing the span before: bins become wider, by
 * joining neighbours, when a packet lies outside of what they reach.
 */
export class TimeHistogram {
  private bins = new Float64Array(BINS)
  private widthIndex = 0
  private width = WIDTHS[0]!
  /** Unix milliseconds of the first bin; NaN before the first packet. */
  private origin = Number.NaN
  /** The bin of the packet before and its bounds, since the next packet is mostly of the same one. */
  private current = 0
  private currentFrom = 0
  private currentTo = 0

  /** @param milliseconds Unix time, whole, not below zero */
  add(milliseconds: number): void {
    if (milliseconds < this.currentFrom || milliseconds >= this.currentTo) this.open(milliseconds)
    this.bins[this.current]!++
  }

  merge(other: TimeHistogram): void {
    if (Number.isNaN(other.origin)) return
    while (this.widthIndex < other.widthIndex) this.widen()
    for (let bin = 0; bin < BINS; bin++) {
      if (other.bins[bin] === 0) continue
      this.open(other.origin + bin * other.width)
      this.bins[this.current]! += other.bins[bin]!
    }
  }

  /** What was counted, in at most so many buckets of a width that is easy to read; null without packets. */
  series(bucketsMax: number): TimeSeries | null {
    const used = [...this.bins.keys()].filter(bin => this.bins[bin]! > 0)
    if (used.length === 0) return null
    const [first, last] = [used[0]!, used.at(-1)!]
    const packets = Array.from(this.bins.subarray(first, last + 1))
    return rebucket({ start: this.origin + first * this.width, bucketMilliseconds: this.width, packets }, bucketsMax)
  }

  private open(milliseconds: number): void {
    if (Number.isNaN(this.origin)) this.origin = floorTo(milliseconds, this.width) - this.width * (BINS / 2)
    while (!this.reach(milliseconds)) this.widen()
    this.current = Math.floor((milliseconds - this.origin) / this.width)
    this.currentFrom = this.origin + this.current * this.width
    this.currentTo = this.currentFrom + this.width
  }

  /** Makes the bins reach a time, where that takes only moving them. */
  private reach(milliseconds: number): boolean {
    const end = this.origin + BINS * this.width
    if (milliseconds >= this.origin && milliseconds < end) return true
    let low = 0
    let high = BINS - 1
    while (low < BINS && this.bins[low] === 0) low++
    while (high > low && this.bins[high] === 0) high--
    const firstUsed = low === BINS ? milliseconds : Math.min(milliseconds, this.origin + low * this.width)
    const lastUsed = low === BINS ? milliseconds : Math.max(milliseconds, this.origin + high * this.width)
    const origin = floorTo(firstUsed, this.width)
    if (lastUsed >= origin + BINS * this.width) return false
    this.moveTo(origin, this.width)
    return true
  }

  private widen(): void {
    this.widthIndex++
    const width = WIDTHS[this.widthIndex] ?? WIDTHS.at(-1)! * 2 ** (this.widthIndex - WIDTHS.length + 1)
    if (Number.isNaN(this.origin)) this.width = width
    else this.moveTo(floorTo(this.origin, width), width)
    this.currentTo = 0
  }

  /** Puts the counts into bins that start at `origin` and have this width. */
  private moveTo(origin: number, width: number): void {
    const bins = new Float64Array(BINS)
    for (let bin = 0; bin < BINS; bin++) {
      if (this.bins[bin] !== 0) bins[Math.floor((this.origin + bin * this.width - origin) / width)]! += this.bins[bin]!
    }
    this.bins = bins
    this.origin = origin
    this.width = width
  }
}

/** The same packets in at most so many buckets, as narrow as readable widths allow. */
export function rebucket(series: TimeSeries, bucketsMax: number): TimeSeries {
  const end = series.start + series.packets.length * series.bucketMilliseconds
  let width = series.bucketMilliseconds
  for (let step = 0; ; step++) {
    width = READABLE[step] ?? DAY_MS * (step - READABLE.length + 1)
    if (width % series.bucketMilliseconds !== 0) continue
    if (Math.ceil((end - floorTo(series.start, width)) / width) <= bucketsMax) break
  }
  const start = floorTo(series.start, width)
  const packets = new Array<number>(Math.ceil((end - start) / width)).fill(0)
  series.packets.forEach((count, bucket) => {
    packets[Math.floor((series.start + bucket * series.bucketMilliseconds - start) / width)]! += count
  })
  return { start, bucketMilliseconds: width, packets }
}

function floorTo(value: number, unit: number): number {
  return Math.floor(value / unit) * unit
}
