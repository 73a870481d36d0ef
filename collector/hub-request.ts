import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'
import { TelescopeError } from '../schemas/errors.ts'
import { type Identity, identityHeaders } from './identity.ts'

/** What the hub answered; `body` is null when the answer is no JSON. */
export interface HubAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
}

/** A connection on which nothing moves for this long is dead. */
const IDLE_MS = 60_000
/** An answer is a receipt or an error of a few hundred bytes. */
const ANSWER_BYTES_MAX = 64 * 1024

export interface HubRequest {
  readonly hub: URL
  readonly identity: Identity
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the hub's address, without a slash in front: `api/v1/batches/...`. */
  readonly path: string
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readable
  readonly signal: AbortSignal
}

/**
 * Reads the address of a hub; a path stays in front of the API's.
 * @throws USAGE
 */
export function parseHubUrl(text: string): URL {
  let url: URL | null = null
  try {
    url = new URL(text.endsWith('/') ? text : `${text}/`)
  } catch {
    // Said below.
  }
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new TelescopeError('USAGE', `hub "${text}" is no http or https address`)
  }
  return url
}

/**
 * Asks the hub as the sensor that the identity speaks for.
 * @throws HUB_UNREACHABLE when there is no answer; errors of the body as they come
 */
export async function askHub(request: HubRequest): Promise<HubAnswer> {
  const url = new URL(request.path, request.hub)
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest
  const { body, method } = request
  const headers = {
    ...request.headers,
    ...identityHeaders(request.identity, { method, url: signedUrl(request), headers: request.headers ?? {} }),
  }
  try {
    return await new Promise<HubAnswer>((resolve, reject) => {
      const call = open(url, { method, signal: request.signal, headers })
      call.setTimeout(IDLE_MS, () => call.destroy(new Error(`nothing moved for ${IDLE_MS / 1000} s`)))
      // A hub that refuses answers before it has read the body, and closes: the answer counts, not the broken pipe.
      let isAnswered = false
      call.on('response', response => {
        isAnswered = true
        readAnswer(response).then(resolve, error => reject(unreachable(request.hub, error)))
      })
      call.on('error', error => {
        if (!isAnswered) reject(unreachable(request.hub, error))
      })
      if (body === undefined) {
        call.end()
        return
      }
      body.on('error', error => {
        call.destroy()
        reject(error)
      })
      body.pipe(call)
    })
  } finally {
    body?.destroy()
  }
}

/** The address as the hub sees it: a proxy that serves it below a path takes that away, or nothing would be found. */
function signedUrl({ hub, path }: HubRequest): URL {
  return new URL(`/${path}`, hub.origin)
}

async function readAnswer(response: IncomingMessage): Promise<HubAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > ANSWER_BYTES_MAX) throw new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  let body: unknown = null
  try {
    body = JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    // A proxy between us and the hub may answer in HTML.
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body }
}

function unreachable(hub: URL, error: Error): TelescopeError {
  return new TelescopeError('HUB_UNREACHABLE', `hub ${hub.origin}: ${error.message}`, { hub: hub.origin }, error)
}
