import fastifySwagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import { TelescopeError } from '../../schemas/errors.ts'
import { authorize } from './access.ts'
import { errorBody, sendError, setErrorReplies } from './error-reply.ts'
import { checkHost } from './host-check.ts'
import { collectMethods } from './other-methods.ts'
import { SOFTWARE_VERSION } from './package-root.ts'
import { addPage } from './page.ts'
import { addAuditRoutes } from './routes/audit.ts'
import { addHealthRoutes } from './routes/health.ts'
import { addQueryRoutes } from './routes/queries.ts'
import { addReceiptRoutes } from './routes/receipts.ts'
import { addSensorRoutes } from './routes/sensors.ts'
import { addSessionRoutes } from './routes/session.ts'
import { addTokenRoutes } from './routes/tokens.ts'
import { addUpkeepRoutes } from './routes/upkeep.ts'
import { addUploadRoutes } from './routes/uploads.ts'
import { addSecurityHeaders } from './security-headers.ts'
import type { ServerParts } from './server-parts.ts'
import { findSubject } from './subject.ts'
import {
  CONNECTION_IDLE_MILLISECONDS,
  HANDLER_MILLISECONDS,
  KEEP_ALIVE_MILLISECONDS,
  REQUEST_MILLISECONDS,
} from './time-limits.ts'

/** Bodies besides uploads are a few fields of JSON. */
const BODY_BYTES_MAX = 64 * 1024

/** The hub's HTTP face, not yet listening; `await app.ready()` throws when a route declares no access. */
export function buildServer(parts: ServerParts): FastifyInstance {
  const app = Fastify({
    logger: parts.logger,
    trustProxy: false,
    connectionTimeout: CONNECTION_IDLE_MILLISECONDS,
    requestTimeout: REQUEST_MILLISECONDS,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    handlerTimeout: HANDLER_MILLISECONDS,
    bodyLimit: BODY_BYTES_MAX,
    return503OnClosing: false,
    // ajv would silently remove unknown parameters.
    ajv: { customOptions: { removeAdditional: false } },
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
    clientErrorHandler: answerBrokenHttp,
  })
  // Null until the hook below has found out: whatever reads it earlier fails, and so refuses.
  app.decorateRequest('subject', null as never)
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === undefined) {
      throw new TelescopeError('INTERNAL', `route ${method} ${url} does not declare who may call it`)
    }
  })
  setErrorReplies(app)
  addSecurityHeaders(app)
  app.addHook('onRequest', async request => {
    if (!parts.isLocal(request)) checkHost(request.headers.host, parts.names)
    if (request.is404) return
    const access = request.routeOptions.config.access!
    if (!parts.isReady() && request.routeOptions.url !== '/api/v1/health') {
      throw new TelescopeError('NOT_READY', 'hub is stopping; try again in a moment')
    }
    request.subject = await findSubject(request, parts)
    authorize(request.subject, access)
  })
  app.register(fastifySwagger, {
    openapi: {
      openapi: '3.0.3',
      info: {
        title: 'Hirundo hub',
        description:
          'What a regional darknet telescope saw. Every error has the shape {error: {code, message, details}}.',
        version: SOFTWARE_VERSION,
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  })
  app.register(async api => {
    const refuseOthers = collectMethods(api)
    addHealthRoutes(api, parts)
    addQueryRoutes(api, parts)
    addReceiptRoutes(api, parts)
    addSensorRoutes(api, parts)
    addTokenRoutes(api, parts)
    addAuditRoutes(api, parts)
    addSessionRoutes(api, parts)
    addUpkeepRoutes(api, parts)
    await api.register(async uploads => addUploadRoutes(uploads, parts))
    refuseOthers()
  })
  addPage(app, parts.web)
  return app
}

/** Node's parser gave up on the connection: there is no request to answer, only a socket. */
function answerBrokenHttp(error: Error & { code?: string }, socket: import('node:net').Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const slow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const code = slow ? ('TIMED_OUT' as const) : ('QUERY_INVALID' as const)
  const message = slow ? 'request did not arrive in time' : 'request is not HTTP that the hub can read'
  const body = JSON.stringify(errorBody({ code, message, details: {} }))
  const status = slow ? '408 Request Timeout' : '400 Bad Request'
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
