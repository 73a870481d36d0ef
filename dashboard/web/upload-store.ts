/** What is kept of uploads that are not finished, so that they survive a reload, a crash and a closed tab. */

export interface UploadRecord {
  readonly id: string
  readonly sensor: string
  /** Name, size and time of change tell whether a file is the same; the bytes themselves are not kept. */
  readonly name: string
  readonly byteCount: number
  /** Unix milliseconds. */
  readonly lastModified: number
  /** The upload at the hub; null before it is made. */
  readonly url: string | null
  /** Bytes on the hub's disk when it last said so. */
  readonly durable: number
  readonly isPaused: boolean
  /** By which the browser opens the file again; null where it gives none, and the file must be chosen again. */
  readonly handle: FileSystemFileHandle | null
  /** Unix milliseconds; the queue goes by it. */
  readonly addedAt: number
}

export interface UploadStore {
  /** Oldest first. */
  all(): Promise<UploadRecord[]>
  put(record: UploadRecord): Promise<void>
  remove(id: string): Promise<void>
}

const DATABASE = 'hirundo'
const DATABASE_VERSION = 1
const UPLOADS = 'uploads'

/** In the browser's IndexedDB; only for as long as the page where that is not allowed (private windows). */
export function openUploadStore(): UploadStore {
  const opened = open().catch(() => null)
  const kept = new Map<string, UploadRecord>()
  return {
    async all() {
      const database = await opened
      const records = database ? await run(database, 'readonly', uploads => uploads.getAll()) : [...kept.values()]
      return (records as UploadRecord[]).sort((a, b) => a.addedAt - b.addedAt)
    },
    async put(record) {
      const database = await opened
      if (database) await run(database, 'readwrite', uploads => uploads.put(record))
      else kept.set(record.id, record)
    },
    async remove(id) {
      const database = await opened
      if (database) await run(database, 'readwrite', uploads => uploads.delete(id))
      else kept.delete(id)
    },
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, DATABASE_VERSION)
    request.addEventListener('upgradeneeded', () => request.result.createObjectStore(UPLOADS, { keyPath: 'id' }))
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(request.error))
    // Another tab holds an older version: without the store, as where there is none.
    request.addEventListener('blocked', () => reject(new Error('blocked')))
  })
}

function run<T>(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  ask: (uploads: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(UPLOADS, mode)
    const request = ask(transaction.objectStore(UPLOADS))
    transaction.addEventListener('complete', () => resolve(request.result))
    transaction.addEventListener('error', () => reject(transaction.error))
    transaction.addEventListener('abort', () => reject(transaction.error))
  })
}
