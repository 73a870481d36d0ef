import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { parseHubUrl } from '../../collector/hub-request.ts'
import { type SendRequest, sendSpool } from '../../collector/send.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Sending against a server that answers, refuses, breaks off or talks nonsense.

const newFolder = temporaryFolders()
type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void

const servers: { close(): void; closeAllConnections(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

interface Seen {
  readonly url: string
  readonly authorization: string | undefined
  readonly type: string | undefined
  readonly length: string | undefined
  readonly body: Buffer
}

/** A hub that gives each request the next answer, and the last one from then on. */
async function hub(...answers: Answer[]): Promise<{ url: URL; seen: Seen[] }> {
  const seen: Seen[] = []
  let number = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    const answer = answers[Math.min(number++, answers.length - 1)]!
    if (answer === cutsConnection) return answer(request, response, Buffer.alloc(0))
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const { authorization, 'content-type': type, 'content-length': length } = request.headers
    seen.push({ url: request.url!, authorization, type, length, body })
    answer(request, response, body)
  })
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { url: parseHubUrl(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), seen }
}

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const json =
  (status: number, value: object): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }
const accepts: Answer = (_request, response, body) => {
  response.writeHead(201).end(JSON.stringify({ sha256: sha256Of(body), state: 'received' }))
}
const cutsConnection: Answer = request => void request.socket.destroy()
const refuses = (status: number, code: string): Answer => json(status, { error: { code, message: 'no', details: {} } })

/** A spool with batches of these sizes, the first one the oldest. */
function spoolOf(...sizes: number[]): { spool: string; names: string[] } {
  const spool = newFolder()
  const names = sizes.map((size, index) => {
    const bytes = randomBytes(size)
    const path = join(spool, `${sha256Of(bytes)}.arrow`)
    writeFileSync(path, bytes)
    utimesSync(path, 1000 + index, 1000 + index)
    return sha256Of(bytes)
  })
  writeFileSync(join(spool, 'jp-1.key'), 'no batch')
  return { spool, names }
}

function send(spool: string, url: URL, more: Partial<SendRequest> = {}) {
  return sendSpool({
    spool,
    hub: url,
    identity: { sensor: 'jp-1', token: 'token-of-jp-1' },
    watch: false,
    signal: new AbortController().signal,
    note: () => {},
    retryMs: 1,
    watchMs: 5,
    ...more,
  })
}

const left = (spool: string) => readdirSync(spool).filter(name => name.endsWith('.arrow')).length

