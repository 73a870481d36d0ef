import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

let hub: TestHub
let failing: TestHub
beforeAll(async () => {
  hub = await openTestHub({ names: ['hub.example.org'] })
  failing = await openTestHub({
    wrapStorage: storage => ({
      ...storage,
      query: async () => {
        throw new Error('secret /tmp/path of a defect')
      },
    }),
  })
})
afterAll(() => Promise.all([hub.close(), failing.close()]))

const get = (url: string, headers: Record<string, string> = bearer(hub.tokens.analyst)) =>
  hub.app.inject({ method: 'GET', url, headers })

describe('every error has one shape', () => {
  it.each([
    ['no such path', { method: 'GET', url: '/api/v1/nothing' }, 404, 'NOT_FOUND'],
    ['no such path, and no page is built', { method: 'GET', url: '/port/tcp/23' }, 404, 'NOT_FOUND'],
    ['a parameter of health', { method: 'GET', url: '/api/v1/health?x=1' }, 400, 'QUERY_INVALID'],
    ['a parameter of ready', { method: 'GET', url: '/api/v1/ready?x=1' }, 400, 'QUERY_INVALID'],
    ['a parameter of status', { method: 'GET', url: '/api/v1/status?x=1' }, 400, 'QUERY_INVALID'],
    ['a parameter of openapi.json', { method: 'GET', url: '/api/v1/openapi.json?x=1' }, 400, 'QUERY_INVALID'],
    ['an escape that is broken', { method: 'GET', url: '/api/v1/%zz' }, 400, 'QUERY_INVALID'],
    ['a path parameter that is no digest', { method: 'GET', url: '/api/v1/receipts/abc' }, 400, 'QUERY_INVALID'],
    [
      'a body that is no JSON',
      { method: 'POST', url: '/api/v1/session', payload: '{', type: 'json' },
      400,
      'QUERY_INVALID',
    ],
    ['an empty JSON body', { method: 'POST', url: '/api/v1/session', payload: '', type: 'json' }, 400, 'BODY_EMPTY'],
    [
      'a body of another type',
      { method: 'POST', url: '/api/v1/session', payload: 'a=b', type: 'text' },
      400,
      'QUERY_INVALID',
    ],
    [
      'a field that is missing',
      { method: 'POST', url: '/api/v1/session', payload: '{}', type: 'json' },
      400,
      'QUERY_INVALID',
    ],
    [
      'a body that is too large',
      { method: 'POST', url: '/api/v1/session', payload: JSON.stringify({ token: 'x'.repeat(100_000) }), type: 'json' },
      413,
      'BODY_TOO_LARGE',
    ],
  ])(
    '%s',
    async (_, { type, ...call }: { method: string; url: string; payload?: string; type?: string }, status, code) => {
      const response = await hub.app.inject({
        ...(call as { method: 'GET'; url: string }),
        headers: {
          ...bearer(hub.tokens.coordinator),
          ...(type === 'json' ? { 'content-type': 'application/json' } : {}),
          ...(type === 'text' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        },
      })
      expect(errorCode(response)).toBe(code)
      expect(response.statusCode).toBe(status)
    },
  )

  it('names an unknown parameter and the known ones', async () => {
    const response = await get('/api/v1/ports?sine=2026-11-01')
    expect(errorCode(response)).toBe('QUERY_INVALID')
    expect(response.json().error.message).toBe(
      'parameter "sine" is unknown here; known are since, until, sensor, economy, protocol, port, class, compare, limit',
    )
    expect(response.json().error.details.parameter).toBe('sine')
  })

  it('names the choices of a parameter, and refuses one that is given twice', async () => {
    const response = await get('/api/v1/traffic?by=moon')
    expect(errorCode(response)).toBe('QUERY_INVALID')
    expect(response.json().error.message).toBe('parameter "by" must be one of class, protocol, sensor, none')
    expect(errorCode(await get('/api/v1/traffic?by=class&by=none'))).toBe('QUERY_INVALID')
  })

  it('answers 405 with Allow', async () => {
    const response = await hub.app.inject({
      method: 'PATCH',
      url: '/api/v1/sensors',
      headers: bearer(hub.tokens.analyst),
    })
    expect(errorCode(response)).toBe('METHOD_NOT_ALLOWED')
    expect(response.headers['allow']).toBe('GET, HEAD, POST')
    const options = await hub.app.inject({ method: 'OPTIONS', url: '/api/v1/traffic' })
    expect(errorCode(options)).toBe('METHOD_NOT_ALLOWED')
  })

  it('says nothing about a defect but where to look', async () => {
    const response = await failing.app.inject({ url: '/api/v1/ports', headers: bearer(failing.tokens.analyst) })
    expect(errorCode(response)).toBe('INTERNAL')
    expect(response.body).not.toContain('secret')
  })

  it('answers bytes that are no HTTP in the same shape', async () => {
    await hub.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = hub.app.server.address() as { port: number }
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'))
      let text = ''
      socket.on('data', data => {
        text += data
      })
      socket.on('close', () => resolve(text))
      socket.on('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!).error.code).toBe('QUERY_INVALID')
  })
})

describe('browsers', () => {
  it('are told to run only our own files, on every answer', async () => {
    for (const url of ['/api/v1/health', '/api/v1/nothing', '/api/v1/traffic?x=1']) {
      const { headers } = await get(url)
      expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self';")
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['referrer-policy']).toBe('no-referrer')
    }
  })

  it('of another origin may not read', async () => {
    const { headers } = await get('/api/v1/health', { origin: 'https://elsewhere.example' })
    expect(Object.keys(headers).filter(name => name.startsWith('access-control'))).toEqual([])
  })

  it('that were led here by a foreign name are refused', async () => {
    for (const host of ['rebound.example', 'rebound.example:8080', '127.0.0.1.rebound.example']) {
      const response = await get('/api/v1/health', { host })
      expect([errorCode(response), response.statusCode]).toEqual(['HOST_NOT_ALLOWED', 421])
    }
    for (const host of [
      '127.0.0.1:8080',
      'localhost:8080',
      '[::1]:8080',
      '192.0.2.1',
      'Hub.Example.org',
      'hub.example.org:443',
    ]) {
      expect((await get('/api/v1/health', { host })).statusCode).toBe(200)
    }
  })
})

describe('a route', () => {
  it('without a declared access stops the server from starting', async () => {
    const { app, close } = await openTestHub()
    app.register(async scope => {
      scope.get('/forgotten', async () => 'data')
    })
    await expect(app.ready()).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('/forgotten'),
    })
    await close()
  })

  it('is refused while the hub stops, except its health', async () => {
    const stopping = await openTestHub({ isReady: () => false })
    const ready = await stopping.app.inject({ url: '/api/v1/ready' })
    expect([errorCode(ready), ready.statusCode]).toEqual(['NOT_READY', 503])
    expect((await stopping.app.inject({ url: '/api/v1/health' })).statusCode).toBe(200)
    await stopping.close()
  })
})

