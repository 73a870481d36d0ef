/** A line on a terminal for work that takes longer than a second; silent when standard error is no terminal. */

const FIRST_AFTER_MS = 1000
const EVERY_MS = 250

export class Progress {
  #startedAt = performance.now()
  #shownAt = Number.NEGATIVE_INFINITY
  #isShown = false
  #bytesTotal: number | null
  #isTerminal = process.stderr.isTTY === true

  /** @param bytesTotal null when it cannot be known, as for standard input */
  constructor(bytesTotal: number | null) {
    this.#bytesTotal = bytesTotal
  }

  update(bytes: number, packets: number): void {
    if (!this.#isTerminal) return
    const now = performance.now()
    const seconds = (now - this.#startedAt) / 1000
    if (now - this.#startedAt < FIRST_AFTER_MS || now - this.#shownAt < EVERY_MS) return
    this.#shownAt = now
    this.#isShown = true
    process.stderr.write(`\r\x1b[K${progressLine(bytes, packets, seconds, this.#bytesTotal)}`)
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#isShown) process.stderr.write('\r\x1b[K')
  }
}

/** `120 of 356 MB, 4 200 000 packets, 8.1 M packets/s, 2 s left` */
function progressLine(bytes: number, packets: number, seconds: number, bytesTotal: number | null): string {
  const megabytes = (value: number) => (value / 1e6).toFixed(0)
  const amount = bytesTotal === null ? `${megabytes(bytes)} MB` : `${megabytes(bytes)} of ${megabytes(bytesTotal)} MB`
  const rate = `${(packets / seconds / 1e6).toFixed(1)} M packets/s`
  const left =
    bytesTotal === null || bytes === 0
      ? ''
      : `, ${Math.ceil((Math.max(0, bytesTotal - bytes) / bytes) * seconds)} s left`
  return `${amount}, ${formatCount(packets)} packets, ${rate}${left}`
}

/** `4 200 000`: groups of three, readable in every economy. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ' ')
}
