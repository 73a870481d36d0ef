import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Receiver } from '../../dashboard/server/receive.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { formatSequence } from '../../schemas/upload-sequence.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

// The first promise: a receipt means durable bytes, and nothing else leaves anything behind.

let hub: TestHub
beforeEach(async () => {
  hub = await openTestHub()
})
afterEach(() => hub.close())

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

function put(
  bytes: Buffer | string,
  { digest = sha256(bytes), token = hub.tokens.sensor, kind = 'captures', type = 'application/octet-stream' } = {},
) {
  return hub.app.inject({
    method: 'PUT',
    url: `/api/v1/${kind}/${digest}`,
    headers: { ...bearer(token), 'content-type': type },
    payload: bytes,
  })
}

/** Every file below the inbox, as a path relative to it. */
function inboxFiles(): string[] {
  const inbox = join(hub.folder.root, 'inbox')
  return readdirSync(inbox, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(inbox.length + 1))
    .sort()
}

async function listen(): Promise<number> {
  await hub.app.listen({ host: '127.0.0.1', port: 0 })
  const { server } = hub.app
  server.on('checkContinue', (incoming, response) => hub.app.routing(incoming, response))
  return (server.address() as { port: number }).port
}

describe('an upload', () => {
  it('gets 201 with its receipt, and the bytes lie in the inbox', async () => {
    const bytes = randomBytes(300_000)
    const digest = sha256(bytes)
    const response = await put(bytes)
    expect(response.statusCode).toBe(201)
    expect(response.headers['location']).toBe(`/api/v1/receipts/${digest}`)
    expect(response.json()).toMatchObject({
      sensor: 'jp-1',
      sha256: digest,
      kind: 'capture',
      state: 'received',
      byte_count: 300_000,
    })
    expect(inboxFiles()).toEqual([`captures/jp-1/${digest}`])
    expect(readFileSync(join(hub.folder.root, 'inbox', 'captures', 'jp-1', digest)).equals(bytes)).toBe(true)
    const receipt = await hub.app.inject({ url: `/api/v1/receipts/${digest}`, headers: bearer(hub.tokens.sensor) })
    expect(receipt.json()).toEqual(response.json())
  })

  it('gets the same receipt again with 200, whatever the case of the digest', async () => {
    const first = await put('capture')
    const again = await put('capture')
    const upper = await put('capture', { digest: sha256('capture').toUpperCase() })
    expect([again.statusCode, upper.statusCode]).toEqual([200, 200])
    expect([again, upper].map(({ headers }) => headers['location'])).toEqual([
      first.headers['location'],
      first.headers['location'],
    ])
    expect(again.json()).toEqual(first.json())
    expect(upper.json()).toEqual(first.json())
    expect(inboxFiles()).toHaveLength(1)
  })

  it('is not taken for another file under its digest, as when a script names the wrong one', async () => {
    await put('capture')
    const other = await put('another capture', { digest: sha256('capture') })
    expect([other.statusCode, errorCode(other)]).toEqual([422, 'DIGEST_MISMATCH'])
    expect(other.json().error.message).toContain('body has 15 bytes')
    expect(inboxFiles()).toHaveLength(1)
    // Nor is its number noted as come; that of a true repetition is.
    const sequence = { number: 7, spool: '01234567', oldest: 1, gone: [] }
    const noted = vi.spyOn(hub.storage, 'recordReceived')
    for (const [payload, times] of [
      ['another capture', 0],
      ['capture', 1],
    ] as const) {
      const headers = {
        ...bearer(hub.tokens.sensor),
        'content-type': 'application/octet-stream',
        ...formatSequence(sequence),
      }
      await hub.app.inject({ method: 'PUT', url: `/api/v1/captures/${sha256('capture')}`, headers, payload })
      expect(noted).toHaveBeenCalledTimes(times)
    }
  })

  it('belongs to its sensor: the same bytes of another are another upload, and unknown to the first', async () => {
    await put('capture')
    const seen = await hub.app.inject({
      url: `/api/v1/receipts/${sha256('capture')}`,
      headers: bearer(hub.tokens.other),
    })
    expect(errorCode(seen)).toBe('NOT_FOUND')
    expect((await put('capture', { token: hub.tokens.other })).statusCode).toBe(201)
    expect(inboxFiles()).toHaveLength(2)
    const list = await hub.app.inject({ url: '/api/v1/receipts', headers: bearer(hub.tokens.other) })
    expect(list.json().receipts.map((receipt: Receipt) => receipt.sensor)).toEqual(['vn-1'])
    const all = await hub.app.inject({ url: '/api/v1/receipts?limit=1', headers: bearer(hub.tokens.coordinator) })
    expect(all.json().receipts).toHaveLength(1)
    const bad = await hub.app.inject({ url: '/api/v1/receipts?limit=0', headers: bearer(hub.tokens.coordinator) })
    expect(errorCode(bad)).toBe('QUERY_INVALID')
  })

  it('of a coordinator names the sensor where its receipt is', async () => {
    const response = await hub.app.inject({
      method: 'PUT',
      url: `/api/v1/captures/${sha256('capture')}?sensor=vn-1`,
      headers: { ...bearer(hub.tokens.coordinator), 'content-type': 'application/octet-stream' },
      payload: 'capture',
    })
    expect(response.statusCode).toBe(201)
    const url = String(response.headers['location'])
    const receipt = await hub.app.inject({ url, headers: bearer(hub.tokens.coordinator) })
    expect(receipt.json()).toMatchObject({ sensor: 'vn-1', sha256: sha256('capture') })
  })

  it('sent fifty times at once is received once', async () => {
    const bytes = randomBytes(100_000)
    const responses = await Promise.all(Array.from({ length: 50 }, () => put(bytes)))
    const codes = responses.map(response => response.statusCode)
    expect(codes.filter(code => code === 201)).toHaveLength(1)
    expect(codes.filter(code => code === 200)).toHaveLength(49)
    expect(new Set(responses.map(response => response.body)).size).toBe(1)
    expect(inboxFiles()).toHaveLength(1)
  })

  it('that was counted and removed while its twin was on the way leaves no second file', async () => {
    const bytes = Buffer.from('counted meanwhile')
    const digest = sha256(bytes)
    let release = () => {}
    const gate = new Promise<void>(resolve => {
      release = resolve
    })
    const slow = Readable.from(
      (async function* () {
        yield bytes.subarray(0, 3)
        await gate
        yield bytes.subarray(3)
      })(),
    )
    const receiver = new Receiver({
      storage: hub.storage,
      folder: hub.folder,
      space: async () => ({ free: 1e12, total: 1e12 }),
      onReceived: () => {},
      onBroken: () => {},
    })
    const twin = receiver.receive({ sensor: 'jp-1', sha256: digest, kind: 'capture', contentLength: null, body: slow })
    expect((await put(bytes)).statusCode).toBe(201)
    unlinkSync(join(hub.folder.root, 'inbox', 'captures', 'jp-1', digest))
    release()
    expect((await twin).created).toBe(false)
    expect(inboxFiles()).toEqual([])
  })
})

