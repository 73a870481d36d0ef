import { createHash, randomBytes } from 'node:crypto'
import { renameSync, statSync } from 'node:fs'
import { type ClientRequest, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearer, openTestHub, type TestHub } from '../support/test-hub.ts'

// Resumable uploads over real connections: what is cut off stays, the later request wins, 104 goes to who knows it.

let hub: TestHub
let port: number
beforeAll(async () => {
  hub = await openTestHub()
  port = await listen(hub)
})
afterAll(() => hub.close())

async function listen({ app }: TestHub): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  app.server.on('checkContinue', (incoming, response) => app.routing(incoming, response))
  return (app.server.address() as { port: number }).port
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly body: string
  /** Informational answers before it. */
  readonly interim: { statusCode: number; headers: Record<string, unknown> }[]
  readonly continued: boolean
}

/** A request whose body the test writes as it likes. */
function open(method: string, path: string, headers: Record<string, string> = {}, to = port) {
  const authorization = bearer(hub.tokens.sensor)
  const call = request({
    port: to,
    host: '127.0.0.1',
    method,
    path,
    headers: { ...authorization, ...headers },
    agent: false,
  })
  const interim: Answer['interim'] = []
  let continued = false
  call.on('information', information =>
    interim.push({ statusCode: information.statusCode, headers: information.headers }),
  )
  call.on('continue', () => {
    continued = true
  })
  const answer = new Promise<Answer>((resolve, reject) => {
    call.on('error', reject)
    call.on('response', response => {
      let body = ''
      response.on('data', data => {
        body += data
      })
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode!, headers: response.headers, body, interim, continued })
      })
    })
  })
  // A test that cuts the connection does not wait for the answer.
  answer.catch(() => {})
  return { call, answer }
}

async function ask(method: string, path: string, headers: Record<string, string> = {}, body: Buffer | string = '') {
  const { call, answer } = open(method, path, { 'content-length': String(body.length), ...headers })
  call.end(body)
  return await answer
}

