import { createHash } from 'node:crypto'
import type { UploadClient } from '../../dashboard/web/upload-client.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'

/** A hub in memory as a browser's uploads see it, over a line that the test breaks where it wants. */
export interface MemoryUploads {
  readonly client: UploadClient
  /** What was asked, in order: `create`, `look`, `append 0+1048576`, `append 1048576+10!` (the last), `cancel`, `find`. */
  readonly asked: string[]
  /** Bytes of uploads that are open, by place. */
  readonly open: Map<string, Buffer>
  /** Receipts by digest. */
  readonly received: Map<string, Receipt>
  /** Called before each request; what it throws is what the caller gets. A number lets only so many bytes through. */
  disturb: (request: string) => number | undefined
  appendBytesMax: number | null
}

export function openMemoryUploads(): MemoryUploads {
  let made = 0
  const uploads: MemoryUploads = {
    asked: [],
    open: new Map(),
    received: new Map(),
    disturb: () => undefined,
    appendBytesMax: null,
    client: {
      async create({ sha256 }) {
        ask('create')
        const earlier = sha256 === null ? undefined : uploads.received.get(sha256)
        if (earlier) return { receipt: earlier }
        const url = `/api/v1/uploads/${++made}`
        uploads.open.set(url, Buffer.alloc(0))
        return { open: { url, offset: 0, appendBytesMax: uploads.appendBytesMax } }
      },
      async look(url) {
        ask('look')
        const bytes = uploads.open.get(url)
        return bytes ? { url, offset: bytes.length, appendBytesMax: uploads.appendBytesMax, isComplete: false } : null
      },
      async append({ url, offset, content, sha256, onProgress }) {
        const bytes = uploads.open.get(url)
        if (!bytes) throw new TelescopeError('NOT_FOUND', 'upload: there is none', { status: 404 })
        if (offset !== bytes.length) {
          throw new TelescopeError('INTERNAL', 'upload: another offset', { status: 409 })
        }
        const piece = Buffer.from(await content.arrayBuffer())
        const kept = ask(`append ${offset}+${piece.length}${sha256 === null ? '' : '!'}`)
        onProgress(piece.length)
        const all = Buffer.concat([bytes, piece.subarray(0, kept)])
        uploads.open.set(url, all)
        if (kept !== undefined) throw lineBroke()
        if (sha256 === null) return { open: { url, offset: all.length, appendBytesMax: uploads.appendBytesMax } }
        uploads.open.delete(url)
        if (createHash('sha256').update(all).digest('hex') !== sha256) {
          throw new TelescopeError('DIGEST_MISMATCH', 'body: has another SHA-256', { status: 422 })
        }
        const receipt = receiptOf(sha256, all.length)
        uploads.received.set(sha256, receipt)
        return { receipt }
      },
      async cancel(url) {
        ask('cancel')
        uploads.open.delete(url)
      },
      async findReceipt(_sensor, sha256) {
        ask('find')
        return uploads.received.get(sha256) ?? null
      },
    },
  }
  const ask = (request: string): number | undefined => {
    uploads.asked.push(request)
    return uploads.disturb(request)
  }
  return uploads
}

export function lineBroke(): TelescopeError {
  return new TelescopeError('HUB_UNREACHABLE', 'hub: the connection broke')
}

/** Only what an upload looks at. */
function receiptOf(sha256: string, byteCount: number): Receipt {
  return { sensor: 'jp-1', sha256, state: 'received', byte_count: byteCount } as Receipt
}
