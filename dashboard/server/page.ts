import { existsSync } from 'node:fs'
import { extname } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { notFound } from './error-reply.ts'

/** The build names these files by their content, so a name never changes its meaning. */
const HASHED_FOLDER = 'assets/'

/**
 * Serves the built page. A path without an extension is a view of the page (`/port/tcp/23`): it gets index.html, which
 * draws it. index.html itself is asked for again each time, so that a new build arrives.
 */
export function addPage(app: FastifyInstance, web: string | null): void {
  if (web === null || !existsSync(web)) return
  app.register(fastifyStatic, { root: web, serve: false, dotfiles: 'ignore', cacheControl: false })
  app.get<{ Params: { '*': string } }>(
    '/*',
    { config: { access: 'anything' }, schema: { hide: true } },
    async (request, reply) => {
      const path = request.params['*']
      if (path === 'api' || path.startsWith('api/')) throw notFound(request)
      if (path.startsWith(HASHED_FOLDER)) {
        return reply.header('cache-control', 'public, max-age=31536000, immutable').sendFile(path)
      }
      reply.header('cache-control', 'no-cache')
      return reply.sendFile(extname(path) === '' ? 'index.html' : path)
    },
  )
}
