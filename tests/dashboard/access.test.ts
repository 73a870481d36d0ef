import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ACTIONS, authorize, sensorOf } from '../../dashboard/server/access.ts'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

// The whole matrix role x route. Routes come from the server itself, so a new route fails here until someone has
// decided, in this table, who may call it.

const EVERYONE = ['anonymous', 'sensor', 'analyst', 'coordinator']
const READERS = ['sensor', 'analyst', 'coordinator']
const SENDERS = ['sensor', 'coordinator']
const COORDINATOR = ['coordinator']

const MAY_CALL: Readonly<Record<string, readonly string[]>> = {
  'GET /api/v1/health': EVERYONE,
  'GET /api/v1/ready': EVERYONE,
  'GET /api/v1/status': EVERYONE,
  'GET /api/v1/openapi.json': EVERYONE,
  'GET /api/v1/metrics': COORDINATOR,
  'POST /api/v1/session': EVERYONE,
  'DELETE /api/v1/session': EVERYONE,
  'GET /api/v1/traffic': READERS,
  'GET /api/v1/ports': READERS,
  'GET /api/v1/sources': READERS,
  'GET /api/v1/economies': READERS,
  'GET /api/v1/sensors': READERS,
  'GET /api/v1/coverage': READERS,
  'GET /api/v1/sensor-health': READERS,
  'GET /api/v1/flows': READERS,
  'GET /api/v1/receipts': SENDERS,
  'GET /api/v1/receipts/:sha256': SENDERS,
  'POST /api/v1/receipts/:sha256/accept': SENDERS,
  'POST /api/v1/receipts/:sha256/withdraw': SENDERS,
  'POST /api/v1/receipts/:sha256/retry': SENDERS,
  'PUT /api/v1/captures/:sha256': SENDERS,
  'PUT /api/v1/batches/:sha256': SENDERS,
  'OPTIONS /api/v1/uploads': SENDERS,
  'POST /api/v1/uploads': SENDERS,
  'GET /api/v1/uploads/:id': SENDERS,
  'PATCH /api/v1/uploads/:id': SENDERS,
  'DELETE /api/v1/uploads/:id': SENDERS,
  'GET /api/v1/hub-key': EVERYONE,
  // Its own code and signature decide.
  'POST /api/v1/enrolments': EVERYONE,
  'POST /api/v1/sensor-keys': ['sensor'],
  'POST /api/v1/sensors': COORDINATOR,
  'PATCH /api/v1/sensors/:sensor': COORDINATOR,
  'POST /api/v1/sensors/:sensor/invitations': COORDINATOR,
  'GET /api/v1/sensors/:sensor/keys': COORDINATOR,
  'DELETE /api/v1/sensors/:sensor/keys': COORDINATOR,
  'DELETE /api/v1/sensors/:sensor/keys/:key_id': COORDINATOR,
  'GET /api/v1/tokens': COORDINATOR,
  'POST /api/v1/tokens': COORDINATOR,
  'DELETE /api/v1/tokens/:id': COORDINATOR,
  'POST /api/v1/retention': COORDINATOR,
  'POST /api/v1/read-copy': COORDINATOR,
  'GET /api/v1/audit': COORDINATOR,
  // With no token at all: only through the socket.
  'POST /api/v1/snapshots': [],
}

let hub: TestHub
const routes: { method: string; url: string }[] = []

beforeAll(async () => {
  hub = await openTestHub()
  hub.app.addHook('onRoute', ({ method, url, schema }) => {
    // Hidden ones answer 405, or are HEAD twins and CSV twins of what is listed.
    for (const name of [method].flat())
      if (!(schema as { hide?: boolean } | undefined)?.hide) routes.push({ method: name, url })
  })
  await hub.app.ready()
})
afterAll(() => hub.close())

const call = (method: string, url: string, headers: Record<string, string>) =>
  hub.app.inject({
    method: method as 'GET',
    url: url
      .replace(':sha256', 'a'.repeat(64))
      .replace(':id', 'nothing')
      .replace(':sensor', 'none-1')
      .replace(':key_id', 'nothing'),
    headers,
  })

function credentials(role: string): Record<string, string> {
  return role === 'anonymous' ? {} : bearer(hub.tokens[role as 'sensor'])
}

