import { existsSync, readdirSync } from 'node:fs'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { notFound } from './error-reply.ts'

/** The build names these files by their content, so a name never changes its meaning. */
const HASHED_FOLDER = 'assets/'

/**
 * Serves the built page. A path that is no file of it is one of its views (`/port/tcp/23`): it gets index.html, which
 * draws it. index.html itself is asked for again each time, so that a new build arrives.
 */
export function addPage(app: FastifyInstance, web: string | null): void {
  if (web === null || !existsSync(web)) return
  const files = new Set(readdirSync(web).filter(name => !name.startsWith('.')))
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
      // Who asks for a file by name wants that file; who opens a page says that it wants HTML.
      const isFileName = path.slice(path.lastIndexOf('/') + 1).includes('.')
      if (isFileName && !files.has(path) && !request.headers.accept?.includes('text/html')) throw notFound(request)
      return reply.header('cache-control', 'no-cache').sendFile(files.has(path) ? path : 'index.html')
    },
  )
}