describe('the content-type of an upload', () => {
  it('is one of a capture or of a batch, with or without parameters, or none', async () => {
    const captures = ['vnd.tcpdump.pcap', 'x-pcapng', 'pcap', 'pcapng', 'gzip', 'zstd', 'x-xz', 'octet-stream']
    const batches = ['vnd.apache.arrow.stream', 'gzip', 'octet-stream']
    for (const [kind, types] of Object.entries({ captures, batches })) {
      for (const type of types)
        expect((await put(`${kind} ${type}`, { kind, type: `Application/${type}; x=1` })).statusCode).toBe(201)
    }
    const none = { method: 'PUT', url: `/api/v1/captures/${sha256('none')}`, payload: 'none' } as const
    expect((await hub.app.inject({ ...none, headers: bearer(hub.tokens.sensor) })).statusCode).toBe(201)
  })

  it('is refused when it is anything else, with what to do', async () => {
    for (const [kind, type] of [
      ['captures', 'application/zip'],
      ['captures', 'application/vnd.apache.arrow.stream'],
      ['batches', 'application/vnd.tcpdump.pcap'],
      ['captures', 'nonsense'],
    ] as const) {
      const refused = await put('capture', { kind, type })
      expect([errorCode(refused), refused.statusCode]).toEqual(['CONTENT_TYPE_UNSUPPORTED', 415])
      expect(refused.json().error.message).toContain('application/octet-stream')
    }
    for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const refused = await put('capture', { type })
      expect(refused.json().error.message).toContain('--upload-file')
    }
    expect(inboxFiles()).toEqual([])
  })
})