describe('the API document', () => {
  it('describes all routes with their parameters and answers', async () => {
    const document = (await get('/api/v1/openapi.json')).json()
    expect(document.openapi).toBe('3.0.3')
    const { ports } = { ports: document.paths['/api/v1/ports'].get }
    expect(ports.parameters.map((parameter: { name: string }) => parameter.name)).toContain('compare')
    const row = ports.responses['200'].content['application/json'].schema.properties.rows.items
    expect(Object.keys(row.properties)).toContain('src_addr_unique_count')
    expect(Object.keys(document.paths)).toContain('/api/v1/captures/{sha256}')
    // No withheld column in any answer, the telescope above all; it is only ever sent to the hub.
    expect(JSON.stringify(document.paths['/api/v1/sensors'].post.responses)).not.toContain('telescope"')
    expect(JSON.stringify(document)).not.toContain('dst_index')
  })
})

describe('the page', () => {
  let page: TestHub
  beforeAll(async () => {
    const web = temporaryWeb()
    page = await openTestHub({ web })
  })
  afterAll(() => page.close())

  function temporaryWeb(): string {
    const web = join(hub.folder.root, 'web')
    mkdirSync(join(web, 'assets'), { recursive: true })
    writeFileSync(join(web, 'index.html'), '<!doctype html><title>Hirundo</title>')
    writeFileSync(join(web, 'assets', 'main-abc123.js'), 'export {}')
    writeFileSync(join(web, '.hidden'), 'secret')
    return web
  }

  it('is one file for all its views, asked for again each time', async () => {
    for (const url of [
      '/',
      '/port/tcp/23',
      '/sign-in',
      '/uploads',
      '/uploads?state=counted',
      '/port/udp/53?v=1',
      '/?since=2026-11-01',
    ]) {
      const response = await page.app.inject({ url, headers: { accept: 'text/html,*/*' } })
      expect(response.statusCode).toBe(200)
      expect(response.headers['content-type']).toContain('text/html')
      expect(response.headers['cache-control']).toBe('no-cache')
      const again = await page.app.inject({
        url,
        headers: { accept: 'text/html', 'if-none-match': String(response.headers['etag']) },
      })
      expect(again.statusCode).toBe(304)
    }
  })

  it('says with 404 that a path is none of its views, and shows itself', async () => {
    for (const url of ['/nowhere', '/source/192.0.2.1', '/port/tcp', '/sign-in/now']) {
      const conditional = { 'if-modified-since': new Date(Date.now() + 60_000).toUTCString() }
      for (const headers of [{}, conditional]) {
        const response = await page.app.inject({ url, headers: { accept: 'text/html,*/*', ...headers } })
        expect([url, response.statusCode]).toEqual([url, 404])
        expect(response.headers['content-type']).toContain('text/html')
        expect(response.body).toContain('<title>Hirundo</title>')
      }
    }
  })

  it('tells a probe that asks without the prefix where to ask', async () => {
    for (const name of ['health', 'ready', 'metrics']) {
      const response = await page.app.inject({ url: `/${name}`, headers: { accept: '*/*' } })
      expect([response.statusCode, errorCode(response)]).toEqual([404, 'NOT_FOUND'])
      expect(response.json().error.message).toContain(`ask for /api/v1/${name}`)
    }
  })

  it('has files that are kept for ever, and errors that are errors', async () => {
    const asset = await page.app.inject({ url: '/assets/main-abc123.js' })
    expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    for (const url of ['/assets/gone.js', '/favicon.png', '/.hidden', '/api/v2', '/..%2f..%2fcatalog.duckdb']) {
      const response = await page.app.inject({ url })
      expect([url, response.statusCode >= 400 && errorCode(response)]).toEqual([url, 'NOT_FOUND'])
    }
  })
})

