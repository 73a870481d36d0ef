import { alone } from './alone.ts'
import { digestInWorker } from './digest-in-worker.ts'
import { Sender } from './sender.ts'
import { createUploadClient } from './upload-client.ts'
import { UploadQueue } from './upload-queue.ts'
import { openUploadStore } from './upload-store.ts'

/**
 * Uploads of this tab. They go on while other pages are looked at, so the app holds them. Events: `change`, and
 * `received` when the hub has given a receipt.
 */
export class Uploads extends EventTarget {
  readonly sender: Sender
  readonly queue: UploadQueue

  constructor() {
    super()
    const changed = (): void => void this.dispatchEvent(new Event('change'))
    this.sender = new Sender(() => {
      this.queue.allow(this.sender.sensors)
      changed()
    })
    this.queue = new UploadQueue({
      store: openUploadStore(),
      client: createUploadClient(() => this.sender.token),
      digest: digestInWorker,
      alone: (id, signal, onElsewhere, work) => alone(`upload-${id}`, signal, onElsewhere, work),
      onChange: changed,
      onReceived: () => void this.dispatchEvent(new Event('received')),
    })
  }

  /** Part of all bytes in the queue that has gone; null when nothing is being sent. */
  get share(): number | null {
    const open = this.queue.items.filter(({ phase }) => phase === 'sending' || phase === 'queued')
    if (!open.some(({ phase }) => phase === 'sending')) return null
    const total = open.reduce((sum, { byteCount }) => sum + byteCount, 0)
    return open.reduce((sum, { sent }) => sum + sent, 0) / total
  }
}
