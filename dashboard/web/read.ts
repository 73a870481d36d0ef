import type { ReactiveController, ReactiveControllerHost } from 'lit'
import { TelescopeError } from '../../schemas/errors.ts'

/**
 * One thing that a component reads from the hub. A new read aborts the one under way, and what comes late is dropped,
 * so that an old answer never stands under a new question. The last value stays while the next is on its way.
 */
export class Read<T> implements ReactiveController {
  value: T | null = null
  error: TelescopeError | null = null
  /** True while another question is being answered; reading the same again as data arrives does not show. */
  loading = false
  /** Resolves when what is being read has come, failed or been given up; for reads that can wait. */
  done: Promise<void> = Promise.resolve()
  private readonly host: ReactiveControllerHost
  private key: string | null = null
  private revision = 0
  private abort: AbortController | null = null

  constructor(host: ReactiveControllerHost) {
    this.host = host
    host.addController(this)
  }

  hostDisconnected(): void {
    this.abort?.abort()
    this.key = null
  }

  /** Starts reading unless this key at this revision is what is being read or shown. */
  run(key: string, revision: number, load: (signal: AbortSignal) => Promise<T>): void {
    if (key === this.key && revision === this.revision) return
    this.loading ||= key !== this.key
    this.key = key
    this.revision = revision
    this.abort?.abort()
    const abort = new AbortController()
    this.abort = abort
    this.done = load(abort.signal).then(
      value => this.settle(abort, value, null),
      (error: unknown) => this.settle(abort, null, error),
    )
  }

  /** Forgets the key, so that the next `run` reads again. */
  retry(): void {
    this.key = null
    this.host.requestUpdate()
  }

  private settle(abort: AbortController, value: T | null, error: unknown): void {
    if (abort !== this.abort || abort.signal.aborted) return
    this.loading = false
    this.error = error === null ? null : toTelescopeError(error)
    if (error === null) this.value = value
    else if (this.error?.code === 'UNAUTHENTICATED') window.dispatchEvent(new Event('hirundo-unauthenticated'))
    this.host.requestUpdate()
  }
}

function toTelescopeError(error: unknown): TelescopeError {
  if (error instanceof TelescopeError) return error
  return new TelescopeError('INTERNAL', error instanceof Error ? error.message : String(error), {}, error)
}
