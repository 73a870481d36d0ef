import { ERROR_CODES, type ErrorCode, TelescopeError } from '../schemas/errors.ts'
import type { HubAnswer } from './hub-request.ts'

/** The error that an answer carries, its text fit for a terminal; null when it is no error of a hub. */
export function errorOfAnswer(body: unknown): { code: ErrorCode; message: string } | null {
  const { code, message } = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error ?? {}
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) return null
  return { code: code as ErrorCode, message: String(message).replace(/[^\x20-\x7e]/g, '?') }
}

/**
 * The body of an answer that must be a success.
 * @throws what the hub answers, HUB_UNREACHABLE when it is no answer of a hub
 */
export function successOfAnswer(hub: URL, { status, body }: HubAnswer): unknown {
  if (status >= 200 && status < 300) return body
  const error = errorOfAnswer(body)
  if (error === null) throw notAHub(hub, status)
  throw new TelescopeError(error.code, `hub ${hub.origin}: ${error.message}`, { hub: hub.origin })
}

/** What answers there is something else. */
export function notAHub(hub: URL, status: number): TelescopeError {
  return new TelescopeError(
    'HUB_UNREACHABLE',
    `hub ${hub.origin}: answered ${status} with something that is no answer of a hub; check the address`,
    { status },
  )
}
