import { open, readdir, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Storage } from '../../analytics/storage.ts'
import { type Receipt, UPLOAD_KINDS, type UploadKind } from '../../schemas/catalog.ts'
import {
  type DataFolder,
  emptyFolder,
  inboxFolder,
  inboxPath,
  keptPath,
  makeFolder,
  moveFile,
  syncFolder,
} from './data-folder.ts'

/** Receipts asked for at once; of more the rest is looked for one by one. */
const WAITING_MAX = 1_000_000

/** What becomes of received bytes once the catalog has decided; each step can be repeated after a crash. */
export class Inbox {
  readonly #folder: DataFolder
  readonly #keepCaptures: boolean
  /** Steps that move files now. */
  readonly #moves = new Set<Promise<unknown>>()
  /** Resolves when files may be moved. */
  #stillness: Promise<void> = Promise.resolve()

  /** @param keepCaptures whether a counted raw capture moves to captures/ or is removed; batches are always kept */
  constructor(folder: DataFolder, keepCaptures: boolean) {
    this.#folder = folder
    this.#keepCaptures = keepCaptures
  }

  /** Puts the bytes where the state of the receipt says that they lie. */
  place(receipt: Receipt): Promise<void> {
    return this.#move(() => this.#place(receipt))
  }

  async #place(receipt: Receipt): Promise<void> {
    const { kind, sensor, sha256, state } = receipt
    if (state === 'received' || state === 'held') return
    if (state === 'quarantined') {
      await this.#quarantine(receipt, { code: receipt.error_code ?? '', message: receipt.error_message ?? '' })
      return
    }
    const path = inboxPath(this.#folder, kind, sensor, sha256)
    if (kind === 'batch' || this.#keepCaptures) await moveFile(path, keptPath(this.#folder, kind, sensor, sha256))
    else await unlink(path).catch(ignoreMissing)
  }

  /**
   * Brings the bytes of an upload back to where counting takes them from; durable when it resolves.
   * @returns false when they are kept nowhere
   */
  fetch(upload: Pick<Receipt, 'kind' | 'sensor' | 'sha256'>): Promise<boolean> {
    return this.#move(() => this.#fetch(upload))
  }

  async #fetch({ kind, sensor, sha256 }: Pick<Receipt, 'kind' | 'sensor' | 'sha256'>): Promise<boolean> {
    const path = inboxPath(this.#folder, kind, sensor, sha256)
    await makeFolder(dirname(path))
    const refused = join(this.#folder.quarantine, sensor, sha256)
    for (const place of [keptPath(this.#folder, kind, sensor, sha256), refused]) {
      if (!(await moveFile(place, path))) continue
      await syncFolder(dirname(path))
      await syncFolder(dirname(place))
      if (place === refused) await unlink(`${refused}.json`).catch(ignoreMissing)
    }
    return (await stat(path).catch(() => null)) !== null
  }

  /** After the commit that refused it: the bytes stay for whoever looks into it, with the reason beside them. */
  quarantine(upload: Pick<Receipt, 'kind' | 'sensor' | 'sha256'>, error: { code: string; message: string }) {
    return this.#move(() => this.#quarantine(upload, error))
  }

  async #quarantine(upload: Pick<Receipt, 'kind' | 'sensor' | 'sha256'>, error: { code: string; message: string }) {
    const { kind, sensor, sha256 } = upload
    const kept = join(this.#folder.quarantine, sensor, sha256)
    if (!(await moveFile(inboxPath(this.#folder, kind, sensor, sha256), kept))) return
    const reason = await open(`${kept}.json`, 'w', 0o600)
    try {
      await reason.writeFile(`${JSON.stringify({ sensor, sha256, kind, ...error })}\n`)
    } finally {
      await reason.close()
    }
  }

  /** Runs work during which every file stays where it is; what comes in meanwhile only adds some. */
  async still<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#stillness
    let end!: () => void
    const own = new Promise<void>(resolve => {
      end = resolve
    })
    this.#stillness = before.then(() => own)
    try {
      await before
      await Promise.allSettled([...this.#moves])
      return await work()
    } finally {
      end()
    }
  }

  async #move<T>(step: () => Promise<T>): Promise<T> {
    await this.#stillness
    const moving = step()
    this.#moves.add(moving)
    try {
      return await moving
    } finally {
      this.#moves.delete(moving)
    }
  }

  /**
   * Puts right what a crash left between two steps: half bodies, files of the parsing child, bytes that got no receipt
   * (so nobody was promised anything), and bytes whose upload is counted, quarantined or withdrawn already.
   */
  async sweep(storage: Storage): Promise<void> {
    await emptyFolder(this.#folder.arriving)
    await emptyFolder(this.#folder.parsed)
    // What waits stays where it lies; it may be thousands, and to look for each among all receipts takes a while.
    const waiting = new Set((await storage.pending(WAITING_MAX)).map(placeOf))
    for (const kind of UPLOAD_KINDS) {
      const folder = inboxFolder(this.#folder, kind)
      for (const sensor of await readdir(folder).catch(emptyWhenMissing)) {
        await this.#sweepSensor(storage, kind, sensor, waiting)
      }
    }
  }

  async #sweepSensor(storage: Storage, kind: UploadKind, sensor: string, waiting: ReadonlySet<string>): Promise<void> {
    const folder = join(inboxFolder(this.#folder, kind), sensor)
    for (const sha256 of await readdir(folder)) {
      if (waiting.has(placeOf({ kind, sensor, sha256 }))) continue
      const receipt = await storage.findReceipt(sensor, sha256)
      if (receipt === null) await unlink(join(folder, sha256))
      else await this.place(receipt)
    }
    await syncFolder(folder)
  }
}

function placeOf({ kind, sensor, sha256 }: Pick<Receipt, 'kind' | 'sensor' | 'sha256'>): string {
  return `${kind} ${sensor} ${sha256}`
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}

function emptyWhenMissing(error: unknown): string[] {
  ignoreMissing(error)
  return []
}
