import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type SendFile, sendFile } from '../../../dashboard/web/send-file.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { lineBroke, type MemoryUploads, openMemoryUploads } from '../../support/memory-uploads.ts'

const MIB = 1024 * 1024
const bytes = randomBytes(20 * MIB + 5)
const digestOf = (content: Uint8Array) => createHash('sha256').update(content).digest('hex')

/** Sends `content`; no time passes. */
function send(uploads: MemoryUploads, content: Uint8Array, change: Partial<SendFile> = {}) {
  const seen = { places: [] as (string | null)[], troubles: [] as (string | null)[], waits: [] as number[], durable: 0 }
  let clock = 0
  const sent = sendFile({
    client: uploads.client,
    file: new Blob([Buffer.from(content)]),
    sensor: 'jp-1',
    contentType: 'application/vnd.tcpdump.pcap',
    url: null,
    digest: Promise.resolve(digestOf(content)),
    signal: new AbortController().signal,
    onPlace: url => seen.places.push(url),
    onProgress: (_sent, durable) => {
      seen.durable = durable
    },
    onTrouble: error => seen.troubles.push(error?.code ?? null),
    wait: async milliseconds => void seen.waits.push(milliseconds),
    // A second a look: pieces grow.
    now: () => (clock += 1000),
    ...change,
  })
  return { sent, seen }
}

