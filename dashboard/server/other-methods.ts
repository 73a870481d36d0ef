import type { FastifyInstance, HTTPMethods } from 'fastify'
import { TelescopeError } from '../../schemas/errors.ts'

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/**
 * Notes which methods each resource takes that is added to `app` after this call.
 * @returns what to call when all are added: then the other methods answer 405 with `Allow`, where fastify says 404
 */
export function collectMethods(app: FastifyInstance): () => void {
  const taken = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ method, url }) => {
    const methods = taken.get(url) ?? new Set()
    taken.set(url, methods)
    for (const name of [method].flat()) methods.add(name)
  })
  return () => {
    // Copied, because adding a route grows the map.
    for (const [url, methods] of [...taken]) refuseOthers(app, url, [...methods].sort())
  }
}

function refuseOthers(app: FastifyInstance, url: string, methods: readonly string[]): void {
  const allow = methods.join(', ')
  app.route({
    method: METHODS.filter(method => !methods.includes(method)),
    url,
    config: { access: 'anything' },
    schema: { hide: true },
    onRequest: async (request, reply) => {
      reply.header('allow', allow)
      throw new TelescopeError('METHOD_NOT_ALLOWED', `${request.method} is not taken here; ${allow} are`, {
        method: request.method,
        allow,
      })
    },
    handler: async () => undefined,
  })
}
