import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Inbox } from '../../dashboard/server/inbox.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { bearer, openTestHub, type TestHub } from '../support/test-hub.ts'

// The protocol of draft-ietf-httpbis-resumable-upload-12, request by request, and what lies on the disk meanwhile.

const GB = 2 ** 30
const HOUR = 3600 * 1000

let hub: TestHub
let now: number
beforeEach(async () => {
  now = Date.now()
  hub = await openTestHub({ now: () => now })
})
afterEach(() => hub.close())

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
const reprDigest = (bytes: Buffer | string) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`

type Headers = Record<string, string>

async function ask(method: string, url: string, headers: Headers = {}, payload?: Buffer | string, token?: string) {
  const response = await hub.app.inject({
    method: method as 'POST',
    url,
    headers: { ...bearer(token ?? hub.tokens.sensor), ...headers },
    ...(payload === undefined ? {} : { payload }),
  })
  const code = response.body.startsWith('{') ? response.json().error?.code : undefined
  return { status: response.statusCode, headers: response.headers, body: response.body, code, json: response.json }
}

const OCTETS = { 'content-type': 'application/octet-stream' }
const begin = (headers: Headers = {}, query = '', token?: string) =>
  ask('POST', `/api/v1/uploads${query}`, { 'upload-complete': '?0', ...OCTETS, ...headers }, undefined, token)
const beginAt = async (headers: Headers = {}) => String((await begin(headers)).headers['location'])
const append = (url: string, offset: number, bytes: Buffer | string, complete = false, headers: Headers = {}) =>
  ask(
    'PATCH',
    url,
    {
      'content-type': 'application/partial-upload',
      'upload-offset': String(offset),
      'upload-complete': complete ? '?1' : '?0',
      ...headers,
    },
    bytes,
  )
const head = (url: string, token?: string) => ask('HEAD', url, {}, undefined, token)

/** Every file below a part of the inbox, as a path relative to it. */
function files(part: string): string[] {
  const folder = join(hub.folder.root, 'inbox', part)
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

/** Another hub process on the same folder, as after a crash: it knows what is on the disk and nothing else. */
async function restart(): Promise<void> {
  const old = hub
  await old.app.close()
  hub = await openTestHub({ now: () => now, on: old })
}

describe('a resumable upload', () => {
  it('begins empty, is appended to, asked after, and completed with the answer of PUT', async () => {
    const bytes = randomBytes(300_000)
    const begun = await begin({ 'upload-length': '300000', 'repr-digest': reprDigest(bytes) })
    expect([begun.status, begun.headers['upload-complete'], begun.headers['upload-offset']]).toEqual([201, '?0', '0'])
    expect(begun.headers['upload-limit']).toBe(`max-size=${4 * GB}, max-age=86400`)
    const url = String(begun.headers['location'])
    expect(url).toMatch(/^\/api\/v1\/uploads\/[0-9a-f]{32}$/)

    const first = await append(url, 0, bytes.subarray(0, 100_000))
    expect([first.status, first.headers['upload-complete'], first.headers['upload-offset']]).toEqual([
      204,
      '?0',
      '100000',
    ])
    for (const method of ['HEAD', 'GET']) {
      const asked = await ask(method, url)
      expect([asked.status, asked.body]).toEqual([204, ''])
      expect(asked.headers).toMatchObject({
        'upload-offset': '100000',
        'upload-complete': '?0',
        'upload-length': '300000',
        'cache-control': 'no-store',
      })
    }
    const last = await append(url, 100_000, bytes.subarray(100_000), true)
    expect([last.status, last.headers['upload-complete']]).toEqual([201, '?1'])
    expect(last.headers['location']).toBe(`/api/v1/receipts/${sha256(bytes)}`)
    expect(last.json()).toMatchObject({ sensor: 'jp-1', sha256: sha256(bytes), kind: 'capture', byte_count: 300_000 })
    expect(files('captures')).toEqual([`jp-1/${sha256(bytes)}`])
    expect(readFileSync(join(hub.folder.root, 'inbox', 'captures', 'jp-1', sha256(bytes))).equals(bytes)).toBe(true)
    // The answer may have been lost: it can be asked for again.
    expect((await head(url)).headers).toMatchObject({ 'upload-complete': '?1', 'upload-offset': '300000' })
    const again = await append(url, 300_000, '', true)
    expect([again.status, again.body, again.headers['upload-complete']]).toEqual([200, last.body, '?1'])
    expect((await append(url, 300_000, 'more', true)).code).toBe('QUERY_INVALID')
    expect((await ask('DELETE', url)).status).toBe(204)
    expect([files('open'), (await head(url)).status]).toEqual([[], 404])
  })

  it('is whole in the request that begins it', async () => {
    const bytes = randomBytes(50_000)
    const headers = { 'upload-complete': '?1', 'repr-digest': reprDigest(bytes), ...OCTETS }
    const whole = await ask('POST', '/api/v1/uploads?kind=batch', headers, bytes)
    expect([whole.status, whole.headers['upload-complete'], whole.json().kind]).toEqual([201, '?1', 'batch'])
    expect(files('batches')).toEqual([`jp-1/${sha256(bytes)}`])
  })

  it('begins with its first part', async () => {
    const begun = await ask('POST', '/api/v1/uploads', { 'upload-complete': '?0', ...OCTETS }, 'cap')
    expect([begun.status, begun.headers['upload-offset']]).toEqual([201, '3'])
    const done = await append(String(begun.headers['location']), 3, 'ture', true, {
      'repr-digest': reprDigest('capture'),
    })
    expect([done.status, done.json().sha256]).toEqual([201, sha256('capture')])
  })

  it('is completed by an empty append, which may bring the digest', async () => {
    const url = await beginAt()
    await append(url, 0, 'capture')
    const without = await append(url, 7, '', true)
    expect([without.code, without.headers['upload-complete']]).toEqual(['QUERY_INVALID', '?0'])
    expect((await append(url, 7, '', true, { 'repr-digest': reprDigest('capture') })).status).toBe(201)
  })

  it('of bytes that were received before is answered at once, and when it completes', async () => {
    const url = await beginAt({ 'upload-length': '7' })
    await ask('PUT', `/api/v1/captures/${sha256('capture')}`, OCTETS, 'capture')
    const at = await begin({ 'repr-digest': reprDigest('capture') })
    expect([at.status, at.headers['upload-complete'], at.json().sha256]).toEqual([200, '?1', sha256('capture')])
    const done = await append(url, 0, 'capture', true, { 'repr-digest': reprDigest('capture') })
    expect([done.status, done.headers['upload-complete'], done.body]).toEqual([200, '?1', at.body])
    expect(files('open').filter(name => name.endsWith('.part'))).toEqual([])
  })

  it('that its client lost track of goes on where it was, by its digest', async () => {
    const same = { 'upload-length': '7', 'repr-digest': reprDigest('capture') }
    const url = await beginAt(same)
    await append(url, 0, 'capt')
    const again = await begin(same)
    expect([again.status, again.headers['location'], again.headers['upload-offset']]).toEqual([201, url, '4'])
    for (const other of [
      await begin({ ...same, 'upload-length': '8' }),
      await begin(same, '?kind=batch'),
      await begin(same, '', hub.tokens.other),
    ]) {
      expect([other.status, other.headers['upload-offset']]).toEqual([201, '0'])
    }
  })

  it('fifty at once of one digest are received once', async () => {
    const bytes = randomBytes(20_000)
    // A sensor may have sixteen open; the coordinator's are the same sensor's.
    const whole = () => ask('PUT', `/api/v1/captures/${sha256(bytes)}`, OCTETS, bytes)
    const urls = await Promise.all(Array.from({ length: 16 }, () => beginAt({ 'upload-length': '20000' })))
    const half = await Promise.all(urls.map(url => append(url, 0, bytes.subarray(0, 10_000))))
    expect(half.every(({ status }) => status === 204)).toBe(true)
    const rest = (url: string) =>
      append(url, 10_000, bytes.subarray(10_000), true, { 'repr-digest': reprDigest(bytes) })
    const done = await Promise.all([...urls.map(rest), ...Array.from({ length: 34 }, whole)])
    const codes = done.map(({ status }) => status).sort()
    expect(codes).toEqual([...Array.from({ length: 49 }, () => 200), 201])
    expect(new Set(done.map(({ body }) => body)).size).toBe(1)
    expect(files('captures')).toHaveLength(1)
    expect(files('open').filter(name => name.endsWith('.part'))).toEqual([])
  })
})

describe('what is put wrongly is refused, and costs nothing that is there', () => {
  it('when it begins', async () => {
    const cases: [string, Headers, number, string][] = [
      ['no upload-complete', { 'upload-complete': '' }, 400, 'QUERY_INVALID'],
      ['an upload-complete that is no boolean', { 'upload-complete': 'yes' }, 400, 'QUERY_INVALID'],
      ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'CONTENT_TYPE_UNSUPPORTED'],
      ['more than is taken', { 'upload-length': String(5 * GB) }, 413, 'BODY_TOO_LARGE'],
      ['a digest that is none', { 'repr-digest': 'sha-256=:AAAA:' }, 400, 'QUERY_INVALID'],
      ['a digest of another algorithm', { 'repr-digest': 'md5=:AAAA:' }, 400, 'QUERY_INVALID'],
    ]
    for (const [what, headers, status, code] of cases) {
      const answer = await begin(headers)
      expect([answer.status, answer.code, files('open')], what).toEqual([status, code, []])
      expect(answer.headers['upload-limit'], what).toBe(status === 413 ? `max-size=${4 * GB}` : undefined)
    }
    // Whole in one request, and without a digest to hold it against.
    const whole = await ask('POST', '/api/v1/uploads', { 'upload-complete': '?1', ...OCTETS }, 'capture')
    expect([whole.status, whole.code, files('open')]).toEqual([400, 'QUERY_INVALID', []])
  })

  it('when it is appended to', async () => {
    const url = await beginAt({ 'upload-length': '10', 'repr-digest': reprDigest('0123456789') })
    await append(url, 0, '0123')
    const cases: [string, Headers, number, string][] = [
      ['no upload-offset', { 'upload-offset': '-' }, 400, 'QUERY_INVALID'],
      ['an offset below zero', { 'upload-offset': '-1' }, 400, 'QUERY_INVALID'],
      ['no upload-complete', { 'upload-complete': '1' }, 400, 'QUERY_INVALID'],
      ['another content-type', OCTETS, 415, 'CONTENT_TYPE_UNSUPPORTED'],
      ['another offset', { 'upload-offset': '5' }, 409, 'UPLOAD_OFFSET_MISMATCH'],
      ['another length', { 'upload-length': '11' }, 400, 'UPLOAD_LENGTH_INCONSISTENT'],
      ['more bytes than announced', { bytes: '7' }, 400, 'UPLOAD_LENGTH_INCONSISTENT'],
      ['fewer bytes than announced at the end', { 'upload-complete': '?1' }, 400, 'UPLOAD_LENGTH_INCONSISTENT'],
      ['another digest', { 'repr-digest': reprDigest('else') }, 400, 'QUERY_INVALID'],
    ]
    for (const [what, { bytes = '3', ...headers }, status, code] of cases) {
      const answer = await append(url, 4, '456789x'.slice(0, Number(bytes)), false, headers)
      expect([answer.status, answer.code, answer.headers['upload-complete']], what).toEqual([status, code, '?0'])
      expect((await head(url)).headers['upload-offset'], what).toBe('4')
    }
    expect((await append(url, 4, '456789', true)).status).toBe(201)
  })

  it('another offset says which it is, ours and in the words of the draft', async () => {
    const url = await beginAt()
    await append(url, 0, '0123')
    const { headers, json } = await append(url, 9, 'x')
    expect(headers).toMatchObject({ 'upload-offset': '4', 'content-type': 'application/problem+json; charset=utf-8' })
    expect(json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#mismatching-upload-offset',
      'expected-offset': 4,
      'provided-offset': 9,
      error: { code: 'UPLOAD_OFFSET_MISMATCH', details: { expected_offset: 4, provided_offset: 9 } },
    })
  })

  it('fields may have parameters, and other members beside the digest', async () => {
    const digest = `sha-512=:AAAA:, ${reprDigest('capture')};x=1`
    const begun = await begin({ 'upload-complete': '?0;x', 'upload-length': '7; a=b', 'repr-digest': digest })
    const done = await append(String(begun.headers['location']), 0, 'capture', true)
    expect([done.status, done.json().sha256]).toEqual([201, sha256('capture')])
  })

  it('bytes with another digest are removed, and with them the upload', async () => {
    const url = await beginAt({ 'repr-digest': reprDigest('capture') })
    const answer = await append(url, 0, 'capturE', true)
    expect([answer.status, answer.code, answer.headers['upload-complete']]).toEqual([422, 'DIGEST_MISMATCH', '?1'])
    expect([files('open'), files('captures'), (await head(url)).status]).toEqual([[], [], 404])
  })

  it('so is one without bytes', async () => {
    const url = await beginAt()
    expect((await append(url, 0, '', true, { 'repr-digest': reprDigest('') })).code).toBe('BODY_EMPTY')
    expect(files('open')).toEqual([])
  })

  it('limits are told before', async () => {
    const options = await ask('OPTIONS', '/api/v1/uploads?kind=batch')
    expect([options.status, options.headers['upload-limit']]).toEqual([204, `max-size=${256 * 2 ** 20}`])
    expect((await ask('OPTIONS', '/api/v1/uploads')).headers['upload-limit']).toBe(`max-size=${4 * GB}`)
  })
})

describe('an upload belongs to its sensor', () => {
  it('and is not there for another, nor for who may upload no more', async () => {
    const url = await beginAt()
    await append(url, 0, 'capt')
    for (const method of ['HEAD', 'GET', 'PATCH', 'DELETE']) {
      const headers = method === 'PATCH' ? { 'content-type': 'application/partial-upload' } : {}
      expect((await ask(method, url, headers, undefined, hub.tokens.other)).status).toBe(404)
    }
    expect((await head(`${url}?sensor=jp-1`, hub.tokens.coordinator)).headers['upload-offset']).toBe('4')
    expect((await head('/api/v1/uploads/..%2f..%2fcatalog')).status).toBe(404)
    const own = (await hub.storage.listTokens()).find(({ sensor }) => sensor === 'jp-1')
    await hub.storage.revokeToken(own!.token_id)
    expect((await head(url)).status).toBe(401)
    expect((await append(url, 4, 'ure')).code).toBe('UNAUTHENTICATED')
  })

  it('which a coordinator names, also in the location', async () => {
    const begun = await begin({}, '?sensor=vn-1', hub.tokens.coordinator)
    expect(begun.headers['location']).toMatch(/\?sensor=vn-1$/)
    expect((await begin({}, '', hub.tokens.coordinator)).code).toBe('QUERY_INVALID')
    expect((await begin({}, '?sensor=xx-9', hub.tokens.coordinator)).code).toBe('SENSOR_UNKNOWN')
  })
})

describe('unfinished uploads are bounded', () => {
  it('in number; one that lies idle makes room', async () => {
    const urls = await Promise.all(Array.from({ length: 16 }, () => beginAt({ 'upload-length': '9' })))
    const refused = await begin()
    expect([refused.status, refused.code]).toEqual([429, 'UPLOADS_TOO_MANY'])
    expect((await begin({}, '', hub.tokens.other)).status).toBe(201)
    now += 2 * HOUR
    await Promise.all(urls.slice(1).map(url => append(url, 0, 'x')))
    expect((await begin({ 'upload-length': '9' })).status).toBe(201)
    expect((await head(urls[0]!)).status).toBe(404)
    expect((await begin({ 'upload-length': '9' })).code).toBe('UPLOADS_TOO_MANY')
  })

  it('in bytes', async () => {
    for (const expected of [201, 201, 429]) {
      expect((await begin({ 'upload-length': String(4 * GB) })).status).toBe(expected)
    }
  })

  it('in time: a day after the last progress it is gone, and counted', async () => {
    const [left, used] = [await beginAt(), await beginAt()]
    now += 23 * HOUR
    await append(used, 0, 'capture')
    expect((await head(left)).headers['upload-limit']).toContain('max-age=3600')
    now += HOUR
    await hub.resumable.sweep()
    expect([(await head(left)).status, (await head(used)).status]).toEqual([404, 204])
    expect([hub.resumable.expiredCount, hub.resumable.openCount]).toEqual([1, 1])
    expect(files('open')).toHaveLength(2)
  })

  it('by the disk reserve, when it begins and when it is appended to', async () => {
    await hub.close()
    let free = 30
    hub = await openTestHub({ space: async () => ({ free: free * 2 ** 20, total: 100 * 2 ** 20 }) })
    const refused = await begin({ 'upload-length': String(10 * 2 ** 20) })
    expect([refused.status, refused.code]).toEqual([507, 'DISK_FULL'])
    const url = await beginAt({ 'upload-length': '2000000' })
    free = 18
    const full = await append(url, 0, randomBytes(1_000_000))
    expect([full.code, full.headers['upload-complete'], (await head(url)).headers['upload-offset']]).toEqual([
      'DISK_FULL',
      '?0',
      '0',
    ])
    free = 30
    expect((await append(url, 0, randomBytes(1_000_000))).status).toBe(204)
  })
})

describe('a crash', () => {
  it('leaves what was announced, and cuts what was not', async () => {
    const url = await beginAt({ 'upload-length': '7', 'repr-digest': reprDigest('capture') })
    await append(url, 0, 'capt')
    const part = join(hub.folder.open, 'jp-1', `${url.split('/').at(-1)}.part`)
    writeFileSync(part, 'captNOISE')
    writeFileSync(join(hub.folder.open, 'jp-1', 'half.json.tmp'), '{')
    await restart()
    expect((await head(url)).headers).toMatchObject({ 'upload-offset': '4', 'upload-length': '7' })
    expect(readFileSync(part, 'utf8')).toBe('capt')
    expect(files('open')).toHaveLength(2)
    // The digest is of all of it, although this process saw the end alone.
    expect((await append(url, 4, 'ure', true)).status).toBe(201)
  })

  it('that lost announced bytes ends the upload', async () => {
    const url = await beginAt()
    await append(url, 0, 'capt')
    writeFileSync(join(hub.folder.open, 'jp-1', `${url.split('/').at(-1)}.part`), 'cap')
    await restart()
    expect([(await head(url)).status, files('open')]).toEqual([404, []])
  })

  it('between the inbox and the receipt gives the bytes back', async () => {
    await hub.close()
    let fails = true
    hub = await openTestHub({
      wrapStorage: storage => ({
        ...storage,
        recordReceived: async upload => {
          if (fails) throw new Error('killed here')
          return await storage.recordReceived(upload)
        },
      }),
    })
    const url = await beginAt({ 'repr-digest': reprDigest('capture') })
    expect((await append(url, 0, 'capture', true)).code).toBe('STORAGE_FAILED')
    expect([files('captures').length, hub.broken.length]).toEqual([1, 1])
    fails = false
    await restart()
    await new Inbox(hub.folder, true).sweep(hub.storage)
    expect(files('captures')).toEqual([])
    expect((await head(url)).headers).toMatchObject({ 'upload-offset': '7', 'upload-complete': '?0' })
    expect((await append(url, 7, '', true)).status).toBe(201)
  })

  it('between the receipt and the state tells that it is complete', async () => {
    const url = await beginAt({ 'upload-length': '7', 'repr-digest': reprDigest('capture') })
    const state = join(hub.folder.open, 'jp-1', `${url.split('/').at(-1)}.json`)
    await append(url, 0, 'capture')
    const before = readFileSync(state, 'utf8')
    await append(url, 7, '', true)
    writeFileSync(state, before)
    await restart()
    expect((await head(url)).headers).toMatchObject({ 'upload-offset': '7', 'upload-complete': '?1' })
    expect((await append(url, 7, '', true)).json()).toMatchObject({ sha256: sha256('capture'), byte_count: 7 })
  })

  it('of the catalog for want of room costs nothing: it is completed later', async () => {
    await hub.close()
    let full = true
    hub = await openTestHub({
      wrapStorage: storage => ({
        ...storage,
        recordReceived: async upload => {
          if (full) throw new TelescopeError('DISK_FULL', 'storage is full')
          return await storage.recordReceived(upload)
        },
      }),
    })
    const url = await beginAt({ 'repr-digest': reprDigest('capture') })
    expect((await append(url, 0, 'capture', true)).code).toBe('DISK_FULL')
    expect([(await head(url)).headers['upload-offset'], files('captures'), hub.broken]).toEqual(['7', [], []])
    full = false
    expect((await append(url, 7, '', true)).status).toBe(201)
  })

  it('leaves nothing that no upload names', async () => {
    const url = await beginAt()
    await append(url, 0, 'capt')
    for (const name of files('open')) if (name.endsWith('.json')) unlinkSync(join(hub.folder.open, name))
    await restart()
    expect([(await head(url)).status, hub.resumable.openCount, files('open')]).toEqual([404, 0, []])
  })
})
