import type { FastifyRequest } from 'fastify'
import type { Storage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { ANONYMOUS, type Subject } from './access.ts'
import { hashSecret } from './credentials.ts'
import type { Sessions } from './sessions.ts'

export const SESSION_COOKIE = 'hirundo_session'

/** Where a subject is looked for. */
interface SubjectSources {
  readonly storage: Storage
  readonly sessions: Sessions
  /** Whoever has no credential reads as an analyst: for a demo on loopback. */
  readonly openReading: boolean
  /** True for a request that came through DATA/hub.sock, which only the hub's own user can open. */
  isLocal(request: FastifyRequest): boolean
}

/**
 * Who is calling. A token that is sent must be valid; a cookie may have ended.
 * @throws UNAUTHENTICATED, FORBIDDEN (a browser's write from a page that is not ours)
 */
export async function findSubject(request: FastifyRequest, sources: SubjectSources): Promise<Subject> {
  const { authorization } = request.headers
  if (authorization !== undefined) return await subjectOfToken(authorization, sources.storage)
  if (sources.isLocal(request)) return { role: 'coordinator', sensor: null, credential: 'socket' }
  const cookie = sessionCookie(request)
  const subject = cookie === null ? ANONYMOUS : await sources.sessions.find(cookie)
  if (subject.role === 'anonymous') {
    return sources.openReading ? { role: 'analyst', sensor: null, credential: 'none' } : ANONYMOUS
  }
  refuseForeignPage(request)
  return subject
}

async function subjectOfToken(authorization: string, storage: Storage): Promise<Subject> {
  const match = /^Bearer +(\S+)$/i.exec(authorization)
  const token = match ? await storage.findToken(hashSecret(match[1]!)) : null
  if (token === null) {
    throw new TelescopeError(
      'UNAUTHENTICATED',
      match
        ? 'token is unknown or revoked; ask the coordinator for a new one'
        : 'authorization is not of the form "Bearer TOKEN"',
    )
  }
  return { role: token.role, sensor: token.sensor, credential: 'token', tokenId: token.token_id }
}

/** The name of the session in the request's cookie, or null. */
export function sessionCookie(request: FastifyRequest): string | null {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [name, value] = part.trim().split('=', 2)
    if (name === SESSION_COOKIE && value) return value
  }
  return null
}

/**
 * A cookie is sent by the browser whatever page made the request. SameSite=Strict does not tell ports apart: another
 * program's page on the same host is the same site. So a write must come from our own origin.
 */
function refuseForeignPage(request: FastifyRequest): void {
  const { origin, host } = request.headers
  if (request.method === 'GET' || request.method === 'HEAD' || origin === undefined) return
  if (URL.canParse(origin) && new URL(origin).host === host) return
  throw new TelescopeError(
    'FORBIDDEN',
    "request comes from a page of another origin; use the hub's own page or a token",
  )
}
