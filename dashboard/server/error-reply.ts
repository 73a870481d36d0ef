import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import type { ErrorBody, ErrorCode, ErrorDetails } from '../../schemas/errors.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { withoutEcho } from './log.ts'

/** The one shape of every error answer, as the API document shows it. */
export const ERROR_SCHEMA = {
  type: 'object',
  description: 'Every error has this shape.',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'details'],
      properties: {
        code: { type: 'string', description: 'Stable name of the error, for programs.' },
        message: { type: 'string', description: 'The same for people: what, where, what to do.' },
        details: { type: 'object', additionalProperties: true, description: 'Values by name.' },
      },
    },
  },
}

/** Gives every error of the server, of fastify and of node's HTTP parser the one shape. */
export function setErrorReplies(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => sendError(error, request, reply))
  app.setNotFoundHandler((request, reply) => sendError(notFound(request), request, reply))
}

/** @param meant the path that was probably meant */
export function notFound(request: FastifyRequest, meant: string | null = null): TelescopeError {
  return new TelescopeError(
    'NOT_FOUND',
    `${request.method} ${pathOf(request)}: nothing is there; ${meant === null ? '/api/v1/openapi.json lists what is' : `ask for ${meant}`}`,
    { method: request.method, path: pathOf(request) },
  )
}

/** @param problem members of RFC 9457 that stand beside the error, for those who know them */
export function sendError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  problem: (error: TelescopeError) => object | null = () => null,
): FastifyReply {
  const known = toTelescopeError(error, request)
  // Being asked while it stops is nothing to look into, nor is a sensor that sends too much.
  const isOurs = known.status >= 500
  if (isOurs && known.code !== 'NOT_READY') request.log.error({ err: withoutEcho(error, request) }, known.code)
  request.refusal = known.code
  if (known.status === 401) reply.header('www-authenticate', 'Bearer')
  if (known.code === 'NOT_READY' || known.code === 'DISK_FULL' || known.code === 'REQUESTS_TOO_MANY')
    reply.header('retry-after', '30')
  if (known.code === 'QUOTA_EXCEEDED') reply.header('retry-after', String(known.details['retry_after_seconds']))
  reply.header('cache-control', 'no-store')
  const members = problem(known)
  return reply
    .code(known.status)
    .type(members === null ? 'application/json; charset=utf-8' : 'application/problem+json')
    .send(JSON.stringify({ ...members, ...errorBody(known) }))
}

export function errorBody({
  code,
  message,
  details,
}: {
  code: ErrorCode
  message: string
  details: ErrorDetails
}): ErrorBody {
  return { error: { code, message, details } }
}

function toTelescopeError(error: unknown, request: FastifyRequest): TelescopeError {
  if (error instanceof TelescopeError && error.kind !== 'bug') return error
  const { validation, validationContext, code, statusCode } = error as Partial<FastifyError>
  if (validation?.[0]) return invalidRequest(validation[0], validationContext, request)
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new TelescopeError('BODY_TOO_LARGE', 'body is larger than this resource takes')
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new TelescopeError('BODY_EMPTY', 'body is empty; JSON is expected')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      // Uploads take every type here and look at it themselves, but this one is none.
      if (request.routeOptions.config.access === 'upload') {
        return new TelescopeError(
          'CONTENT_TYPE_UNSUPPORTED',
          'content-type of the upload is no media type; send application/octet-stream, or none',
        )
      }
      return new TelescopeError('QUERY_INVALID', 'body must be sent with content-type application/json')
    case 'FST_ERR_HANDLER_TIMEOUT':
      return new TelescopeError('TIMED_OUT', 'answer took too long; ask for a shorter range')
    case 'ECONNRESET':
      return new TelescopeError('BODY_CUT_SHORT', 'connection ended before the body did')
  }
  // What fastify refuses by itself (a broken escape in the path, a body that is not JSON …) is the caller's slip.
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new TelescopeError('QUERY_INVALID', `request cannot be read: ${(error as Error).message.split('\n')[0]}`)
  }
  return new TelescopeError('INTERNAL', `hub failed on this request; its log says why under ${request.id}`, {
    request: request.id,
  })
}

function invalidRequest(
  violation: FastifySchemaValidationError,
  context: string | undefined,
  request: FastifyRequest,
): TelescopeError {
  const thing = context === 'body' ? 'field' : 'parameter'
  const named = violation.instancePath.slice(1)
  const { additionalProperty, missingProperty, allowedValues } = violation.params as Record<string, unknown>
  if (typeof additionalProperty === 'string') {
    const known = knownNames(request, context)
    return new TelescopeError(
      'QUERY_INVALID',
      `${thing} "${additionalProperty}" is unknown here; ${known.length === 0 ? 'none is taken' : `known are ${known.join(', ')}`}`,
      { [thing]: additionalProperty, known: known.join(',') },
    )
  }
  if (typeof missingProperty === 'string') {
    return new TelescopeError('QUERY_INVALID', `${thing} "${missingProperty}" is missing`, { [thing]: missingProperty })
  }
  const expected = Array.isArray(allowedValues) ? `must be one of ${allowedValues.join(', ')}` : violation.message
  return new TelescopeError('QUERY_INVALID', `${named === '' ? 'body' : `${thing} "${named}"`} ${expected}`, {
    [thing]: named,
  })
}

function knownNames(request: FastifyRequest, context: string | undefined): string[] {
  const schema = request.routeOptions.schema?.[context as 'querystring' | 'body' | 'params']
  return Object.keys((schema as { properties?: object } | undefined)?.properties ?? {})
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0]!
}
