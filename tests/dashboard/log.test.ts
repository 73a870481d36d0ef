import { createHash } from 'node:crypto'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { hubLogger } from '../../dashboard/server/log.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { LOG_FORMATS } from '../../schemas/hub-config.ts'
import { bearer, openTestHub, SENSOR_A, type TestHub } from '../support/test-hub.ts'

let hub: TestHub | undefined
afterEach(() => hub?.close())

function logging(format: (typeof LOG_FORMATS)[number], isTTY = false) {
  const lines: string[] = []
  const logger = hubLogger('debug', format, { isTTY, write: text => lines.push(text) })
  return { lines, logger, text: () => lines.join('') }
}

/** Secrets of every shape that travels: each must be in no line, wherever it is put. */
const CANARIES = {
  token: `hirundo_${'Qx7'.repeat(14)}`,
  code: 'enrol-7KQ2-93XC-canary',
  signature: `sig1=:${Buffer.from('canary signature bytes, 64 of them '.repeat(2)).toString('base64')}:`,
  ipv4: '198.51.100.77',
  ipv6: '2001:db8:77::beef',
  password: 'correct-horse-battery',
}

describe('the log of the hub', () => {
  it('holds no credential and no address, whatever part of a request they come in', async () => {
    const { logger, text, lines } = logging('json')
    let current = ''
    // A storage whose errors quote what they were given, as an engine's do.
    hub = await openTestHub({
      logger,
      wrapStorage: real => ({
        ...real,
        findSensor: async sensor => {
          throw new TelescopeError('INTERNAL', `statement failed: no column for ${sensor} near ${sensor}`)
        },
        findToken: async () => {
          throw new Error(`parameter ${current} is broken`)
        },
      }),
    })
    await hub.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = hub.app.server.address() as AddressInfo
    const ask = (path: string, headers: Record<string, string>, method = 'GET', body = '') =>
      new Promise<number>((resolve, reject) => {
        const call = request({ port, path, method, headers: { 'x-other': 'x', ...headers } }, answer => {
          answer.resume()
          answer.on('end', () => resolve(answer.statusCode!))
        })
        call.on('error', reject)
        call.end(body)
      })
    let asked = 0
    for (const canary of Object.values(CANARIES)) {
      current = canary
      const encoded = encodeURIComponent(canary)
      for (const header of [
        'authorization',
        'cookie',
        'signature',
        'signature-input',
        'x-code',
        'host',
        'origin',
        'repr-digest',
      ]) {
        await ask('/api/v1/status', { [header]: header === 'authorization' ? `Bearer ${canary}` : canary })
        await ask('/api/v1/tokens', { [header]: canary }, 'POST', JSON.stringify({ role: canary }))
        asked += 2
      }
      const signedIn = { cookie: `hirundo_session=${canary}` }
      for (const path of [
        `/${encoded}`,
        `/api/v1/${encoded}`,
        `/api/v1/status?${encoded}=${encoded}`,
        `/api/v1/captures/${encoded}?sensor=${encoded}`,
        `/api/v1/receipts/${'a'.repeat(64)}?sensor=${encoded}`,
        `/sign-in#${canary.replaceAll(' ', '')}`,
      ]) {
        for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
          await ask(
            path,
            { ...signedIn, 'content-type': 'application/json' },
            method,
            JSON.stringify({ token: canary }),
          )
          asked++
        }
      }
      // Signed in as coordinator: an error that quotes the sensor of the query.
      const link = (await hub.sessions.signIn(hub.sessions.signInToken))!
      const cookie = `hirundo_session=${link.cookie}`
      expect(await ask(`/api/v1/captures/${'a'.repeat(64)}?sensor=${encoded}`, { cookie }, 'PUT', canary)).toBe(500)
      asked++
    }
    expect(lines.length).toBeGreaterThan(asked)
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String) })
    const hits = Object.entries(CANARIES).filter(([, canary]) =>
      [canary, encodeURIComponent(canary), Buffer.from(canary).toString('base64')].some(form => text().includes(form)),
    )
    expect(hits).toEqual([])
    // The net has caught something, and it was not all of the line.
    expect(text()).toContain('parameter [redacted] is broken')
    expect(text()).toContain('statement failed: no column for [redacted] near [redacted]')
    expect(text()).not.toContain('127.0.0.1')
  })

  it('says in words what happens, by route', async () => {
    const { logger, lines } = logging('json')
    hub = await openTestHub({ logger })
    const body = 'bytes'
    const digest = createHash('sha256').update(body).digest('hex')
    const put = (sha256: string) =>
      hub!.app.inject({
        method: 'PUT',
        url: `/api/v1/captures/${sha256}`,
        headers: bearer(hub!.tokens.sensor),
        payload: body,
      })
    await put(digest)
    await put('b'.repeat(64))
    await hub.app.inject({ url: '/api/v1/ports' })
    const requests = lines.map(line => JSON.parse(line) as Record<string, unknown>).filter(line => line['route'])
    expect(requests).toMatchObject([
      {
        level: 'debug',
        method: 'PUT',
        route: '/api/v1/captures/:sha256',
        status: 201,
        bytes_announced: 5,
        sensor: SENSOR_A.sensor,
        code: null,
        milliseconds: expect.any(Number),
        answer_bytes: expect.any(Number),
        reqId: expect.stringMatching(/^[0-9a-f-]{13}$/),
        time: expect.stringMatching(/Z$/),
      },
      {
        level: 'info',
        status: 422,
        code: 'DIGEST_MISMATCH',
        msg: 'refused PUT /api/v1/captures/:sha256 of jp-1: The body does not have the SHA-256 that the request names. [DIGEST_MISMATCH]',
      },
      { level: 'info', route: '/api/v1/ports', status: 401, code: 'UNAUTHENTICATED' },
    ])
  })

  it('is text on a terminal, in which nothing from outside begins a line', () => {
    const { logger, text } = logging('auto', true)
    const { stream } = logger as unknown as { stream: { write(line: string): void } }
    stream.write(
      `${JSON.stringify({ level: 'info', time: '2026-11-26T10:00:01.5Z', msg: 'one\n10:00:02 info  forged\u001b[31m' })}\n`,
    )
    stream.write(
      `${JSON.stringify({ level: 'error', time: '2026-11-26T10:00:01.5Z', msg: 'two', reqId: 'r', err: { stack: 'Error: x\n    at y' } })}\n`,
    )
    expect(text()).toBe(
      '10:00:01 info  one?10:00:02 info  forged?[31m\n10:00:01 error two (request r)\n  Error: x\n      at y\n',
    )
  })
})