describe('sendFile', () => {
  it('sends piece by piece, growing, and ends with the receipt', async () => {
    const uploads = openMemoryUploads()
    const { sent, seen } = send(uploads, bytes)
    expect((await sent).sha256).toBe(digestOf(bytes))
    expect(uploads.asked).toEqual([
      'create',
      // Larger than what is hashed first: the digest comes a moment later.
      'find',
      `append 0+${MIB}`,
      `append ${MIB}+${2 * MIB}`,
      `append ${3 * MIB}+${4 * MIB}`,
      `append ${7 * MIB}+${8 * MIB}`,
      `append ${15 * MIB}+${5 * MIB + 5}!`,
    ])
    expect(seen).toMatchObject({ places: ['/api/v1/uploads/1'], troubles: [], waits: [] })
  })

  it('goes on at the offset of the hub after the line broke, and waits longer each time', async () => {
    const uploads = openMemoryUploads()
    let cuts = 0
    uploads.disturb = request => {
      if (request === 'look' && cuts++ < 3) throw lineBroke()
      // 1000 bytes of the second piece come through.
      return request === `append ${MIB}+${2 * MIB}` ? 1000 : undefined
    }
    const { sent, seen } = send(uploads, bytes)
    await sent
    expect(uploads.asked).toContain(`append ${MIB + 1000}+${2 * MIB}`)
    expect(seen.waits).toEqual([1000, 2000, 4000, 8000])
    expect(seen.troubles).toEqual([...Array(4).fill('HUB_UNREACHABLE'), null])
  })

  it('never waits longer than half a minute', async () => {
    const uploads = openMemoryUploads()
    let cuts = 0
    uploads.disturb = request => {
      if (request === 'create' && cuts++ < 9) throw lineBroke()
      return undefined
    }
    const { sent, seen } = send(uploads, bytes)
    await sent
    expect(seen.waits.slice(-4)).toEqual([30_000, 30_000, 30_000, 30_000])
  })

  it('takes up an upload that an earlier visit began, and asks whether the hub has the bytes meanwhile', async () => {
    const uploads = openMemoryUploads()
    uploads.open.set('/api/v1/uploads/old', bytes.subarray(0, 7 * MIB))
    const { sent, seen } = send(uploads, bytes, { url: '/api/v1/uploads/old' })
    await sent
    expect(uploads.asked.slice(0, 3)).toEqual(['look', 'find', `append ${7 * MIB}+${MIB}`])
    expect(seen.places).toEqual([])
  })

  it('does not send the rest of what the hub has received by another way', async () => {
    const uploads = openMemoryUploads()
    const other = send(uploads, bytes)
    await other.sent
    uploads.open.set('/api/v1/uploads/old', bytes.subarray(0, 7 * MIB))
    uploads.asked.length = 0
    await send(uploads, bytes, { url: '/api/v1/uploads/old' }).sent
    expect(uploads.asked).toEqual(['look', 'find', 'cancel'])
  })

  it('hashes a small file first, so that nothing of it goes twice', async () => {
    const uploads = openMemoryUploads()
    const small = bytes.subarray(0, 1000)
    await send(uploads, small).sent
    uploads.asked.length = 0
    await send(uploads, small).sent
    expect(uploads.asked).toEqual(['create'])
  })

  it('finds the receipt when the answer to the last piece got lost', async () => {
    const uploads = openMemoryUploads()
    const small = bytes.subarray(0, 1000)
    const { append } = uploads.client
    const client = {
      ...uploads.client,
      append: async (...call: Parameters<typeof append>) => {
        await append(...call)
        throw lineBroke()
      },
    }
    expect((await send(uploads, small, { client }).sent).sha256).toBe(digestOf(small))
    expect(uploads.asked).toEqual(['create', 'append 0+1000!', 'look', 'find'])
  })

  it('begins anew when the hub has swept the upload', async () => {
    const uploads = openMemoryUploads()
    const { sent, seen } = send(uploads, bytes, { url: '/api/v1/uploads/swept' })
    await sent
    expect(seen.places).toEqual([null, '/api/v1/uploads/1'])
  })

  it('makes smaller pieces for a proxy that takes no larger ones, and holds to what the hub says', async () => {
    const uploads = openMemoryUploads()
    uploads.disturb = request => {
      if (Number.parseInt(request.split('+')[1] ?? '0', 10) > 300_000) {
        throw new TelescopeError('HUB_UNREACHABLE', 'hub: answered 413 without saying why', { status: 413 })
      }
      return undefined
    }
    const small = bytes.subarray(0, MIB)
    const { seen, sent } = send(uploads, small, { now: () => 0 })
    uploads.appendBytesMax = 200_000
    await sent
    expect(uploads.asked.filter(request => request.startsWith('append')).slice(0, 2)).toEqual([
      'append 0+200000',
      'append 200000+200000',
    ])
    uploads.appendBytesMax = null
    uploads.received.clear()
    uploads.asked.length = 0
    await send(uploads, small, { now: () => 0 }).sent
    expect(uploads.asked).toContain(`append 0+${MIB / 4}`)
    expect(seen.waits).toEqual([])
  })

  it.each([
    { code: 'FORBIDDEN', status: 403, why: 'the token may not' },
    { code: 'UNAUTHENTICATED', status: 401, why: 'the token was revoked' },
    { code: 'BODY_TOO_LARGE', status: 413, why: 'too large for the hub itself' },
  ] as const)('gives up at once: $why', async ({ code, status }) => {
    const uploads = openMemoryUploads()
    uploads.disturb = () => {
      throw new TelescopeError(code, 'no', { status })
    }
    const { sent, seen } = send(uploads, bytes)
    await expect(sent).rejects.toMatchObject({ code })
    expect(seen.waits).toEqual([])
  })

  it.each([
    { code: 'DISK_FULL', status: 507 },
    { code: 'NOT_READY', status: 503 },
    { code: 'INTERNAL', status: 429 },
  ] as const)('waits and tries again on $status', async ({ code, status }) => {
    const uploads = openMemoryUploads()
    let cuts = 0
    uploads.disturb = () => {
      if (cuts++ < 2) throw new TelescopeError(code, 'later', { status })
      return undefined
    }
    const { sent, seen } = send(uploads, bytes.subarray(0, 10))
    await sent
    expect(seen.troubles).toEqual([code, code, null])
  })

  it('refuses a file that changed: its digest is that of other bytes', async () => {
    const uploads = openMemoryUploads()
    const { sent } = send(uploads, bytes, { digest: Promise.resolve('0'.repeat(64)) })
    await expect(sent).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('tells a file that cannot be read any more from a broken line', async () => {
    const uploads = openMemoryUploads()
    const file = new Blob([bytes])
    uploads.disturb = request => {
      if (!request.startsWith('append')) return undefined
      file.slice = () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) as unknown as Blob
      throw lineBroke()
    }
    await expect(send(uploads, bytes, { file }).sent).rejects.toMatchObject({ code: 'CAPTURE_UNREADABLE' })
  })

  it('ends with the reason of whoever calls it off', async () => {
    const uploads = openMemoryUploads()
    const abort = new AbortController()
    uploads.disturb = request => {
      if (request.startsWith('append')) abort.abort('paused')
      return undefined
    }
    await expect(send(uploads, bytes, { signal: abort.signal }).sent).rejects.toBe('paused')
  })
})
