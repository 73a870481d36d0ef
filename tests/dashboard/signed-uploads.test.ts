import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makePrivateKey, parsePrivateKey, type SigningKey } from '../../collector/ed25519-key.ts'
import { signRequest } from '../../collector/request-signature.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { hashCode } from '../../dashboard/server/invitation-code.ts'
import { inviteSensor } from '../../dashboard/server/sensor-access.ts'
import { formatDigest } from '../../schemas/digest-field.ts'
import { bearer, openTestHub, SENSOR_A, type TestHub } from '../support/test-hub.ts'

// Uploads in parts by sensors with keys: the signature of one request covers the digest of the whole, and who may send is
// asked at each part (A5).

const CAPTURE = 'a capture that comes in two parts'
const HALF = 16

let hub: TestHub
let url: string

beforeAll(async () => {
  hub = await openTestHub()
  await hub.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(hub.app.server.address() as AddressInfo).port}`
})
afterAll(() => hub.close())

type Headers = Record<string, string>
type Credential = SigningKey | string

const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
const digest = (bytes: string): Headers => ({ 'repr-digest': formatDigest(sha256(bytes)) })

async function enrolledKey(): Promise<SigningKey> {
  const key = parsePrivateKey(makePrivateKey())!
  const { sensor } = SENSOR_A
  const { code } = await inviteSensor(hub.storage, sensor, 1)
  await hub.storage.enrol(hashCode(code), { sensor, key_id: key.id, public_key: key.publicKey })
  return key
}

/** @param unsigned put beside what is signed */
async function ask(by: Credential, method: string, path: string, headers: Headers, body = '', unsigned: Headers = {}) {
  const target = new URL(path, url)
  const proof = typeof by === 'string' ? bearer(by) : signRequest({ method, url: target, headers }, by)
  const sent = { ...headers, ...proof, ...unsigned }
  const response = await fetch(target, { method, headers: sent, ...(body === '' ? {} : { body }) })
  const text = await response.text()
  const code = text.startsWith('{') ? (JSON.parse(text) as { error?: { code: string } }).error?.code : undefined
  return { status: response.status, code, headers: response.headers }
}

async function begin(by: Credential, headers: Headers = {}): Promise<string> {
  const fields = { 'content-type': 'application/octet-stream', 'upload-complete': '?0', ...headers }
  const { status, headers: answer } = await ask(by, 'POST', '/api/v1/uploads', fields)
  expect(status).toBe(201)
  return answer.get('location')!
}

function append(
  by: Credential,
  path: string,
  offset: number,
  body: string,
  complete: boolean,
  more: Headers = {},
  unsigned: Headers = {},
) {
  const headers = {
    'content-type': 'application/partial-upload',
    'upload-offset': String(offset),
    'upload-complete': complete ? '?1' : '?0',
    ...more,
  }
  return ask(by, 'PATCH', path, headers, body, unsigned)
}

const isReceived = async (bytes: string): Promise<boolean> =>
  (await hub.storage.findReceipt(SENSOR_A.sensor, sha256(bytes))) !== null

it('is completed only with a digest that was signed', async () => {
  const key = await enrolledKey()
  const path = await begin(key)
  expect((await append(key, path, 0, CAPTURE.slice(0, HALF), false)).status).toBe(204)
  const rest = [path, HALF, CAPTURE.slice(HALF), true] as const
  expect((await append(key, ...rest)).code).toBe('QUERY_INVALID')
  expect((await append(key, ...rest, {}, digest(CAPTURE))).code).toBe('SIGNATURE_MALFORMED')
  expect((await append(key, ...rest, digest('other bytes'), digest(CAPTURE))).code).toBe('SIGNATURE_INVALID')
  expect(await isReceived(CAPTURE)).toBe(false)
  expect((await append(key, ...rest, digest(CAPTURE))).status).toBe(201)
  expect(await isReceived(CAPTURE)).toBe(true)
})

it.each([
  ['the first part', 'x', ''],
  ['the last part', '', 'x'],
])('is refused as a whole when %s was changed on the way', async (what, first, last) => {
  const key = await enrolledKey()
  const bytes = `${CAPTURE}, ${what}`
  const path = await begin(key, digest(bytes))
  const changed = [
    first + bytes.slice(first.length, HALF),
    bytes.slice(HALF, bytes.length - last.length) + last,
  ] as const
  expect((await append(key, path, 0, changed[0], false)).status).toBe(204)
  expect((await append(key, path, HALF, changed[1], true)).code).toBe('DIGEST_MISMATCH')
  expect([await isReceived(bytes), await isReceived(changed.join(''))]).toEqual([false, false])
  expect((await ask(key, 'HEAD', path, {})).status).toBe(404)
  const open = join(hub.folder.open, SENSOR_A.sensor)
  expect(existsSync(open) ? readdirSync(open).filter(name => name.startsWith(path.split('/').at(-1)!)) : []).toEqual([])
})

it('another digest than that of its beginning is refused, signed or not', async () => {
  const key = await enrolledKey()
  const bytes = `${CAPTURE}, begun with its digest`
  const path = await begin(key, digest(bytes))
  expect((await append(key, path, 0, 'other', true, digest('other'))).code).toBe('QUERY_INVALID')
  expect((await append(key, path, 0, bytes, true)).status).toBe(201)
})

it.each(['key', 'token'] as const)('a %s that is revoked meanwhile is refused at the next part (A5)', async kind => {
  const { sensor } = SENSOR_A
  const made = await createToken(hub.storage, { sensor })
  const by: Credential = kind === 'key' ? await enrolledKey() : made.token
  const refusal = kind === 'key' ? 'SENSOR_KEY_REVOKED' : 'UNAUTHENTICATED'
  const bytes = `${CAPTURE}, by a ${kind}`
  const path = await begin(by, digest(bytes))
  expect((await append(by, path, 0, bytes.slice(0, HALF), false)).status).toBe(204)
  if (typeof by === 'string') expect(await hub.storage.revokeToken(made.token_id)).toBe(true)
  else expect(await hub.storage.revokeSensorKeys(sensor, by.id)).toBe(1)
  expect((await append(by, path, HALF, bytes.slice(HALF), true)).code).toBe(refusal)
  expect((await append(by, path, HALF, '', false)).code).toBe(refusal)
  expect((await ask(by, 'HEAD', path, {})).status).toBe(401)
  expect((await ask(by, 'DELETE', path, {})).code).toBe(refusal)
  expect(await isReceived(bytes)).toBe(false)
  // Of the refused part nothing was kept, and the sensor goes on with what is valid.
  const next = await enrolledKey()
  expect((await ask(next, 'HEAD', path, {})).headers.get('upload-offset')).toBe(String(HALF))
  expect((await append(next, path, HALF, bytes.slice(HALF), true)).status).toBe(201)
})
