import { existsSync, readdirSync } from 'node:fs'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { notFound } from './error-reply.ts'

/** The build names these files by their content, so a name never changes its meaning. */
const HASHED_FOLDER = 'assets/'
const PROBES = ['health', 'ready', 'metrics']
/** Paths of the views, without the leading slash, as the page reads its address. */
const VIEW = /^(sign-in|uploads|port\/[a-z0-9]+\/\d{1,5}\/?)?$/

/**
 * Serves the built page. A path that is no file of it is one of its views (`/port/tcp/23`): it gets index.html, which
 * draws it. What is no view gets it, too, with 404: the page says so to people. index.html itself is asked for again
 * each time, so that a new build arrives.
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
      // Of a probe, which looks at the status and not at a page.
      if (PROBES.includes(path)) throw notFound(request, `/api/v1/${path}`)
      if (path.startsWith(HASHED_FOLDER)) {
        return reply.header('cache-control', 'public, max-age=31536000, immutable').sendFile(path)
      }
      // Who asks for a file by name wants that file; who opens a page says that it wants HTML.
      const isFileName = path.slice(path.lastIndexOf('/') + 1).includes('.')
      if (isFileName && !files.has(path) && !request.headers.accept?.includes('text/html')) throw notFound(request)
      reply.header('cache-control', 'no-cache')
      if (files.has(path)) return reply.sendFile(path)
      if (VIEW.test(path)) return reply.sendFile('index.html')
      // Without a tag: "not modified" would leave a 404 without its page.
      return reply.code(404).sendFile('index.html', { etag: false, lastModified: false, acceptRanges: false })
    },
  )
}
