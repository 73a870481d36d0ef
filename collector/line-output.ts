/** Text is gathered up to this before it is written: a system call for each line would cost more than the line. */
const FLUSH_CHARACTERS = 64 * 1024

/** Lines to standard output, in large writes. A reader that goes away (`| head`) ends the output without an error. */
export class LineOutput {
  private text = ''
  private readonly abort = new AbortController()
  private error: Error | null = null
  /** Ends the wait in `drain`. */
  private wake: () => void = () => {}

  constructor() {
    process.stdout.on('error', this.onError)
    process.stdout.on('drain', () => this.wake())
  }

  /** Aborted when nobody reads on: whoever makes the lines may stop. */
  get signal(): AbortSignal {
    return this.abort.signal
  }

  line(text: string): void {
    this.text += text
    this.text += '\n'
    if (this.text.length >= FLUSH_CHARACTERS) this.flush()
  }

  /** Resolves when the reader has taken what was written. */
  async drain(): Promise<void> {
    if (process.stdout.writableNeedDrain && !this.signal.aborted) {
      await new Promise<void>(resolve => {
        this.wake = resolve
      })
    }
    if (this.error) throw this.error
  }

  /** @throws what the system said, other than that the reader went away */
  async end(): Promise<void> {
    this.flush()
    // An empty write comes back when those before it are done or have failed.
    if (!this.signal.aborted) await new Promise<void>(resolve => process.stdout.write('', () => resolve()))
    if (this.error) throw this.error
  }

  /** Writes what was gathered, so that it can be read while more is made. */
  flush(): void {
    if (!this.signal.aborted && this.text !== '') process.stdout.write(this.text)
    this.text = ''
  }

  private readonly onError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') this.error = error
    this.abort.abort()
    this.wake()
  }
}
