import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ResumableUpload, uploadResumably } from '../../collector/resumable-upload.ts'
import { type CaptureSendRequest, sendCaptures } from '../../collector/send-captures.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { openTestHub, type TestHub } from '../support/test-hub.ts'

// The sensor's side against a real hub: what is asked, and what happens when the hub says no or forgets.

const newFolder = temporaryFolders()
let hub: TestHub
let url: URL
let asked: string[] = []
beforeAll(async () => {
  hub = await openTestHub()
  await hub.app.listen({ host: '127.0.0.1', port: 0 })
  url = new URL(`http://127.0.0.1:${(hub.app.server.address() as AddressInfo).port}/`)
  hub.app.server.on('request', ({ method, url: path }) =>
    asked.push(`${method} ${path!.replace(/[0-9a-f]{32,}/, 'X')}`),
  )
})
afterEach(() => {
  asked = []
})
afterAll(() => hub.close())

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

function upload(bytes: Buffer, more: Partial<ResumableUpload> = {}) {
  return uploadResumably({
    hub: url,
    identity: { sensor: 'jp-1', token: hub.tokens.sensor },
    kind: 'capture',
    sha256: sha256(bytes),
    byteCount: bytes.length,
    contentType: 'application/octet-stream',
    open: (offset, length) => Readable.from([bytes.subarray(offset, offset + length)]),
    chunkBytes: 1000,
    signal: new AbortController().signal,
    triesMax: 3,
    retryMs: 1,
    ...more,
  })
}

describe('an upload of a sensor', () => {
  it('goes in one PUT when it is small, in chunks when it is not', async () => {
    expect((await upload(randomBytes(1000))).status).toBe(201)
    expect(asked).toEqual(['PUT /api/v1/captures/X'])
    asked = []
    const bytes = randomBytes(2500)
    const progress: number[] = []
    expect((await upload(bytes, { onProgress: at => progress.push(at) })).status).toBe(201)
    const patch = 'PATCH /api/v1/uploads/X'
    expect(asked).toEqual(['POST /api/v1/uploads?kind=capture', patch, patch, patch])
    expect(progress).toEqual([0, 1000, 2000])
    asked = []
    expect((await upload(bytes)).status).toBe(200)
    expect(asked).toEqual(['POST /api/v1/uploads?kind=capture'])
  })

  it('goes on after a run that was given up', async () => {
    const bytes = randomBytes(4500)
    const stop = new AbortController()
    const stopping = upload(bytes, {
      signal: stop.signal,
      onProgress: at => {
        if (at === 3000) stop.abort()
      },
    })
    await expect(stopping).rejects.toMatchObject({ name: 'AbortError' })
    const offsets: number[] = []
    const open = (offset: number, length: number) => {
      offsets.push(offset)
      return Readable.from([bytes.subarray(offset, offset + length)])
    }
    expect((await upload(bytes, { open })).status).toBe(201)
    expect(offsets[0]).toBe(3000)
  })

  it('begins anew when the hub has lost it, but not for ever', async () => {
    const bytes = randomBytes(3500)
    let drops = 1
    const forgets = async (at: number) => {
      if (at === 1000 && drops-- > 0)
        await hub.resumable.findSame({ sensor: 'jp-1', kind: 'capture', sha256: sha256(bytes), length: 3500 })!.remove()
    }
    const open = (offset: number, length: number) =>
      Readable.from(
        (async function* () {
          await forgets(offset)
          yield bytes.subarray(offset, offset + length)
        })(),
      )
    expect((await upload(bytes, { open })).status).toBe(201)
    drops = Number.POSITIVE_INFINITY
    const others = randomBytes(3500)
    bytes.set(others)
    const lost = upload(bytes, { open, sha256: sha256(bytes) })
    await expect(lost).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
  })

  it('is answered with what the hub refuses', async () => {
    const bytes = randomBytes(2500)
    const refused = async (more: Partial<ResumableUpload>) => (await upload(bytes, more)).body
    expect(await refused({ sha256: 'a'.repeat(64) })).toMatchObject({ error: { code: 'DIGEST_MISMATCH' } })
    expect(await refused({ contentType: 'text/plain' })).toMatchObject({ error: { code: 'CONTENT_TYPE_UNSUPPORTED' } })
    expect(await refused({ sensor: 'vn-1' })).toMatchObject({ error: { code: 'FORBIDDEN' } })
    const unknown = { sensor: 'jp-1', token: 'nonsense-token' }
    expect(await refused({ identity: unknown })).toMatchObject({ error: { code: 'UNAUTHENTICATED' } })
    const byCoordinator = { identity: { sensor: 'jp-1', token: hub.tokens.coordinator }, sensor: 'vn-1' }
    expect(await refused(byCoordinator)).toMatchObject({ sensor: 'vn-1', byte_count: 2500 })
  })

  it('is given up when nobody answers, and when its bytes cannot be read', async () => {
    const nowhere = upload(randomBytes(2500), { hub: new URL('http://127.0.0.1:9/') })
    await expect(nowhere).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
    const open = () =>
      new Readable({
        read() {
          this.destroy(Object.assign(new Error('gone'), { code: 'EIO' }))
        },
      })
    await expect(upload(randomBytes(2500), { open })).rejects.toMatchObject({ code: 'EIO' })
  })
})

