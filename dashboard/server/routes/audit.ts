import type { FastifyInstance } from 'fastify'
import { type ParameterTable, parametersJsonSchema } from '../../../schemas/api.ts'
import { AUDIT } from '../../../schemas/audit.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import type { ServerParts } from '../server-parts.ts'
import { readInteger } from './integer-parameter.ts'

const PARAMETERS = {
  limit: { type: 'integer', minimum: 1, maximum: 10_000, default: '100', doc: 'Entries at most, newest first.' },
} as const satisfies ParameterTable

/** The audit log, and whether its chain holds. */
export function addAuditRoutes(app: FastifyInstance, { storage }: ServerParts): void {
  app.get<{ Querystring: { limit: string } }>(
    '/api/v1/audit',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Who administered what, newest first.',
        querystring: parametersJsonSchema(PARAMETERS),
        response: {
          200: {
            type: 'object',
            required: ['broken_sequence', 'entries'],
            properties: {
              broken_sequence: {
                type: 'integer',
                nullable: true,
                description: 'Sequence of the first entry that is missing or was changed; null when the chain holds.',
              },
              entries: { type: 'array', items: rowJsonSchema(AUDIT) },
            },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async ({ query }) => ({
      broken_sequence: await storage.verifyAudit(),
      entries: await storage.listAudit(readInteger(PARAMETERS, 'limit', query.limit)),
    }),
  )
}
