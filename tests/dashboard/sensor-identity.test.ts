import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFile } from '../../collector/durable-file.ts'
import { makePrivateKey, parsePrivateKey, type SigningKey, signText } from '../../collector/ed25519-key.ts'
import { enrol } from '../../collector/enrol.ts'
import { askHub, type HubAnswer } from '../../collector/hub-request.ts'
import { type Identity, identityText, readIdentity } from '../../collector/identity.ts'
import { postJson } from '../../collector/post-json.ts'
import { receiptFault } from '../../collector/receipt-check.ts'
import { signRequest } from '../../collector/request-signature.ts'
import { rotateKey } from '../../collector/rotate-key.ts'
import { inviteSensor } from '../../dashboard/server/sensor-access.ts'
import { formatDigest } from '../../schemas/digest-field.ts'
import { type SignatureInput, signatureBase, signatureFields } from '../../schemas/http-signature.ts'
import { openTestHub, SENSOR_A, SENSOR_B, type TestHub } from '../support/test-hub.ts'

// Sensors that are known by keys, against a hub that listens: what is signed, what is refused, and what a key's life is.

let hub: TestHub
let folder: string
let url: URL

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-identity-'))
  hub = await openTestHub()
  await hub.app.listen({ host: '127.0.0.1', port: 0 })
  url = new URL(`http://127.0.0.1:${(hub.app.server.address() as AddressInfo).port}/`)
})
afterAll(async () => {
  await hub.close()
  rmSync(folder, { recursive: true, force: true })
})

let files = 0
function newIdentity(sensor = SENSOR_A.sensor): string {
  const path = join(folder, `${++files}.json`)
  createFile(path, identityText({ sensor, private_key: makePrivateKey() }))
  return path
}

async function enrolled(sensor = SENSOR_A.sensor): Promise<string> {
  const path = newIdentity(sensor)
  await enrol(path, url, (await inviteSensor(hub.storage, sensor, 1)).code)
  return path
}

const digestOf = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
const codeOf = ({ body }: HubAnswer): string => (body as { error: { code: string } }).error.code

const get = (identity: Identity, path: string, hubUrl = url): Promise<HubAnswer> =>
  askHub({ hub: hubUrl, identity, method: 'GET', path, signal: new AbortController().signal })

function put(identity: Identity, bytes: string, named = bytes): Promise<HubAnswer> {
  const sha256 = digestOf(named)
  const headers = { 'content-length': String(bytes.length), 'content-digest': formatDigest(sha256) }
  const path = `api/v1/captures/${sha256}`
  const { signal } = new AbortController()
  return askHub({ hub: url, identity, method: 'PUT', path, headers, body: Readable.from([Buffer.from(bytes)]), signal })
}

/** Sends these very bytes; the status, or 0 when there is no answer. */
function sendRaw(bytes: Buffer): Promise<number> {
  return new Promise(resolve => {
    const socket = connect(Number(url.port), '127.0.0.1')
    let answer = ''
    socket.on('data', data => {
      answer += data
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0)))
    // Not closed from here: the hub answers and closes, as it is asked to.
    socket.write(bytes)
  })
}

