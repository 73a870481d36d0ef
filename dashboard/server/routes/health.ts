import type { FastifyInstance } from 'fastify'
import { parametersJsonSchema, type Status } from '../../../schemas/api.ts'
import { scopeOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { SOFTWARE_VERSION } from '../package-root.ts'
import { checkReady } from '../readiness.ts'
import type { ServerParts } from '../server-parts.ts'

const text = { type: 'string' }
const nullableTime = { type: 'string', format: 'date-time', nullable: true }
const count = { type: 'integer', minimum: 0 }

const STATUS_SCHEMA = {
  type: 'object',
  required: ['version', 'demo', 'data_since', 'data_until', 'geography', 'uploads', 'role'],
  properties: {
    version: text,
    demo: {
      type: 'object',
      nullable: true,
      description: 'Set when the region is simulated.',
      required: ['scale', 'captures', 'counted'],
      properties: { scale: { type: 'number' }, captures: count, counted: count },
    },
    data_since: nullableTime,
    data_until: nullableTime,
    geography: text,
    uploads: {
      type: 'object',
      description: 'Uploads by what became of them; received is all of them. What is in none of the others waits.',
      required: ['received', 'counted', 'quarantined', 'held', 'withdrawn'],
      properties: { received: count, counted: count, quarantined: count, held: count, withdrawn: count },
    },
    role: { type: 'string', description: 'What the caller may do.' },
  },
}

const ANSWER = { type: 'object', required: ['status'], properties: { status: text } }

/** These take no parameters, and refuse any. */
const querystring = parametersJsonSchema({})

/** `/health` (the process answers), `/ready` (it takes uploads and answers questions), `/status`, the API document. */
export function addHealthRoutes(app: FastifyInstance, parts: ServerParts): void {
  app.get(
    '/api/v1/health',
    {
      config: { access: 'anything' },
      schema: { summary: 'The process answers.', querystring, response: { 200: ANSWER } },
    },
    async () => ({ status: 'ok' }),
  )
  app.get(
    '/api/v1/ready',
    {
      config: { access: 'anything' },
      schema: {
        summary: 'The hub takes uploads and answers questions; when it does not, the error says why not.',
        querystring,
        response: { 200: ANSWER, 503: ERROR_SCHEMA },
      },
    },
    async () => {
      await checkReady(parts)
      return { status: 'ready' }
    },
  )
  app.get(
    '/api/v1/status',
    {
      config: { access: 'anything' },
      schema: {
        summary: 'What the hub says about itself, as far as the caller may see.',
        querystring,
        response: { 200: STATUS_SCHEMA },
      },
    },
    async (request): Promise<Status> => {
      const { since, until, geography, ...uploads } = await parts.storage.overview(scopeOf(request.subject))
      return {
        version: SOFTWARE_VERSION,
        demo: parts.demo(),
        data_since: since === null ? null : new Date(since * 1000).toISOString(),
        data_until: until === null ? null : new Date(until * 1000).toISOString(),
        geography,
        uploads,
        role: request.subject.role,
      }
    },
  )
  app.get('/api/v1/openapi.json', { config: { access: 'anything' }, schema: { hide: true, querystring } }, async () =>
    app.swagger(),
  )
}