describe('nothing stays of a body', () => {
  it('that has another digest, and both are named', async () => {
    const response = await put('capture', { digest: 'a'.repeat(64) })
    expect(errorCode(response)).toBe('DIGEST_MISMATCH')
    expect(response.statusCode).toBe(422)
    expect(response.json().error.details).toMatchObject({ expected: 'a'.repeat(64), actual: sha256('capture') })
    expect(inboxFiles()).toEqual([])
  })

  it('that is empty', async () => {
    expect(errorCode(await put(''))).toBe('BODY_EMPTY')
    const port = await listen()
    const chunked = await send(port, { digest: sha256(''), headers: { 'transfer-encoding': 'chunked' }, bodies: [] })
    expect(errorCode(chunked)).toBe('BODY_EMPTY')
    expect(inboxFiles()).toEqual([])
  })

  it('that announces more than a batch may have, before a byte is read', async () => {
    const port = await listen()
    const response = await send(port, {
      kind: 'batches',
      digest: 'a'.repeat(64),
      headers: { 'content-length': String(300 * 2 ** 20), expect: '100-continue' },
      bodies: [],
      wait: true,
    })
    expect(errorCode(response)).toBe('BODY_TOO_LARGE')
    expect(response.continued).toBe(false)
  })

  it('whose connection is cut', async () => {
    const port = await listen()
    for (const headers of [{ 'content-length': '1000000' }, { 'transfer-encoding': 'chunked' }]) {
      await new Promise<void>(resolve => {
        const call = request({
          port,
          host: '127.0.0.1',
          method: 'PUT',
          path: `/api/v1/captures/${'b'.repeat(64)}`,
          headers: { ...bearer(hub.tokens.sensor), ...headers },
        })
        call.on('error', () => resolve())
        call.write(randomBytes(200_000))
        setTimeout(() => call.destroy(), 100)
      })
    }
    await expect.poll(inboxFiles).toEqual([])
    expect(hub.broken).toEqual([])
  })

  it('when the disk reserve is reached before it, or under way', async () => {
    await hub.close()
    let free = 20
    hub = await openTestHub({ space: async () => ({ free: free * 2 ** 20, total: 100 * 2 ** 20 }) })
    const large = randomBytes(2 * 2 ** 20)
    const before = await put(large)
    expect([errorCode(before), before.statusCode]).toEqual(['DISK_FULL', 507])
    expect(before.headers['retry-after']).toBe('30')
    free = 100
    let asked = 0
    await hub.close()
    hub = await openTestHub({
      space: async () => ({ free: (asked++ === 0 ? 100 : 4) * 2 ** 20, total: 100 * 2 ** 20 }),
    })
    const port = await listen()
    const body = randomBytes(2 ** 20)
    const during = await send(port, {
      digest: 'a'.repeat(64),
      headers: { 'transfer-encoding': 'chunked' },
      bodies: Array.from({ length: 24 }, () => body),
    })
    expect(errorCode(during)).toBe('DISK_FULL')
    expect(inboxFiles()).toEqual([])
    expect(hub.broken).toEqual([])
  })
})