describe('captures that are named', () => {
  function send(paths: string[], more: Partial<CaptureSendRequest> = {}) {
    const printed: string[] = []
    const notes: string[] = []
    const sending = sendCaptures({
      paths,
      hub: url,
      identity: { sensor: 'jp-1', token: hub.tokens.sensor },
      wait: false,
      signal: new AbortController().signal,
      print: line => printed.push(line),
      note: line => notes.push(line),
      chunkBytes: 1000,
      retryMs: 1,
      ...more,
    })
    return { sending, printed, notes }
  }

  it('are sent one after the other, and what became of each is printed', async () => {
    const folder = newFolder()
    const [small, large] = [randomBytes(10), randomBytes(2500)]
    writeFileSync(join(folder, 'small.pcap'), small)
    writeFileSync(join(folder, 'large\n.pcap'), large)
    const { sending, printed } = send([join(folder, 'small.pcap'), join(folder, 'large\n.pcap')])
    expect(await sending).toEqual({ received: 2, refused: 0 })
    expect(printed).toEqual([
      `small.pcap: received, 10 bytes, SHA-256 ${sha256(small)}`,
      `large\\x0a.pcap: received, 2 500 bytes, SHA-256 ${sha256(large)}`,
    ])
  })

  it('are waited for until the hub has judged them', async () => {
    const path = join(newFolder(), 'bad.pcap')
    const bytes = randomBytes(1500)
    writeFileSync(path, bytes)
    const { sending, printed } = send([path], { wait: true })
    const judged = expect.poll(() => hub.storage.findReceipt('jp-1', sha256(bytes))).not.toBeNull()
    await judged
    await hub.storage.quarantine('jp-1', sha256(bytes), { code: 'CAPTURE_FORMAT_UNKNOWN', message: 'no capture' })
    expect(await sending).toEqual({ received: 0, refused: 1 })
    expect(printed[0]).toMatch(/^bad\.pcap: quarantined, .* no capture \[CAPTURE_FORMAT_UNKNOWN\]$/)
  })

  it('that are not there, empty, or of a sensor that is not ours, are an error', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'empty.pcap'), '')
    writeFileSync(join(folder, 'a.pcap'), 'a')
    const missing = send([join(folder, 'none.pcap')]).sending
    await expect(missing).rejects.toMatchObject({ code: 'CAPTURE_NOT_FOUND' })
    await expect(send([join(folder, 'empty.pcap')]).sending).rejects.toMatchObject({ code: 'CAPTURE_EMPTY' })
    await expect(send([folder]).sending).rejects.toMatchObject({ code: 'CAPTURE_UNREADABLE' })
    const among = send([join(folder, 'none.pcap'), join(folder, 'empty.pcap'), join(folder, 'a.pcap')])
    expect(await among.sending).toEqual({ received: 1, refused: 2 })
    expect(among.notes.map(line => /\[\w+\]$/.exec(line)?.[0])).toEqual(['[CAPTURE_NOT_FOUND]', '[CAPTURE_EMPTY]'])
    expect(among.printed).toHaveLength(1)
    const foreign = send([join(folder, 'a.pcap')], { sensor: 'vn-1' }).sending
    await expect(foreign).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})