const reprDigest = (bytes: Buffer | string) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`
const begin = async (headers: Record<string, string> = {}) =>
  String(
    (await ask('POST', '/api/v1/uploads', { 'upload-complete': '?0', 'upload-length': '1000', ...headers })).headers[
      'location'
    ],
  )
const appendHeaders = (offset: number, complete: boolean) => ({
  'content-type': 'application/partial-upload',
  'upload-offset': String(offset),
  'upload-complete': complete ? '?1' : '?0',
})
const offsetOf = async (url: string) => Number((await ask('HEAD', url)).headers['upload-offset'])
const written = (call: ClientRequest, bytes: Buffer) =>
  new Promise<void>((resolve, reject) => call.write(bytes, error => (error ? reject(error) : resolve())))
/** Bytes of the upload that the hub has read, whether or not they count already. */
const arrived = (url: string, at = hub) => statSync(join(at.folder.open, 'jp-1', `${url.split('/').at(-1)}.part`)).size

describe('a connection that is cut', () => {
  it('leaves what came, and the rest is appended', async () => {
    const bytes = randomBytes(400_000)
    const url = await begin({ 'upload-length': '400000' })
    const { call } = open('PATCH', url, { ...appendHeaders(0, true), 'repr-digest': reprDigest(bytes) })
    await written(call, bytes.subarray(0, 250_000))
    await expect.poll(() => arrived(url)).toBe(250_000)
    call.destroy()
    expect(await offsetOf(url)).toBe(250_000)
    const rest = bytes.subarray(250_000)
    const done = await ask('PATCH', url, { ...appendHeaders(250_000, true), 'repr-digest': reprDigest(bytes) }, rest)
    expect([done.status, JSON.parse(done.body).byte_count]).toEqual([201, 400_000])
  })

  it('that the hub does not know to be dead is ended by the next request, whichever it is', async () => {
    for (const takeOver of ['HEAD', 'PATCH', 'DELETE']) {
      const url = await begin({ 'upload-length': '300000' })
      const dead = open('PATCH', url, { ...appendHeaders(0, false), 'content-length': '300000' })
      const ended = expect(dead.answer).rejects.toMatchObject({ code: 'ECONNRESET' })
      await written(dead.call, randomBytes(100_000))
      await expect.poll(() => arrived(url)).toBe(100_000)
      if (takeOver === 'HEAD') expect(await offsetOf(url)).toBe(100_000)
      if (takeOver === 'DELETE') expect((await ask('DELETE', url)).status).toBe(204)
      if (takeOver === 'PATCH') {
        // It cannot know how much came; it is told.
        const late = await ask('PATCH', url, appendHeaders(50_000, false), 'x')
        expect([late.status, late.headers['upload-offset']]).toEqual([409, '100000'])
        expect((await ask('PATCH', url, appendHeaders(100_000, false), 'more')).status).toBe(204)
      }
      await ended
    }
  })

  it('many requests at once take turns, and every offset that is answered holds', async () => {
    const url = await begin()
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, index) =>
        ask(
          index % 3 === 0 ? 'HEAD' : 'PATCH',
          url,
          appendHeaders(0, false),
          index % 3 === 0 ? '' : 'ten bytes.',
        ).catch(() => null),
      ),
    )
    const offsets = new Set(answers.map(answer => answer?.headers['upload-offset']).filter(Boolean))
    const last = await offsetOf(url)
    // All began at 0, so one alone could append, if none was cut before it had begun.
    expect([0, 10]).toContain(last)
    for (const offset of offsets) expect(Number(offset)).toBeLessThanOrEqual(last)
  })
})

describe('more than was announced', () => {
  it('in a body without a length ends the upload', async () => {
    const url = await begin({ 'upload-length': '1000' })
    const { call, answer } = open('PATCH', url, { ...appendHeaders(0, false), 'transfer-encoding': 'chunked' })
    call.end(randomBytes(5000))
    const refused = await answer
    expect([refused.status, JSON.parse(refused.body).error.code]).toEqual([400, 'UPLOAD_LENGTH_INCONSISTENT'])
    expect((await ask('HEAD', url)).status).toBe(404)
  })

  it('or less, at the end, leaves it unfinished', async () => {
    const url = await begin({ 'upload-length': '1000', 'repr-digest': reprDigest('x') })
    const { call, answer } = open('PATCH', url, { ...appendHeaders(0, true), 'transfer-encoding': 'chunked' })
    call.end(randomBytes(500))
    const refused = await answer
    expect([refused.status, refused.headers['upload-complete']]).toEqual([400, '?0'])
    expect(await offsetOf(url)).toBe(500)
  })
})

describe('104', () => {
  const bytes = randomBytes(20 * 2 ** 20)

  it('names the upload before the body, and tells offsets that are durable while it comes', async () => {
    const headers = { 'upload-complete': '?1', 'upload-draft-interop-version': '9', 'repr-digest': reprDigest(bytes) }
    const { call, answer } = open('POST', '/api/v1/uploads', { ...headers, 'content-length': String(bytes.length) })
    call.end(bytes)
    const { status, interim } = await answer
    expect([status, interim.map(({ statusCode }) => statusCode)]).toEqual([201, [104, 104, 104]])
    expect(interim[0]!.headers).toMatchObject({ 'upload-draft-interop-version': '9' })
    expect(interim[0]!.headers['location']).toMatch(/^\/api\/v1\/uploads\/[0-9a-f]{32}$/)
    expect(interim[0]!.headers['upload-limit']).toContain('max-size=')
    const offsets = interim.slice(1).map(({ headers }) => Number(headers['upload-offset']))
    expect(offsets[0]).toBeGreaterThanOrEqual(8 * 2 ** 20)
    expect(offsets[1]).toBeGreaterThanOrEqual(16 * 2 ** 20)
    expect(interim.slice(1).every(({ headers }) => headers['location'] === undefined)).toBe(true)
  })

  it('is for who speaks this version; 100 comes when the body is wanted, and only then', async () => {
    for (const version of ['8', '6', '']) {
      const url = '/api/v1/uploads'
      const headers = {
        'upload-complete': '?0',
        'upload-length': '9',
        'content-length': '4',
        ...(version ? { 'upload-draft-interop-version': version } : {}),
      }
      const { call, answer } = open('POST', url, { ...headers, expect: '100-continue' })
      call.on('continue', () => call.end('capt'))
      call.flushHeaders()
      const { status, interim, continued } = await answer
      // node counts 100 among them.
      expect([status, interim.filter(({ statusCode }) => statusCode === 104), continued]).toEqual([201, [], true])
    }
    const url = await begin()
    const { call, answer } = open('PATCH', url, {
      ...appendHeaders(7, false),
      'content-length': '4',
      expect: '100-continue',
    })
    call.flushHeaders()
    const { status, continued } = await answer
    expect([status, continued]).toEqual([409, false])
    call.destroy()
  })

  it('does not tear apart the answer to an earlier request of the connection', async () => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1').on('data', data => {
      text += data
    })
    const common = `Host: 127.0.0.1\r\nAuthorization: Bearer ${hub.tokens.sensor}\r\n`
    socket.write(
      `GET /api/v1/receipts HTTP/1.1\r\n${common}\r\n` +
        `POST /api/v1/uploads HTTP/1.1\r\n${common}Upload-Complete: ?0\r\nUpload-Length: 9\r\nUpload-Draft-Interop-Version: 9\r\nContent-Length: 4\r\nConnection: close\r\n\r\ncapt`,
    )
    await new Promise(resolve => socket.on('close', resolve))
    const codes = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(match => match[1])
    expect(codes.filter(code => code !== '104')).toEqual(['200', '201'])
    expect(codes[0]).toBe('200')
  })
})

describe('a disk that fails under an append', () => {
  it('stops the hub, and no offset is told', async () => {
    const failing = await openTestHub()
    const to = await listen(failing)
    const own = bearer(failing.tokens.sensor)
    const begun = open('POST', '/api/v1/uploads', { 'upload-complete': '?0', 'content-length': '0', ...own }, to)
    begun.call.end()
    const url = String((await begun.answer).headers['location'])
    const { call, answer } = open('PATCH', url, { ...appendHeaders(0, false), 'content-length': '10', ...own }, to)
    await written(call, Buffer.from('five.'))
    await expect.poll(() => arrived(url, failing)).toBe(5)
    // The state cannot be written where its folder is gone.
    renameSync(join(failing.folder.open, 'jp-1'), join(failing.folder.root, 'elsewhere'))
    call.end('five.')
    const { status, headers, body } = await answer
    expect([status, JSON.parse(body).error.code, headers['upload-offset']]).toEqual([503, 'STORAGE_FAILED', undefined])
    expect(failing.broken).toHaveLength(1)
    await failing.close()
  })
})
