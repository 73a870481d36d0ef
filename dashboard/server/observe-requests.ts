import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ERROR_CODES } from '../../schemas/errors.ts'
import type { HubMetrics } from './hub-metrics.ts'

/** Routes that take uploads, and what each takes; `any` says so in the request. */
const UPLOAD_ROUTES: readonly (readonly [string, string])[] = [
  ['/api/v1/captures/', 'capture'],
  ['/api/v1/batches/', 'batch'],
  ['/api/v1/uploads', 'any'],
]
const READING = ['GET', 'HEAD', 'OPTIONS']
const UNMATCHED = 'unmatched'

/**
 * One line and one figure a request: by the pattern of its route and never by what was asked for, since a path, a query
 * or a header may hold a secret. Add it before all else that hooks into requests.
 */
export function addRequestObserver(app: FastifyInstance, metrics: HubMetrics): void {
  app.addHook('onRequest', async (request, reply) => {
    const started = performance.now()
    const upload = uploadKind(request)
    if (upload !== null) metrics.openUploads.inc()
    // Also when the other side goes away before it has its answer.
    reply.raw.once('close', () => {
      const seconds = (performance.now() - started) / 1000
      if (upload !== null) {
        metrics.openUploads.dec()
        const code = request.refusal ?? (reply.raw.writableEnded ? null : 'BODY_CUT_SHORT')
        if (code !== null) metrics.count('hirundo_uploads_refused_total', { kind: upload, code })
      }
      const route = routeOf(request)
      metrics.answered(route === UNMATCHED ? 'any' : request.method, route, reply.statusCode, seconds)
      logRequest(request, reply, route, seconds)
    })
  })
}

function uploadKind(request: FastifyRequest): string | null {
  const route = routeOf(request)
  if (READING.includes(request.method)) return null
  return UPLOAD_ROUTES.find(([start]) => route.startsWith(start))?.[1] ?? null
}

function routeOf({ is404, routeOptions }: FastifyRequest): string {
  return is404 ? UNMATCHED : (routeOptions.url ?? UNMATCHED)
}

function logRequest(request: FastifyRequest, reply: FastifyReply, route: string, seconds: number): void {
  const { statusCode: status } = reply
  const cut = !reply.raw.writableEnded
  const line = {
    method: request.method,
    route,
    status,
    milliseconds: Math.round(seconds * 1000),
    bytes_announced: Number(request.headers['content-length'] ?? 0),
    answer_bytes: Number(reply.getHeader('content-length') ?? 0),
    role: request.subject?.role ?? null,
    sensor: request.subject?.sensor ?? null,
    code: request.refusal ?? null,
  }
  const what = `${request.method} ${route}`
  const who = line.sensor === null ? '' : ` of ${line.sensor}`
  // The words of the code, not of the error: those may quote what was sent.
  if (cut) request.log[levelOf(line)](line, `${what}${who}: the other side ended the connection`)
  else if (line.code === null) request.log[levelOf(line)](line, `${what}${who}: ${status}`)
  else request.log[levelOf(line)](line, `refused ${what}${who}: ${ERROR_CODES[line.code].doc} [${line.code}]`)
}

/** What an operator wants to see as it happens: changes and refusals. A new upload has its own line. */
function levelOf({ method, status, code }: { method: string; status: number; code: string | null }) {
  if (status >= 500) return code === 'NOT_READY' ? 'debug' : 'warn'
  if (READING.includes(method)) return status === 401 || status === 403 ? 'info' : 'debug'
  return status === 201 && method === 'PUT' ? 'debug' : 'info'
}
