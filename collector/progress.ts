import { statSync } from 'node:fs'
import { isLiveInput } from './open-byte-source.ts'

/** A line on a terminal for work that takes longer than a second; silent when standard error is no terminal. */

const FIRST_AFTER_MS = 1000
const EVERY_MS = 250
const WIDTH_DEFAULT = 80

/** What `Progress` writes to and reads the time from; for tests. */
interface ProgressOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class Progress {
  #startedAt: number
  #shownAt = Number.NEGATIVE_INFINITY
  #isShown = false
  #bytesTotal: number | null
  #output: ProgressOutput
  #now: () => number

  /**
   * @param bytesTotal null when it cannot be known, as for standard input
   * @param now milliseconds
   */
  constructor(bytesTotal: number | null, output: ProgressOutput = process.stderr, now = () => performance.now()) {
    this.#bytesTotal = bytesTotal
    this.#output = output
    this.#now = now
    this.#startedAt = now()
  }

  /**
   * Shows how far the work is, at most four times a second.
   * @param bytes of all files so far
   * @param packets null for bytes that are sent as they are
   * @param place which of how many files is read, `2 of 14`; empty for one
   */
  update(bytes: number, packets: number | null, place = ''): void {
    if (this.#output.isTTY !== true) return
    const now = this.#now()
    const milliseconds = now - this.#startedAt
    if (milliseconds < FIRST_AFTER_MS || now - this.#shownAt < EVERY_MS) return
    this.#shownAt = now
    this.#isShown = true
    const line = progressLine(bytes, packets, milliseconds / 1000, this.#bytesTotal, place)
    // A line that wraps could not be taken back.
    this.#output.write(`\r\x1b[K${line.slice(0, (this.#output.columns ?? WIDTH_DEFAULT) - 1)}`)
  }

  /** Takes the line away; it comes back with the next update. */
  clear(): void {
    if (this.#isShown) this.#output.write('\r\x1b[K')
    this.#isShown = false
  }
}

/** `2 of 14: 120 of 356 MB, 34 %, 4 200 000 packets, 8.1 M packets/s, 2 s left` */
function progressLine(
  bytes: number,
  packets: number | null,
  seconds: number,
  bytesTotal: number | null,
  place: string,
): string {
  const parts = [
    `${place === '' ? '' : `file ${place}: `}${amountText(bytes, bytesTotal)}`,
    ...(packets === null
      ? [`${(bytes / seconds / 1e6).toFixed(1)} MB/s`]
      : [`${formatCount(packets)} packets`, `${rateText(packets / seconds)} packets/s`]),
  ]
  if (bytesTotal !== null && bytes > 0) {
    parts.push(`${leftText((Math.max(0, bytesTotal - bytes) / bytes) * seconds)} left`)
  }
  return parts.join(', ')
}

function amountText(bytes: number, bytesTotal: number | null): string {
  const megabytes = (value: number) => (value / 1e6).toFixed(value < 1e7 ? 1 : 0)
  if (bytesTotal === null) return `${megabytes(bytes)} MB`
  // A file that grows meanwhile is not more than whole.
  const percent = Math.min(100, Math.floor((bytes / Math.max(1, bytesTotal)) * 100))
  return `${percent} % of ${megabytes(bytesTotal)} MB`
}

function rateText(rate: number): string {
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(1)} M`
  return rate >= 1000 ? `${(rate / 1e3).toFixed(0)} k` : rate.toFixed(0)
}

function leftText(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 100) return `${whole} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** `2 of 14`; empty for one. */
export function fileOf(place: number, count: number): string {
  return count === 1 ? '' : `${place + 1} of ${count}`
}

/** Bytes on disk of all files; null when one of them is none: nobody knows how much comes through a pipe. */
export function totalBytes(paths: readonly string[]): number | null {
  let total = 0
  for (const path of paths) {
    const stats = isLiveInput(path) ? undefined : statSync(path, { throwIfNoEntry: false })
    if (!stats?.isFile()) return null
    total += stats.size
  }
  return total
}

/** `4 200 000`: groups of three, readable in every economy. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ' ')
}
