import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { askHub } from './hub-request.ts'
import type { Identity } from './identity.ts'
import type { Spool } from './spool.ts'

/** Receipts of earlier runs that are taken up, the latest. */
const TAKEN_UP_MAX = 200
/** Receipts asked about in one look. */
const ASKED_AT_ONCE_MAX = 20
const FINAL_STATES: ReadonlySet<unknown> = new Set(['counted', 'quarantined', 'held', 'withdrawn'])

interface Followed {
  readonly counted: number
  /** Quarantined or held: the operator has to look. */
  readonly wrong: number
  /** Still on their way when it was enough. */
  readonly open: number
}

interface Following {
  readonly hub: URL
  readonly identity: Identity
  readonly signal: AbortSignal
  readonly note: (line: string) => void
}

/**
 * Finds out what became of batches after their receipt, and keeps it in the receipt: a batch that came whole may still
 * be one that cannot be counted.
 */
export class ReceiptFollower {
  readonly #spool: Spool
  /** SHA-256 of the bytes as sent by that of the batch. */
  readonly #open = new Map<string, string>()
  #counted = 0
  #wrong = 0

  constructor(spool: Spool) {
    this.#spool = spool
  }

  /** Takes up what earlier runs did not see the end of. */
  takeUp(): void {
    const folder = join(this.#spool.path, 'receipts')
    let names: string[]
    try {
      names = readdirSync(folder).filter(name => /^[0-9a-f]{64}\.json$/.test(name))
    } catch {
      return
    }
    const time = (name: string): number => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0
    const latest = names.map(name => ({ name, at: time(name) })).sort((a, b) => b.at - a.at)
    for (const { name } of latest.slice(0, TAKEN_UP_MAX)) {
      try {
        this.#openOf(name.slice(0, 64), JSON.parse(readFileSync(join(folder, name), 'utf8')) as object)
      } catch {
        // Removed meanwhile, or not ours.
      }
    }
  }

  /** A receipt that the hub has just given; of a repeated upload it says the end at once. */
  follow(batch: string, receipt: object): void {
    const { state } = receipt as { state?: unknown }
    if (state === 'counted') this.#counted++
    if (state === 'quarantined' || state === 'held') this.#wrong++
    this.#openOf(batch, receipt)
  }

  #openOf(batch: string, receipt: object): void {
    const { sha256, state } = receipt as { sha256?: unknown; state?: unknown }
    if (typeof sha256 === 'string' && state === 'received') this.#open.set(batch, sha256)
  }

  /** Asks about some of them, once, and waits for none. */
  async look(request: Following): Promise<void> {
    for (const [batch, sha256] of [...this.#open].slice(0, ASKED_AT_ONCE_MAX)) {
      if (!(await this.#ask(batch, sha256, 0, request))) return
    }
  }

  /** Asks until all have come to their end, or the time is over, or the hub does not answer. */
  async end(request: Following, milliseconds: number): Promise<Followed> {
    const deadline = performance.now() + milliseconds
    while (this.#open.size > 0 && !request.signal.aborted) {
      const left = Math.floor((deadline - performance.now()) / 1000)
      if (left < 1) break
      const [batch, sha256] = this.#open.entries().next().value!
      if (!(await this.#ask(batch, sha256, Math.min(left, 30), request)) || this.#open.has(batch)) break
    }
    return { counted: this.#counted, wrong: this.#wrong, open: this.#open.size }
  }

  /** @returns false when the hub has no answer to give */
  async #ask(
    batch: string,
    sha256: string,
    wait: number,
    { hub, identity, signal, note }: Following,
  ): Promise<boolean> {
    const path = `api/v1/receipts/${sha256}?wait=${wait}`
    const answer = await askHub({ hub, identity, method: 'GET', path, signal }).catch(() => null)
    const receipt = (answer?.status === 200 ? answer.body : null) as Record<string, unknown> | null
    if (receipt === null || receipt['sha256'] !== sha256) return false
    const { state } = receipt
    if (!FINAL_STATES.has(state)) return true
    this.#open.delete(batch)
    this.#spool.keepReceipt(batch, receipt)
    if (state === 'counted') this.#counted++
    if (state !== 'quarantined' && state !== 'held') return true
    this.#wrong++
    const why = String(receipt['error_message'] ?? '').replace(/[^\x20-\x7e]/g, '?')
    note(`batch ${batch}: the hub took it and does not count it: ${state}: ${why} [${String(receipt['error_code'])}]`)
    return true
  }
}
