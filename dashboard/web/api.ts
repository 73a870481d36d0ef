import type { Answer, QueryName, QueryParameters, Status } from '../../schemas/api.ts'
import { ERROR_CODES, type ErrorCode, TelescopeError } from '../../schemas/errors.ts'

/** Reading from the hub. Every failure is a TelescopeError, except an abort, which passes as it is. */

/** A hub that has not answered by then is taken for gone; answers take milliseconds. */
const ANSWER_MILLISECONDS_MAX = 30_000

type AnswerFormat = 'json' | 'csv'

/** The address of an answer; parameters that are empty are left out. */
export function answerUrl<N extends QueryName>(name: N, parameters: QueryParameters<N>, format?: AnswerFormat): string {
  const query = Object.entries<string | undefined>(parameters)
    .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '')
    .map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll('%2C', ',').replaceAll('%3A', ':')}`)
  const path = `/api/v1/${name}${format === 'csv' ? '.csv' : ''}`
  return query.length === 0 ? path : `${path}?${query.join('&')}`
}

/** @throws TelescopeError with the code of the hub; HUB_UNREACHABLE when there is no answer */
export function fetchAnswer<N extends QueryName>(
  name: N,
  parameters: QueryParameters<N>,
  signal: AbortSignal,
  token: string | null = null,
): Promise<Answer<N>> {
  return request<Answer<N>>(answerUrl(name, parameters), { signal, token })
}

/** @param token of a sensor or a person; null: the session of this browser. @throws as fetchAnswer */
export function fetchStatus(signal: AbortSignal, token: string | null = null): Promise<Status> {
  return request<Status>('/api/v1/status', { signal, token })
}

/** Turns a token into a session cookie. @throws UNAUTHENTICATED when the hub does not know it */
export async function signIn(token: string, signal: AbortSignal): Promise<void> {
  await request<unknown>('/api/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
    signal,
  })
}

/** Ends the session of this browser. */
export async function signOut(signal: AbortSignal): Promise<void> {
  await request<unknown>('/api/v1/session', { method: 'DELETE', signal })
}

/** A request as fetch takes it, always with a way to call it off. */
interface HubRequest extends RequestInit {
  readonly signal: AbortSignal
  /** Speaks for the request instead of the session; null: the session of this browser, if there is one. */
  readonly token?: string | null
}

/** What came back with a status of success. */
interface HubAnswer {
  readonly headers: Headers
  /** Undefined when `text` is not JSON. */
  readonly body: unknown
  readonly text: string
}

/** @throws as fetchAnswer */
export async function exchange(url: string, { token = null, ...init }: HubRequest): Promise<HubAnswer> {
  const timeout = AbortSignal.timeout(ANSWER_MILLISECONDS_MAX)
  let response: Response
  let text: string
  try {
    response = await fetch(url, {
      credentials: token === null ? 'same-origin' : 'omit',
      ...init,
      headers: { accept: 'application/json', ...tokenHeader(token), ...init.headers },
      signal: AbortSignal.any([init.signal, timeout]),
    })
    text = await response.text()
  } catch (error) {
    if (init.signal.aborted) throw error
    const message = timeout.aborted
      ? `hub: no answer within ${ANSWER_MILLISECONDS_MAX / 1000} s`
      : 'hub: no connection; is it still running?'
    throw new TelescopeError('HUB_UNREACHABLE', message, { url }, error)
  }
  const body = parseBody(text)
  if (!response.ok) throw errorOf(response.status, body, url)
  return { headers: response.headers, body, text }
}

export function tokenHeader(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

/** @throws as fetchAnswer */
export async function request<T>(url: string, init: HubRequest): Promise<T> {
  const { body, text } = await exchange(url, init)
  if (body === undefined && text !== '') throw errorOf(200, body, url)
  return body as T
}

/** JSON of an answer; undefined when it is none. */
export function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The error that an answer without success stands for; its details hold the `status`. */
export function errorOf(status: number, body: unknown, url: string): TelescopeError {
  const error = (body as { error?: { code?: unknown; message?: unknown; details?: unknown } } | undefined)?.error
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') {
    return new TelescopeError('HUB_UNREACHABLE', `hub: answered ${status} without saying why; is a proxy in between?`, {
      url,
      status,
    })
  }
  const details = typeof error.details === 'object' && error.details !== null ? error.details : {}
  // A newer hub may know codes that this page does not.
  if (!Object.hasOwn(ERROR_CODES, error.code)) {
    return new TelescopeError('INTERNAL', `${error.code}: ${error.message}`, { ...details, url, status })
  }
  return new TelescopeError(error.code as ErrorCode, error.message, { ...details, status })
}