describe('signing in', () => {
  const signIn = (token: string, headers: Record<string, string> = {}) =>
    hub.app.inject({ method: 'POST', url: '/api/v1/session', payload: { token }, headers })
  const cookieOf = (response: { headers: Record<string, unknown> }) =>
    /^hirundo_session=([^;]+); Path=\/; HttpOnly; SameSite=Strict(; Secure)?$/.exec(
      String(response.headers['set-cookie']),
    )!

  it('exchanges a token for a cookie that scripts cannot read', async () => {
    const response = await signIn(hub.tokens.analyst)
    expect(response.json()).toEqual({ role: 'analyst' })
    const [, name, secure] = cookieOf(response)
    expect(secure).toBeUndefined()
    const cookie = { cookie: `a=b; hirundo_session=${name}` }
    expect(errorCode(await get('/api/v1/tokens', cookie))).toBe('FORBIDDEN')
    const out = await hub.app.inject({ method: 'DELETE', url: '/api/v1/session', headers: cookie })
    expect(out.headers['set-cookie']).toContain('Max-Age=0')
    expect(errorCode(await get('/api/v1/tokens', cookie))).toBe('UNAUTHENTICATED')
  })

  it('marks the cookie Secure behind a proxy', async () => {
    expect(cookieOf(await signIn(hub.tokens.analyst, { host: 'hub.example.org' }))[2]).toBe('; Secure')
  })

  it('takes the token of the sign-in link, which is good for nothing else', async () => {
    const { signInToken } = hub.sessions
    expect(errorCode(await get('/api/v1/tokens', bearer(signInToken)))).toBe('UNAUTHENTICATED')
    const response = await signIn(signInToken)
    expect(response.json()).toEqual({ role: 'coordinator' })
    const cookie = { cookie: `hirundo_session=${cookieOf(response)[1]}` }
    expect((await get('/api/v1/tokens', cookie)).statusCode).toBe(200)
  })

  it('refuses a write by cookie from a page that is not ours', async () => {
    const cookie = `hirundo_session=${cookieOf(await signIn(hub.sessions.signInToken))[1]}`
    const revoke = (headers: Record<string, string>) =>
      hub.app.inject({
        method: 'DELETE',
        url: '/api/v1/tokens/none',
        headers: { cookie, host: '127.0.0.1:8080', ...headers },
      })
    expect(errorCode(await revoke({ origin: 'http://127.0.0.1:3000' }))).toBe('FORBIDDEN')
    expect(errorCode(await revoke({ origin: 'null' }))).toBe('FORBIDDEN')
    expect(errorCode(await revoke({ origin: 'http://127.0.0.1:8080' }))).toBe('NOT_FOUND')
  })

  it('ends with the token, and refuses an unknown one', async () => {
    expect(errorCode(await signIn('hirundo_nonsense'))).toBe('UNAUTHENTICATED')
    const made = await hub.app.inject({
      method: 'POST',
      url: '/api/v1/tokens',
      headers: bearer(hub.tokens.coordinator),
      payload: { role: 'coordinator' },
    })
    const { token, token_id } = made.json()
    const cookie = { cookie: `hirundo_session=${cookieOf(await signIn(token))[1]}` }
    expect((await get('/api/v1/tokens', cookie)).statusCode).toBe(200)
    await hub.app.inject({
      method: 'DELETE',
      url: `/api/v1/tokens/${token_id}`,
      headers: bearer(hub.tokens.coordinator),
    })
    expect(errorCode(await get('/api/v1/tokens', cookie))).toBe('UNAUTHENTICATED')
  })
})