describe('send', () => {
  it('puts each batch once, oldest first, and leaves the receipts', async () => {
    const { spool, names } = spoolOf(10, 300_000, 20)
    const { url, seen } = await hub(accepts)
    expect(await send(spool, url)).toEqual({ sent: 3, refused: 0, waiting: 0 })
    expect(seen.map(({ body }) => sha256Of(gunzipSync(body)))).toEqual(names)
    for (const [index, { url, authorization, type, length, body }] of seen.entries()) {
      expect([url, authorization, type, length]).toEqual([
        `/api/v1/batches/${sha256Of(body)}`,
        'Bearer token-of-jp-1',
        'application/gzip',
        String(body.length),
      ])
      // Under the name of the batch, with the digest that the hub knows it by.
      const receipt = JSON.parse(readFileSync(join(spool, 'receipts', `${names[index]}.json`), 'utf8'))
      expect(receipt).toMatchObject({ sha256: sha256Of(body) })
    }
    expect(readdirSync(join(spool, 'receipts')).sort()).toEqual(names.map(name => `${name}.json`).sort())
    expect(left(spool)).toBe(0)
    expect(existsSync(join(spool, 'jp-1.key'))).toBe(true)
  })

  it('keeps the path of the address', async () => {
    const { spool } = spoolOf(10)
    const { url, seen } = await hub(accepts)
    await send(spool, parseHubUrl(`${url.origin}/hirundo`))
    expect(seen[0]!.url).toBe(`/hirundo/api/v1/batches/${sha256Of(seen[0]!.body)}`)
  })

  it('does nothing with an empty spool', async () => {
    expect(await send(newFolder(), parseHubUrl('http://127.0.0.1:9'))).toEqual({ sent: 0, refused: 0, waiting: 0 })
  })

  it.each<[string, Answer]>([
    ['a cut connection', cutsConnection],
    ['503', refuses(503, 'NOT_READY')],
    ['a full disk', refuses(507, 'DISK_FULL')],
    ['a defect', refuses(500, 'INTERNAL')],
    ['a body damaged on the way', refuses(422, 'DIGEST_MISMATCH')],
    ['a proxy that answers in HTML', (_request, response) => void response.writeHead(502).end('<html>')],
    ['a portal that says 200', (_request, response) => void response.writeHead(200).end('<html>log in</html>')],
    ['the receipt of something else', json(200, { sha256: '0'.repeat(64) })],
  ])('tries again after %s', async (_why, answer) => {
    const { spool } = spoolOf(100_000, 10)
    const { url } = await hub(answer, answer, accepts)
    expect(await send(spool, url)).toEqual({ sent: 2, refused: 0, waiting: 0 })
  })

  it('gives up after six failures in a row, and all batches stay', async () => {
    const { spool } = spoolOf(10, 10)
    const { url } = await hub(cutsConnection)
    await expect(send(spool, url)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
    expect([left(spool), existsSync(join(spool, 'receipts'))]).toEqual([2, false])
  })

  it('says so when nobody listens', async () => {
    const { spool } = spoolOf(10)
    await expect(send(spool, parseHubUrl('http://127.0.0.1:9'))).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
    expect(left(spool)).toBe(1)
  })

  it('puts aside what the hub will never take, and goes on with the rest', async () => {
    const { spool, names } = spoolOf(10, 20)
    const { url } = await hub(refuses(413, 'BODY_TOO_LARGE'), accepts)
    const notes: string[] = []
    expect(await send(spool, url, { note: line => notes.push(line) })).toEqual({ sent: 1, refused: 1, waiting: 0 })
    expect(readdirSync(join(spool, 'refused')).sort()).toEqual([`${names[0]}.arrow`, `${names[0]}.json`])
    expect(JSON.parse(readFileSync(join(spool, 'refused', `${names[0]}.json`), 'utf8'))).toEqual({
      code: 'BODY_TOO_LARGE',
      message: 'no',
    })
    expect(notes.join()).toContain('BODY_TOO_LARGE')
  })

  it('puts a batch aside whose own bytes are damaged, and does not send it', async () => {
    const { spool, names } = spoolOf(10, 20)
    writeFileSync(join(spool, `${names[0]}.arrow`), 'rotten')
    utimesSync(join(spool, `${names[0]}.arrow`), 1000, 1000)
    const { url, seen } = await hub(accepts)
    expect(await send(spool, url)).toEqual({ sent: 1, refused: 1, waiting: 0 })
    expect(seen.map(({ body }) => sha256Of(gunzipSync(body)))).toEqual([names[1]])
    expect(JSON.parse(readFileSync(join(spool, 'refused', `${names[0]}.json`), 'utf8'))).toEqual({
      code: 'DIGEST_MISMATCH',
      message: `batch: its bytes no longer have the SHA-256 ${names[0]} that it is named by; the disk has damaged it`,
    })
    expect(readFileSync(join(spool, 'refused', `${names[0]}.arrow`), 'utf8')).toBe('rotten')
  })

  it('a batch that cannot be read stays, and does not keep the others waiting', async () => {
    const { spool, names } = spoolOf(10)
    mkdirSync(join(spool, `${'0'.repeat(64)}.arrow`))
    utimesSync(join(spool, `${'0'.repeat(64)}.arrow`), 1, 1)
    const { url } = await hub(accepts)
    await expect(send(spool, url)).rejects.toMatchObject({ code: 'SPOOL_UNREADABLE' })
    expect([left(spool), readdirSync(join(spool, 'receipts'))]).toEqual([1, [`${names[0]}.json`]])
  })

  it('is told to stop while it compresses: the batch stays, and no error is made of it', async () => {
    const { spool } = spoolOf(3_000_000)
    const { url, seen } = await hub(accepts)
    const stop = new AbortController()
    const running = send(spool, url, { signal: stop.signal })
    stop.abort()
    expect(await running).toEqual({ sent: 0, refused: 0, waiting: 1 })
    expect(seen).toEqual([])
  })

  it.each([
    [401, 'UNAUTHENTICATED'],
    [403, 'FORBIDDEN'],
    [404, 'SENSOR_UNKNOWN'],
  ])('stops at %i %s: no other batch would fare better', async (status, code) => {
    const { spool } = spoolOf(400_000, 10)
    const { url, seen } = await hub(refuses(status, code))
    await expect(send(spool, url)).rejects.toMatchObject({ code })
    expect([left(spool), seen.length]).toEqual([2, 1])
  })

  it('a batch that the hub stumbles over does not keep the others waiting', async () => {
    const { spool, names } = spoolOf(10, 20, 30)
    const { url } = await hub((request, response, body) => {
      const answer = sha256Of(gunzipSync(body)) === names[0] ? refuses(500, 'INTERNAL') : accepts
      answer(request, response, body)
    })
    await expect(send(spool, url)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
    expect(readdirSync(join(spool, 'receipts')).sort()).toEqual([`${names[1]}.json`, `${names[2]}.json`].sort())
  })

  it('two at once send everything, and nothing twice into nowhere', async () => {
    const { spool, names } = spoolOf(...Array.from({ length: 20 }, () => 5000))
    const { url } = await hub(accepts)
    const [first, second] = await Promise.all([send(spool, url), send(spool, url)])
    expect(first.sent + second.sent).toBeGreaterThanOrEqual(20)
    expect(left(spool)).toBe(0)
    expect(readdirSync(join(spool, 'receipts')).sort()).toEqual(names.map(name => `${name}.json`).sort())
  })

  it('watches: outlives a hub that is away, sends what comes later, ends when told', async () => {
    const { spool } = spoolOf(10)
    const { url, seen } = await hub(...Array.from({ length: 8 }, () => cutsConnection), accepts)
    const stop = new AbortController()
    const running = send(spool, url, { watch: true, signal: stop.signal })
    while (seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    while (left(spool) > 0) await new Promise(resolve => setTimeout(resolve, 5))
    stop.abort()
    expect(await running).toEqual({ sent: 1, refused: 0, waiting: 0 })
  })

  it('watches for a spool that collect has not made yet, and says so', async () => {
    const { spool, names } = spoolOf(10)
    const { url, seen } = await hub(accepts)
    const later = join(newFolder(), 'spool')
    const stop = new AbortController()
    const notes: string[] = []
    const running = send(later, url, { watch: true, signal: stop.signal, note: line => notes.push(line) })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(seen).toEqual([])
    renameSync(spool, later)
    while (left(later) > 0) await new Promise(resolve => setTimeout(resolve, 5))
    stop.abort()
    expect(await running).toEqual({ sent: 1, refused: 0, waiting: 0 })
    // It may have asked already what became of the receipt.
    const uploads = seen.filter(({ url }) => url.startsWith('/api/v1/batches/'))
    expect(uploads.map(({ body }) => sha256Of(gunzipSync(body)))).toEqual(names)
    expect(seen.filter(request => !uploads.includes(request) && !request.url.startsWith('/api/v1/receipts'))).toEqual(
      [],
    )
    expect(notes).toEqual([`spool ${later}: is not there; waiting for hirundo collect to make it`])
  })

  it('ends when told while a spool is not there', async () => {
    const stop = new AbortController()
    const watching = { watch: true, signal: stop.signal }
    const running = send(join(newFolder(), 'gone'), parseHubUrl('http://127.0.0.1:9'), watching)
    stop.abort()
    expect(await running).toEqual({ sent: 0, refused: 0, waiting: 0 })
  })

  it('a spool that is not there is an error', async () => {
    const gone = join(newFolder(), 'gone')
    await expect(send(gone, parseHubUrl('http://127.0.0.1:9'))).rejects.toMatchObject({ code: 'SPOOL_UNREADABLE' })
  })

  it('a hub address is http or https', () => {
    for (const text of ['hub.example', 'ftp://hub.example', '']) {
      expect(() => parseHubUrl(text)).toThrow(expect.objectContaining({ code: 'USAGE' }))
    }
  })
})
