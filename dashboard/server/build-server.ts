import { randomUUID } from 'node:crypto'
import fastifySwagger from '@fastify/swagger'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { TelescopeError } from '../../schemas/errors.ts'
import { authorize } from './access.ts'
import { errorBody, sendError, setErrorReplies } from './error-reply.ts'
import { checkHost } from './host-check.ts'
import { LAZY_COMPILERS } from './lazy-compilers.ts'
import { addRequestObserver } from './observe-requests.ts'
import { collectMethods } from './other-methods.ts'
import { SOFTWARE_VERSION } from './package-root.ts'
import { addPage } from './page.ts'
import { addAuditRoutes } from './routes/audit.ts'
import { addEnrolmentRoutes } from './routes/enrolment.ts'
import { addHealthRoutes } from './routes/health.ts'
import { addMetricsRoute } from './routes/metrics.ts'
import { addQueryRoutes } from './routes/queries.ts'
import { addReceiptRoutes } from './routes/receipts.ts'
import { addResumableUploadRoutes } from './routes/resumable-uploads.ts'
import { addSensorHealthRoute } from './routes/sensor-health.ts'
import { addSensorKeyRoutes } from './routes/sensor-keys.ts'
import { addSensorRoutes } from './routes/sensors.ts'
import { addSessionRoutes } from './routes/session.ts'
import { addSnapshotRoute } from './routes/snapshots.ts'
import { addTokenRoutes } from './routes/tokens.ts'
import { addUpkeepRoutes } from './routes/upkeep.ts'
import { addUploadDecisionRoutes } from './routes/upload-decisions.ts'
import { addUploadRoutes } from './routes/uploads.ts'
import { addSecurityHeaders } from './security-headers.ts'
import type { ServerParts } from './server-parts.ts'
import { SignatureCheck } from './signature-check.ts'
import { checkSignedBodies } from './signed-body.ts'
import { findSubject } from './subject.ts'
import {
  CONNECTION_IDLE_MILLISECONDS,
  HANDLER_MILLISECONDS,
  KEEP_ALIVE_MILLISECONDS,
  REQUEST_MILLISECONDS,
} from './time-limits.ts'
import { TLS_VERSION_MIN, type TlsFiles } from './tls-files.ts'

/** Bodies besides uploads are a few fields of JSON. */
const BODY_BYTES_MAX = 64 * 1024
/** Enough to find one request among those of a day. */
const REQUEST_ID_CHARACTERS = 13

/** The hub's HTTP face, not yet listening; `await app.ready()` throws when a route declares no access. */
export function buildServer(parts: ServerParts): FastifyInstance {
  const app = Fastify({
    ...tlsOptions(parts.tls),
    logger: parts.logger,
    // Requests are logged by their route (observe-requests.ts); fastify's own lines hold the URL.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID().slice(0, REQUEST_ID_CHARACTERS),
    trustProxy: false,
    connectionTimeout: CONNECTION_IDLE_MILLISECONDS,
    requestTimeout: REQUEST_MILLISECONDS,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    handlerTimeout: HANDLER_MILLISECONDS,
    bodyLimit: BODY_BYTES_MAX,
    return503OnClosing: false,
    // ajv would silently remove unknown parameters.
    ajv: { customOptions: { removeAdditional: false } },
    schemaController: LAZY_COMPILERS,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
    clientErrorHandler: answerBrokenHttp,
  })
  // Null until the hook below has found out: whatever reads it earlier fails, and so refuses.
  app.decorateRequest('subject', null as never)
  app.decorateRequest('signedSha256', null)
  app.decorateRequest('refusal', null)
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === undefined) {
      throw new TelescopeError('INTERNAL', `route ${method} ${url} does not declare who may call it`)
    }
  })
  setErrorReplies(app)
  const signatures = new SignatureCheck(parts.storage, parts.names)
  checkSignedBodies(app)
  addRequestObserver(app, parts.metrics)
  addSecurityHeaders(app, parts.tls !== null)
  app.addHook('onRequest', async request => {
    if (!parts.isLocal(request)) checkHost(request.headers.host, parts.names)
    if (request.is404) return
    const access = request.routeOptions.config.access!
    if (!parts.isReady() && request.routeOptions.url !== '/api/v1/health') {
      throw new TelescopeError('NOT_READY', 'hub is stopping; try again in a moment')
    }
    request.subject = await findSubject(request, { ...parts, signatures })
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
    addMetricsRoute(api, parts)
    addQueryRoutes(api, parts)
    addReceiptRoutes(api, parts)
    addUploadDecisionRoutes(api, parts)
    addSensorRoutes(api, parts)
    addSensorHealthRoute(api, parts)
    addSensorKeyRoutes(api, parts)
    addEnrolmentRoutes(api, parts, signatures)
    addTokenRoutes(api, parts)
    addAuditRoutes(api, parts)
    addSessionRoutes(api, parts)
    addSnapshotRoute(api, parts)
    addUpkeepRoutes(api, parts)
    await api.register(async uploads => addUploadRoutes(uploads, parts))
    await api.register(async uploads => addResumableUploadRoutes(uploads, parts))
    refuseOthers()
  })
  addPage(app, parts.web)
  return app
}

/** fastify's types know a server with TLS as another one; what we use of it is the same. */
function tlsOptions(tls: TlsFiles | null): object {
  return tls === null ? {} : { https: { ...tls, minVersion: TLS_VERSION_MIN } }
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
