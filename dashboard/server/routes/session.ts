import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TelescopeError } from '../../../schemas/errors.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { hostName } from '../host-check.ts'
import type { ServerParts } from '../server-parts.ts'
import { SESSION_COOKIE, sessionCookie } from '../subject.ts'

/** Signing a browser in and out: a token is exchanged for a cookie that scripts cannot read. */
export function addSessionRoutes(app: FastifyInstance, { sessions, names, tls }: ServerParts): void {
  // A cookie that only goes over TLS where TLS is: our own, or of the proxy that forwards one of our names.
  const isSecure = (request: FastifyRequest) => tls !== null || names.includes(hostName(request.headers.host ?? ''))
  const attributes = (request: FastifyRequest) =>
    `Path=/; HttpOnly; SameSite=Strict${isSecure(request) ? '; Secure' : ''}`
  app.post<{ Body: { token: string } }>(
    '/api/v1/session',
    {
      config: { access: 'anything' },
      schema: {
        summary: 'Sign a browser in.',
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['token'],
          properties: {
            token: { type: 'string', maxLength: 200, description: 'A token, or the one of the sign-in link.' },
          },
        },
        response: {
          200: { type: 'object', required: ['role'], properties: { role: { type: 'string' } } },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async (request, reply) => {
      const session = await sessions.signIn(request.body.token)
      if (session === null) {
        throw new TelescopeError(
          'UNAUTHENTICATED',
          'token is unknown or revoked; a sign-in link is good until the hub that printed it stops',
        )
      }
      reply.header('set-cookie', `${SESSION_COOKIE}=${session.cookie}; ${attributes(request)}`)
      return { role: session.subject.role }
    },
  )
  app.delete(
    '/api/v1/session',
    { config: { access: 'anything' }, schema: { summary: 'Sign out.', response: { '4xx': ERROR_SCHEMA } } },
    async (request, reply) => {
      const cookie = sessionCookie(request)
      if (cookie !== null) sessions.signOut(cookie)
      reply.header('set-cookie', `${SESSION_COOKIE}=; Max-Age=0; ${attributes(request)}`)
      reply.code(204)
    },
  )
}