describe('a batch', () => {
  it('needs room for what it is decompressed, eight times its bytes and twice that to count them', async () => {
    await hub.close()
    let free = 45
    hub = await openTestHub({ space: async () => ({ free: free * 2 ** 20, total: 100 * 2 ** 20 }) })
    const bytes = randomBytes(2 * 2 ** 20)
    const refused = await put(bytes, { kind: 'batches' })
    expect(errorCode(refused)).toBe('DISK_FULL')
    expect(refused.json().error.details).toMatchObject({ needed_bytes: (2 + 8 * 2 * 2) * 2 ** 20 })
    expect((await put(bytes)).statusCode).toBe(201)
    free = 60
    expect((await put(randomBytes(2 * 2 ** 20), { kind: 'batches' })).statusCode).toBe(201)
  })
})

describe('a hub that cannot make bytes durable', () => {
  it('for want of disk for the catalog takes it again later', async () => {
    await hub.close()
    let refuse = true
    hub = await openTestHub({
      wrapStorage: storage => ({
        ...storage,
        recordReceived: async upload => {
          if (refuse) throw new TelescopeError('DISK_FULL', 'storage is full')
          return await storage.recordReceived(upload)
        },
      }),
    })
    expect(errorCode(await put('capture'))).toBe('DISK_FULL')
    expect([hub.broken, inboxFiles()]).toEqual([[], []])
    refuse = false
    expect((await put('capture')).statusCode).toBe(201)
  })

  it('says so and gives up, instead of giving a receipt', async () => {
    await hub.close()
    hub = await openTestHub({
      wrapStorage: storage => ({
        ...storage,
        recordReceived: async () => {
          throw new Error('fsync: EIO')
        },
      }),
    })
    const response = await put('capture')
    expect([errorCode(response), response.statusCode]).toEqual(['STORAGE_FAILED', 503])
    expect(hub.broken).toHaveLength(1)
    expect(await hub.storage.findReceipt('jp-1', sha256('capture'))).toBeNull()
    // The commit may have reached the disk: the bytes stay until the next start knows.
    expect(inboxFiles()).toHaveLength(1)
  })
})

describe.skipIf(!requireExternal('curl', hasCommand('curl')))('curl', () => {
  const curl = async (port: number, file: string, digest: string, expects: string, token = hub.tokens.sensor) => {
    const url = `http://127.0.0.1:${port}/api/v1/captures/${digest}`
    const args = [
      '-sS',
      '-m',
      '20',
      '-w',
      '\n%{http_code} %{size_upload}',
      '-H',
      `Authorization: Bearer ${token}`,
      '-H',
      expects,
    ]
    const child = spawn('curl', [...args, '-T', file, url])
    let text = ''
    let problems = ''
    child.stdout.on('data', data => {
      text += data
    })
    child.stderr.on('data', data => {
      problems += data
    })
    const status = await new Promise(resolve => child.on('close', resolve))
    const [body, codes] = [
      text.slice(0, text.lastIndexOf('\n')),
      text
        .slice(text.lastIndexOf('\n') + 1)
        .split(' ')
        .map(Number),
    ]
    return { status, problems, body, code: codes[0]!, sent: codes[1]! }
  }

  it('uploads a large file, and sends nothing where the answer is known before', async () => {
    const bytes = randomBytes(8 * 2 ** 20)
    const file = join(hub.folder.root, 'upload.pcap')
    writeFileSync(file, bytes)
    const port = await listen()
    const first = await curl(port, file, sha256(bytes), 'Expect: 100-continue')
    expect([first.status, first.code, first.sent]).toEqual([0, 201, bytes.length])
    const again = await curl(port, file, sha256(bytes), 'Expect: 100-continue')
    expect([again.status, again.code]).toEqual([0, 200])
    const drained = await curl(port, file, sha256(bytes), 'Expect:')
    expect([drained.status, drained.code, drained.problems]).toEqual([0, 200, ''])
    const refused = await curl(port, file, sha256(bytes), 'Expect: 100-continue', 'wrong')
    expect([refused.code, refused.sent, JSON.parse(refused.body).error.code]).toEqual([401, 0, 'UNAUTHENTICATED'])
    const wrong = await curl(port, file, 'c'.repeat(64), 'Expect:')
    expect([wrong.code, JSON.parse(wrong.body).error.code]).toEqual([422, 'DIGEST_MISMATCH'])
  })
})

