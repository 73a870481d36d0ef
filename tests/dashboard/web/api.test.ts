import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { answerUrl, fetchAnswer, signIn } from '../../../dashboard/web/api.ts'

// A real HTTP server answers; only the base of relative addresses, which a browser has and Node lacks, is added.

let server: Server | null = null

async function hub(listener: RequestListener): Promise<void> {
  server = createServer(listener)
  await new Promise<void>(resolve => server!.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const real = globalThis.fetch
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => real(new URL(url, base), init))
}

afterEach(() => {
  vi.unstubAllGlobals()
  server?.closeAllConnections()
  server?.close()
  server = null
})

const never = new AbortController().signal

describe('answerUrl', () => {
  it('leaves out what is empty and keeps lists readable', () => {
    expect(answerUrl('ports', { since: '2026-11-15T00:00:00Z', sensor: 'a,b', class: '' })).toBe(
      '/api/v1/ports?since=2026-11-15T00:00:00Z&sensor=a,b',
    )
    expect(answerUrl('flows', { src: '2001:db8::/32&x' }, 'csv')).toBe('/api/v1/flows.csv?src=2001:db8::%2F32%26x')
  })
})

describe('fetchAnswer', () => {
  it('gives the answer', async () => {
    const answer = { meta: { total_rows: 0 }, rows: [] }
    await hub((_request, response) => response.end(JSON.stringify(answer)))
    expect(await fetchAnswer('ports', {}, never)).toEqual(answer)
  })

  it('throws the error of the hub with its code', async () => {
    await hub((_request, response) => {
      response.writeHead(400)
      response.end(JSON.stringify({ error: { code: 'QUERY_INVALID', message: 'port "x"', details: { port: 'x' } } }))
    })
    await expect(fetchAnswer('ports', {}, never)).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: 'port "x"',
      details: { port: 'x' },
    })
  })

  it('keeps a code it does not know in the message', async () => {
    await hub((_request, response) => {
      response.writeHead(418)
      response.end(JSON.stringify({ error: { code: 'TEAPOT', message: 'short and stout' } }))
    })
    await expect(fetchAnswer('ports', {}, never)).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'TEAPOT: short and stout',
    })
  })

  it('says when something else than the hub answers', async () => {
    await hub((_request, response) => {
      response.writeHead(502)
      response.end('<html>Bad Gateway</html>')
    })
    await expect(fetchAnswer('ports', {}, never)).rejects.toMatchObject({
      code: 'HUB_UNREACHABLE',
      details: { status: 502 },
    })
  })

  it('says when nobody answers', async () => {
    await hub(request => request.destroy())
    await expect(fetchAnswer('ports', {}, never)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' })
  })

  it('passes an abort as it is', async () => {
    const abort = new AbortController()
    await hub(() => abort.abort())
    await expect(fetchAnswer('ports', {}, abort.signal)).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('signIn', () => {
  it('posts the token', async () => {
    let body = ''
    await hub((request, response) => {
      request.on('data', chunk => {
        body += chunk
      })
      request.on('end', () => response.end('{"role":"analyst"}'))
    })
    await signIn('secret', never)
    expect(JSON.parse(body)).toEqual({ token: 'secret' })
  })
})
