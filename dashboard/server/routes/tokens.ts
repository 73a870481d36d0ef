import type { FastifyInstance } from 'fastify'
import { TOKEN, TOKEN_ROLES } from '../../../schemas/catalog.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { actorOf } from '../access.ts'
import { createToken } from '../credentials.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import type { ServerParts } from '../server-parts.ts'

/** Making, listing and revoking tokens. A revocation holds from the next request on. */
export function addTokenRoutes(app: FastifyInstance, { storage }: ServerParts): void {
  app.get(
    '/api/v1/tokens',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'All tokens ever made, without their secrets.',
        response: {
          200: {
            type: 'object',
            required: ['tokens'],
            properties: { tokens: { type: 'array', items: rowJsonSchema(TOKEN) } },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async () => ({ tokens: await storage.listTokens() }),
  )
  app.post<{ Body: { role?: string; sensor?: string } }>(
    '/api/v1/tokens',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Make a token for a sensor, or for a role.',
        body: {
          type: 'object',
          additionalProperties: false,
          properties: {
            role: { type: 'string', enum: [...TOKEN_ROLES], description: TOKEN.role.doc },
            sensor: { type: 'string', description: TOKEN.sensor.doc },
          },
        },
        response: {
          201: {
            type: 'object',
            required: ['token_id', 'role', 'sensor', 'token'],
            properties: {
              token_id: { type: 'string', description: TOKEN.token_id.doc },
              role: { type: 'string' },
              sensor: { type: 'string', nullable: true },
              token: { type: 'string', description: 'The secret itself; shown this once.' },
            },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async ({ body, subject }, reply) => {
      reply.code(201)
      return await createToken(storage, body, actorOf(subject))
    },
  )
  app.delete<{ Params: { id: string } }>(
    '/api/v1/tokens/:id',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Revoke a token.',
        params: { type: 'object', properties: { id: { type: 'string', description: TOKEN.token_id.doc } } },
        response: { '4xx': ERROR_SCHEMA },
      },
    },
    async ({ params, subject }, reply) => {
      if (!(await storage.revokeToken(params.id, actorOf(subject)))) {
        throw new TelescopeError('NOT_FOUND', `token "${params.id}": there is none that could be revoked`, {
          token_id: params.id,
        })
      }
      reply.code(204)
    },
  )
}
