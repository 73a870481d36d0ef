import type { FastifyInstance } from 'fastify'

/**
 * What browsers are told with every answer: run only our own files, load from nowhere else, never be framed, never
 * guess a type, tell nobody where a link was followed. No CORS header is ever sent: other origins may not read.
 */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const

/** RFC 6797: for a year this host is asked by HTTPS only. A proxy with TLS says so by itself. */
const STRICT_TRANSPORT = { 'strict-transport-security': 'max-age=31536000' } as const

/** @param tls whether the hub itself speaks HTTPS */
export function addSecurityHeaders(app: FastifyInstance, tls: boolean): void {
  const headers = tls ? { ...HEADERS, ...STRICT_TRANSPORT } : HEADERS
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(headers)
  })
}