describe('a signed request', () => {
  const body = 'the capture of a sensor'
  const sha256 = digestOf(body)
  const path = `/api/v1/captures/${sha256}?sensor=${SENSOR_A.sensor}`

  function signedHeaders(key: SigningKey, extra: Record<string, string> = {}): Record<string, string> {
    const headers = {
      'content-type': 'application/vnd.tcpdump.pcap',
      'content-digest': formatDigest(sha256),
      'hirundo-sequence': '17;spool="0f3a9c21"',
      ...extra,
    }
    return { ...headers, ...signRequest({ method: 'PUT', url: new URL(path, url), headers }, key) }
  }
  function bytesOf(headers: Record<string, string>, method = 'PUT'): Buffer {
    const lines = Object.entries({ host: url.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}connection: close\r\ncontent-length: ${body.length}\r\n\r\n`
    return Buffer.from(head + body)
  }

  it('is refused with any byte of it changed, and taken as it was signed (A3)', async () => {
    const key = readIdentity(await enrolled()).key!
    const bytes = bytesOf(signedHeaders(key))
    // How long the body is and what becomes of the connection is between the hub and whoever is before it, and may
    // change on the way: the digest says whether the body is whole. The version of HTTP likewise.
    const text = bytes.toString('latin1')
    const head = text.indexOf('\r\n\r\n') + 4
    const free = [
      [text.indexOf(' HTTP/1.1\r\n') + 1, text.indexOf('\r\n')],
      [text.indexOf('connection: '), head],
    ] as const
    const places = Array.from(bytes.keys()).filter(at => !free.some(([from, to]) => at >= from && at < to))
    const taken: string[] = []
    let refused = 0
    for (let from = 0; from < places.length; from += 16) {
      await Promise.all(
        places.slice(from, from + 16).map(async at => {
          // With another body the signature is good, and used up: each needs one of its own.
          const changed = at < head ? Buffer.from(bytes) : bytesOf(signedHeaders(key))
          changed[at]! ^= 1
          const status = await sendRaw(changed)
          if (status >= 200 && status < 300) taken.push(changed.toString('latin1').slice(at - 10, at + 10))
          else refused++
        }),
      )
    }
    expect(taken).toEqual([])
    expect(refused).toBe(places.length)
    expect(refused).toBeGreaterThan(600)
    expect((await hub.storage.listReceipts({ limit: 10 })).length).toBe(0)
    expect(await sendRaw(bytes)).toBe(201)
    // The very same again.
    expect(await sendRaw(bytes)).toBe(401)
  })

  it.each<[string, (headers: Record<string, string>) => Record<string, string>]>([
    ['a covered field left out', ({ 'content-type': _left, ...rest }) => rest],
    ['the sequence left out', ({ 'hirundo-sequence': _left, ...rest }) => rest],
    ['the digest left out', ({ 'content-digest': _left, ...rest }) => rest],
    ['a field that would have to be covered', headers => ({ ...headers, 'upload-offset': '0' })],
    ['a date that is not signed', headers => ({ ...headers, date: 'Tue, 20 Apr 2021 02:07:55 GMT' })],
    ['no signature', ({ signature: _left, ...rest }) => rest],
    ['no input', ({ 'signature-input': _left, ...rest }) => rest],
    ['neither', ({ signature: _one, 'signature-input': _other, ...rest }) => rest],
    ['another label', headers => relabel(headers, 'other')],
    ['a token beside', headers => ({ ...headers, authorization: `Bearer ${hub.tokens.sensor}` })],
    ['a component less', headers => editInput(headers, ' "hirundo-sequence"', '')],
    ['a component more', headers => editInput(headers, '"@method"', '"@method" "host"')],
    ['a component twice', headers => editInput(headers, '"@method"', '"@method" "@method"')],
    ['components in another order', headers => editInput(headers, '"@method" "@authority"', '"@authority" "@method"')],
    ['a component with a parameter', headers => editInput(headers, '"@path"', '"@path";req')],
    ['another algorithm', headers => editInput(headers, 'alg="ed25519"', 'alg="hmac-sha256"')],
    ['no algorithm', headers => editInput(headers, ';alg="ed25519"', '')],
    ['another parameter', headers => editInput(headers, ';alg=', ';tag="x";alg=')],
    ['a later time', headers => editInput(headers, /created=\d+/, `created=${Math.floor(Date.now() / 1000) + 5}`)],
    ['another nonce', headers => editInput(headers, /nonce="[^"]*"/, 'nonce="AAAAAAAAAAAAAAAAAAAAAA"')],
    ['a space more', headers => editInput(headers, ' "@path"', '  "@path"')],
  ])('with %s is refused', async (_why, change) => {
    const key = readIdentity(await enrolled()).key!
    const status = await sendRaw(bytesOf(change(signedHeaders(key))))
    expect(status).toBe(401)
  })

  it('with a field twice is refused, even with the same value', async () => {
    const headers = signedHeaders(readIdentity(await enrolled()).key!)
    const bytes = bytesOf(headers).toString('latin1')
    const twice = bytes.replace(/content-type: .*\r\n/, line => line + line)
    expect(await sendRaw(Buffer.from(twice, 'latin1'))).toBe(401)
  })

  function relabel(headers: Record<string, string>, label: string): Record<string, string> {
    const changed = (text: string) => text.replace('hirundo=', `${label}=`)
    return {
      ...headers,
      signature: changed(headers['signature']!),
      'signature-input': changed(headers['signature-input']!),
    }
  }
  function editInput(headers: Record<string, string>, from: string | RegExp, to: string): Record<string, string> {
    const input = headers['signature-input']!.replace(from, to)
    expect(input).not.toBe(headers['signature-input'])
    return { ...headers, 'signature-input': input }
  }
})

describe('what the hub says of a signature', () => {
  /** A signature that was made so many seconds ago. */
  async function getSignedAt(key: SigningKey, secondsAgo: number): Promise<{ code: string; message: string }> {
    const parameters = new Map<string, SignatureInput['parameters'] extends ReadonlyMap<string, infer V> ? V : never>([
      ['created', { kind: 'integer', value: Math.floor(Date.now() / 1000) - secondsAgo }],
      ['keyid', { kind: 'string', value: key.id }],
      ['nonce', { kind: 'string', value: `nonce-of-${secondsAgo}-${Math.random().toString(16).slice(2)}` }],
      ['alg', { kind: 'string', value: 'ed25519' }],
    ])
    const components = ['@method', '@authority', '@path'].map(name => ({
      value: { kind: 'string' as const, value: name },
      parameters: new Map(),
    }))
    const input = { components, parameters }
    const values: Record<string, string> = {
      '"@method"': 'GET',
      '"@authority"': url.host,
      '"@path"': '/api/v1/status',
    }
    const base = signatureBase(input, name => values[name] ?? null)!
    const response = await fetch(new URL('/api/v1/status', url), {
      headers: signatureFields(input, signText(key, base)),
    })
    const { error } = (await response.json()) as { error?: { code: string; message: string } }
    return error ?? { code: String(response.status), message: '' }
  }

  it('names a clock that is off, by how much and which way', async () => {
    const { key } = readIdentity(await enrolled())
    const behind = await getSignedAt(key!, 1000)
    expect(behind).toMatchObject({ code: 'CLOCK_OFF', message: expect.stringMatching(/\b100[01] s behind/) })
    const ahead = await getSignedAt(key!, -1000)
    expect(ahead).toMatchObject({ code: 'CLOCK_OFF', message: expect.stringMatching(/\b(999|1000) s ahead of/) })
    expect(await getSignedAt(key!, 200)).toMatchObject({ code: '200' })
    expect(await getSignedAt(key!, -200)).toMatchObject({ code: '200' })
    // Newer ones were seen, so this is an old one.
    expect(await getSignedAt(key!, 1000)).toMatchObject({ code: 'SIGNATURE_STALE' })
  })

  it('names a key that it does not know, and a body that was changed', async () => {
    const stranger = readIdentity(newIdentity())
    expect(codeOf(await get(stranger, 'api/v1/receipts'))).toBe('SENSOR_KEY_UNKNOWN')
    const identity = readIdentity(await enrolled())
    expect(codeOf(await put(identity, 'other bytes', 'these bytes'))).toBe('DIGEST_MISMATCH')
    expect((await hub.storage.findReceipt(SENSOR_A.sensor, digestOf('these bytes'))) === null).toBe(true)
  })

  it('a sensor keeps to itself, and a signed JSON body is held against its digest', async () => {
    const identity = readIdentity(await enrolled())
    expect(codeOf(await get(identity, 'api/v1/receipts?sensor=vn-1'))).toBe('FORBIDDEN')
    const headers = { 'content-type': 'application/json', 'content-digest': formatDigest(digestOf('{}')) }
    for (const [sent, code] of [
      [headers, 'DIGEST_MISMATCH'],
      [{ 'content-type': 'application/json' }, 'SIGNATURE_MALFORMED'],
    ] as const) {
      const call = { hub: url, identity, method: 'POST', path: 'api/v1/sensor-keys' } as const
      const body = Readable.from([Buffer.from('{"public_key":"a","proof":"b"}')])
      expect(codeOf(await askHub({ ...call, headers: sent, body, signal: new AbortController().signal }))).toBe(code)
    }
  })
})

describe('receipts', () => {
  it('are signed, also when asked for later, and a changed one is none', async () => {
    const identity = readIdentity(await enrolled())
    const { status, body } = await put(identity, 'a capture to be signed for')
    expect(status).toBe(201)
    const receipt = body as Record<string, unknown>
    expect(receiptFault(receipt, identity)).toBeNull()
    for (const [name, value] of Object.entries(receipt)) {
      const changed = { ...receipt, [name]: typeof value === 'number' ? value + 1 : `${value}x` }
      expect(receiptFault(changed, identity)).toMatchObject({ code: 'RECEIPT_INVALID' })
    }
    const { signature: _signature, ...unsigned } = receipt
    expect(receiptFault(unsigned, identity)).toMatchObject({ code: 'RECEIPT_INVALID' })
    const again = await put(identity, 'a capture to be signed for')
    expect([again.status, receiptFault(again.body as object, identity)]).toEqual([200, null])
    const later = await get(identity, `api/v1/receipts/${digestOf('a capture to be signed for')}`)
    expect(receiptFault(later.body as object, identity)).toBeNull()
    const shown = await (await fetch(new URL('/api/v1/hub-key', url))).json()
    expect(shown).toEqual(identity.hubKey)
  })
})

describe('enrolment', () => {
  const codesOf = (call: Promise<unknown>) => call.then(() => 'enrolled').catch(error => error.code as string)

  it('takes a code once, for its sensor, in its time', async () => {
    const { code } = await inviteSensor(hub.storage, SENSOR_B.sensor, 1)
    expect(await codesOf(enrol(newIdentity(SENSOR_A.sensor), url, code))).toBe('INVITATION_OF_OTHER_SENSOR')
    const path = newIdentity(SENSOR_B.sensor)
    const spoken = code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')
    expect(await codesOf(enrol(path, url, spoken))).toBe('enrolled')
    expect(await codesOf(enrol(path, url, code))).toBe('enrolled')
    expect(await codesOf(enrol(newIdentity(SENSOR_B.sensor), url, code))).toBe('INVITATION_USED')
    const older = await inviteSensor(hub.storage, SENSOR_B.sensor, 1)
    await inviteSensor(hub.storage, SENSOR_B.sensor, 1)
    expect(await codesOf(enrol(newIdentity(SENSOR_B.sensor), url, older.code))).toBe('INVITATION_UNKNOWN')
    const { code: ended } = await inviteSensor(hub.storage, SENSOR_B.sensor, 1)
    await hub.storage.invite({ sensor: SENSOR_B.sensor, codeSha256: digestOf('ENDED'), hours: -1 })
    expect(await codesOf(enrol(newIdentity(SENSOR_B.sensor), url, 'ENDED'))).toBe('INVITATION_EXPIRED')
    expect(await codesOf(enrol(newIdentity(SENSOR_B.sensor), url, ended))).toBe('INVITATION_UNKNOWN')
    const actions = (await hub.storage.listAudit(50)).map(({ action, subject }) => `${action} ${subject}`)
    expect(actions).toContain(`sensor enrol sensor ${SENSOR_B.sensor}`)
    expect(actions).toContain('sensor enrol refused')
    expect(await hub.storage.verifyAudit()).toBeNull()
  })

  it('needs the key that it sends, and stops guessing', async () => {
    const own = readIdentity(newIdentity())
    const other = parsePrivateKey(makePrivateKey())!
    const { code } = await inviteSensor(hub.storage, SENSOR_A.sensor, 1)
    const body = { sensor: own.sensor, code, public_key: other.publicKey }
    expect(codeOf(await postJson(url, own, 'api/v1/enrolments', body))).toBe('SIGNATURE_INVALID')
    const answers: string[] = []
    for (let guess = 0; guess < 12; guess++) answers.push(await codesOf(enrol(newIdentity(), url, `GUESS-${guess}`)))
    expect(answers.at(-1)).toBe('REQUESTS_TOO_MANY')
    expect(new Set(answers)).toEqual(new Set(['INVITATION_UNKNOWN', 'REQUESTS_TOO_MANY']))
  })
})

describe('the life of a key', () => {
  /** A key that the hub knows, past the limit on codes from this address. */
  async function known(): Promise<string> {
    const path = newIdentity()
    const { code } = await inviteSensor(hub.storage, SENSOR_A.sensor, 1)
    const { key, sensor } = readIdentity(path)
    const { hashCode } = await import('../../dashboard/server/invitation-code.ts')
    await hub.storage.enrol(hashCode(code), { sensor, key_id: key!.id, public_key: key!.publicKey })
    return path
  }

  it('a revocation holds from the next request on: upload, receipts, rotation (A5)', async () => {
    const path = await known()
    const identity = readIdentity(path)
    expect((await put(identity, 'before the revocation')).status).toBe(201)
    expect(await hub.storage.revokeSensorKeys(SENSOR_A.sensor, identity.key!.id)).toBe(1)
    expect(codeOf(await put(identity, 'behind the revocation'))).toBe('SENSOR_KEY_REVOKED')
    // Known bytes are no way around it.
    expect(codeOf(await put(identity, 'before the revocation'))).toBe('SENSOR_KEY_REVOKED')
    for (const asked of ['api/v1/receipts', `api/v1/receipts/${digestOf('before the revocation')}`, 'api/v1/status']) {
      expect(codeOf(await get(identity, asked))).toBe('SENSOR_KEY_REVOKED')
    }
    await expect(rotateKey(path, url)).rejects.toMatchObject({ code: 'SENSOR_KEY_REVOKED' })
  })

  it('is handed over without a gap', async () => {
    const path = await known()
    const { path: _path, ...old } = readIdentity(path)
    const running = readIdentity(path)
    const nextId = await rotateKey(path, url)
    expect(readIdentity(path).key!.id).toBe(nextId)
    expect(readFileSync(path, 'utf8')).not.toContain('next_private_key')
    // A sender that read the file before goes on with the new key, and what it had signed is still taken.
    expect((await put(running, 'by who read the file before')).status).toBe(201)
    expect((await put(old, 'signed with the old key')).status).toBe(201)
    const keys = await hub.storage.listSensorKeys(SENSOR_A.sensor)
    const before = keys.find(key => key.key_id === old.key!.id)!
    const after = keys.find(key => key.key_id === nextId)!
    expect(after).toMatchObject({ replaces: old.key!.id, valid_until: null })
    expect(Date.parse(before.valid_until!)).toBe(Date.parse(after.first_used_at!) + 300_000)
  })

  it.each([
    ['before it is announced', 'POST', 'before'],
    ['when it is announced and the answer is lost', 'POST', 'after'],
    ['when it has taken over and was not used', 'GET', 'before'],
    ['when it was used and the answer is lost', 'GET', 'after'],
  ] as const)('rotation that is cut short %s is finished by the next run', async (_why, method, when) => {
    const path = await known()
    const cutting = await cuttingProxy(method, when)
    await expect(rotateKey(path, cutting.url)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
    cutting.close()
    // Whatever the file holds now, the sensor can send.
    expect((await put(readIdentity(path), `in between ${method} ${when}`)).status).toBe(201)
    const id = await rotateKey(path, url)
    expect(readIdentity(path).key!.id).toBe(id)
    expect((await put(readIdentity(path), `in the end ${method} ${when}`)).status).toBe(201)
  })

  /** Hands requests on; cuts the connection of one method before the hub hears of it, or when it has answered. */
  async function cuttingProxy(method: string, when: 'before' | 'after'): Promise<{ url: URL; close(): void }> {
    const server = createServer((request, response) => {
      if (request.method === method && when === 'before') return void request.socket.destroy()
      const target = { host: '127.0.0.1', port: url.port, path: request.url!, method: request.method! }
      const call = httpRequest({ ...target, headers: request.headers }, (answer: IncomingMessage) => {
        if (request.method === method) return void answer.resume().on('end', () => request.socket.destroy())
        response.writeHead(answer.statusCode!, answer.headers)
        answer.pipe(response)
      })
      request.pipe(call)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return {
      url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
      close: () => void server.close(),
    }
  }
})