describe('registering', () => {
  const post = (url: string, payload: object) =>
    hub.app.inject({ method: 'POST', url, payload, headers: bearer(hub.tokens.coordinator) })

  it('a sensor keeps its telescope to the hub', async () => {
    const response = await post('/api/v1/sensors', {
      sensor: 'th-1',
      economy: 'th',
      telescope: '203.0.113.128/29,2001:db8:1::/64',
    })
    expect(response.statusCode).toBe(201)
    expect(response.json()).toMatchObject({
      sensor: 'th-1',
      economy: 'TH',
      ipv4_addr_count: 8,
      has_ipv6: true,
      organisation: '',
    })
    expect(response.body).not.toMatch(/203\.0\.113|2001:db8/)
  })

  it.each([
    [{ sensor: 'Not A Name', economy: 'JP', telescope: '198.51.100.0/28' }, 'SENSOR_ID_INVALID'],
    [{ sensor: '..', economy: 'JP', telescope: '198.51.100.0/28' }, 'SENSOR_ID_INVALID'],
    [{ sensor: 'ok', economy: 'Japan', telescope: '198.51.100.0/28' }, 'QUERY_INVALID'],
    [{ sensor: 'ok', economy: 'XX', telescope: '198.51.100.0/28' }, 'QUERY_INVALID'],
    [{ sensor: 'ok', economy: 'ZZ', telescope: '198.51.100.0/28' }, 'QUERY_INVALID'],
    [{ sensor: 'ok', economy: 'JP', telescope: '198.51.100.1/28' }, 'ADDRESS_INVALID'],
    [{ sensor: 'ok', economy: 'JP', telescope: '203.0.113.0/25' }, 'PREFIX_OVERLAPS'],
    [{ sensor: 'jp-1', economy: 'JP', telescope: '198.51.100.0/28' }, 'SENSOR_EXISTS'],
    [{ sensor: 'ok', economy: 'JP', telescope: '198.51.100.0/28', colour: 'red' }, 'QUERY_INVALID'],
  ])('%o is refused', async (sensor, code) => {
    expect(errorCode(await post('/api/v1/sensors', sensor))).toBe(code)
  })

  it('an economy by a code that was replaced is refused with the one that is used', async () => {
    const response = await post('/api/v1/sensors', { sensor: 'ok', economy: 'uk', telescope: '198.51.100.0/28' })
    expect(errorCode(response)).toBe('QUERY_INVALID')
    expect(response.json().error.message).toContain('did you mean GB?')
  })

  const patch = (sensor: string, payload: object) =>
    hub.app.inject({
      method: 'PATCH',
      url: `/api/v1/sensors/${sensor}`,
      payload,
      headers: bearer(hub.tokens.coordinator),
    })

  it('a sensor can be corrected, and what is left out stays', async () => {
    const response = await patch('vn-1', { telescope: '203.0.113.64/29', organisation: ' Other ' })
    expect(response.statusCode).toBe(200)
    expect(response.json()).toMatchObject({
      sensor: 'vn-1',
      economy: 'VN',
      organisation: 'Other',
      ipv4_addr_count: 8,
      telescope_epoch: 1,
    })
    expect(response.body).not.toContain('203.0.113')
    expect(await hub.storage.findSensor('vn-1')).toMatchObject({ telescope: '203.0.113.64/29', ipv4_addr_count: 8 })
    const [entry] = await hub.storage.listAudit(1)
    expect(entry).toMatchObject({ action: 'sensor change', subject: 'sensor vn-1' })
    expect(JSON.stringify(entry)).not.toContain('203.0.113')
  })

  it.each([
    ['none-1', { economy: 'JP' }, 'SENSOR_UNKNOWN'],
    ['vn-1', {}, 'QUERY_INVALID'],
    ['vn-1', { sensor: 'vn-2' }, 'QUERY_INVALID'],
    ['vn-1', { economy: 'XX' }, 'QUERY_INVALID'],
    ['vn-1', { telescope: '203.0.113.1/28' }, 'ADDRESS_INVALID'],
    ['vn-1', { telescope: '203.0.113.0/25' }, 'PREFIX_OVERLAPS'],
  ])('a correction of %s by %o is refused', async (sensor, change, code) => {
    const before = await hub.storage.listSensors()
    expect(errorCode(await patch(sensor, change))).toBe(code)
    expect(await hub.storage.listSensors()).toEqual(before)
  })

  it.each([
    [{}, 'QUERY_INVALID'],
    [{ role: 'sensor' }, 'QUERY_INVALID'],
    [{ role: 'analyst', sensor: 'jp-1' }, 'QUERY_INVALID'],
    [{ role: 'king' }, 'QUERY_INVALID'],
    [{ sensor: 'xx-9' }, 'SENSOR_UNKNOWN'],
  ])('token %o is refused', async (request, code) => {
    expect(errorCode(await post('/api/v1/tokens', request))).toBe(code)
  })

  it('lists tokens without what they are made of', async () => {
    const response = await get('/api/v1/tokens', bearer(hub.tokens.coordinator))
    expect(response.json().tokens.length).toBeGreaterThan(3)
    expect(response.body).not.toMatch(/[0-9a-f]{64}|hirundo_/)
  })
})