describe('access', () => {
  it('is decided for every route', () => {
    const listed = routes
      .filter(({ method }) => method !== 'HEAD')
      .map(({ method, url }) => `${method} ${url.replace(/\.csv$/, '')}`)
    expect([...new Set([...listed, 'GET /api/v1/openapi.json'])].sort()).toEqual(Object.keys(MAY_CALL).sort())
  })

  it('holds for every role on every route', async () => {
    const wrong: string[] = []
    let cells = 0
    for (const { method, url } of [...routes, { method: 'GET', url: '/api/v1/openapi.json' }]) {
      const allowed = MAY_CALL[`${method === 'HEAD' ? 'GET' : method} ${url.replace(/\.csv$/, '')}`]!
      for (const role of EVERYONE) {
        const { statusCode, body } = await call(method, url, credentials(role))
        const expected = allowed.includes(role) ? 'allowed' : role === 'anonymous' ? '401' : '403'
        const refused = statusCode === 401 || statusCode === 403
        // Signing in without a token is refused by its own rule, not by the route's.
        const actual = refused && !body.includes('sign-in link') ? String(statusCode) : 'allowed'
        if (actual !== expected) wrong.push(`${role} ${method} ${url}: ${actual}, expected ${expected}`)
        cells++
      }
    }
    expect(wrong).toEqual([])
    expect(cells).toBeGreaterThan(100)
  })

  it('refuses a token that is unknown, malformed or revoked, even where no token is needed', async () => {
    const { body } = await hub.app.inject({
      method: 'POST',
      url: '/api/v1/tokens',
      headers: bearer(hub.tokens.coordinator),
      payload: { role: 'analyst' },
    })
    const made = JSON.parse(body) as { token: string; token_id: string }
    expect((await call('GET', '/api/v1/status', bearer(made.token))).json()).toMatchObject({ role: 'analyst' })
    const revoked = await call('DELETE', `/api/v1/tokens/${made.token_id}`, bearer(hub.tokens.coordinator))
    expect(revoked.statusCode).toBe(204)
    const { entries } = (await call('GET', '/api/v1/audit', bearer(hub.tokens.coordinator))).json()
    const coordinator = (await hub.storage.listTokens()).find(({ role }) => role === 'coordinator')!.token_id
    expect(entries[0]).toMatchObject({ action: 'token revoke', actor: `token ${coordinator}` })
    for (const headers of [bearer(made.token), bearer('nonsense'), { authorization: 'Basic abc' }]) {
      for (const url of ['/api/v1/traffic', '/api/v1/status']) {
        const response = await call('GET', url, headers)
        expect(errorCode(response)).toBe('UNAUTHENTICATED')
        expect(response.headers['www-authenticate']).toBe('Bearer')
      }
    }
  })

  it('keeps a sensor to itself', async () => {
    const own = bearer(hub.tokens.sensor)
    const digest = 'a'.repeat(64)
    for (const url of ['/api/v1/receipts?sensor=vn-1', `/api/v1/receipts/${digest}?sensor=vn-1`]) {
      expect(errorCode(await call('GET', url, own))).toBe('FORBIDDEN')
    }
    const upload = await hub.app.inject({
      method: 'PUT',
      url: `/api/v1/captures/${digest}?sensor=vn-1`,
      headers: own,
      payload: 'x',
    })
    expect(errorCode(upload)).toBe('FORBIDDEN')
  })

  it('makes a coordinator say which sensor', async () => {
    const headers = bearer(hub.tokens.coordinator)
    const put = (query: string) =>
      hub.app.inject({ method: 'PUT', url: `/api/v1/captures/${'a'.repeat(64)}${query}`, headers, payload: 'x' })
    expect(errorCode(await put(''))).toBe('QUERY_INVALID')
    expect(errorCode(await put('?sensor=xx-9'))).toBe('SENSOR_UNKNOWN')
    expect(errorCode(await put('?sensor=../../etc'))).toBe('SENSOR_UNKNOWN')
    expect(errorCode(await put('?sensor=vn-1'))).toBe('DIGEST_MISMATCH')
  })

  it('has no action that nobody or anybody slips through', () => {
    for (const action of ACTIONS) {
      const subject = { role: 'anonymous', sensor: null, credential: 'none' } as const
      if (action === 'anything') authorize(subject, action)
      else expect(() => authorize(subject, action)).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    }
    const sensor = { role: 'sensor', sensor: 'jp-1', credential: 'token' } as const
    expect(sensorOf(sensor, undefined)).toBe('jp-1')
  })
})