/** A PUT over a real connection. */
function send(
  port: number,
  options: { digest: string; headers: Record<string, string>; bodies: Buffer[]; kind?: string; wait?: boolean },
): Promise<{ body: string; headers: Record<string, unknown>; statusCode: number; continued: boolean }> {
  return new Promise((resolve, reject) => {
    const call = request({
      port,
      host: '127.0.0.1',
      method: 'PUT',
      path: `/api/v1/${options.kind ?? 'captures'}/${options.digest}`,
      headers: { ...bearer(hub.tokens.sensor), ...options.headers },
      agent: false,
    })
    let continued = false
    call.on('continue', () => {
      continued = true
    })
    call.on('error', reject)
    call.on('response', response => {
      let body = ''
      response.on('data', data => {
        body += data
      })
      response.on('end', () => {
        resolve({ body, headers: response.headers, statusCode: response.statusCode ?? 0, continued })
        call.destroy()
      })
    })
    for (const chunk of options.bodies) call.write(chunk)
    if (options.wait) call.flushHeaders()
    else call.end()
  })
}

describe('waiting for the end of an upload', () => {
  const follow = (wait: string, on = hub) =>
    on.app.inject({ url: `/api/v1/receipts/${sha256('capture')}?wait=${wait}`, headers: bearer(on.tokens.sensor) })

  it('lasts until it is counted or quarantined, and no longer', async () => {
    await put('capture')
    const asked = performance.now()
    const answer = follow('30')
    setTimeout(() => {
      void hub.storage.quarantine('jp-1', sha256('capture'), { code: 'CAPTURE_FORMAT_UNKNOWN', message: 'no capture' })
    }, 600)
    expect((await answer).json()).toMatchObject({ state: 'quarantined', error_code: 'CAPTURE_FORMAT_UNKNOWN' })
    const waited = performance.now() - asked
    expect(waited).toBeGreaterThan(550)
    expect(waited).toBeLessThan(10_000)
    const again = performance.now()
    expect((await follow('30')).json().state).toBe('quarantined')
    expect(performance.now() - again).toBeLessThan(5000)
  })

  it('has an end by itself, and bounds', async () => {
    await put('capture')
    const asked = performance.now()
    expect((await follow('1')).json().state).toBe('received')
    expect(performance.now() - asked).toBeGreaterThan(950)
    for (const wait of ['31', '-1', 'long', '']) expect(errorCode(await follow(wait))).toBe('QUERY_INVALID')
    const none = await hub.app.inject({
      url: `/api/v1/receipts/${sha256('never sent')}?wait=30`,
      headers: bearer(hub.tokens.sensor),
    })
    expect(errorCode(none)).toBe('NOT_FOUND')
  })

  it('ends when the hub stops', async () => {
    let ready = true
    const stopping = await openTestHub({ isReady: () => ready })
    await stopping.app.inject({
      method: 'PUT',
      url: `/api/v1/captures/${sha256('capture')}`,
      headers: { ...bearer(stopping.tokens.sensor), 'content-type': 'application/octet-stream' },
      payload: 'capture',
    })
    const asked = performance.now()
    const answer = follow('30', stopping)
    setTimeout(() => {
      ready = false
    }, 400)
    expect((await answer).json().state).toBe('received')
    expect(performance.now() - asked).toBeLessThan(10_000)
    await stopping.close()
  })
})
