import type { FastifyInstance } from 'fastify'
import { parseRetention } from '../../../schemas/retention.ts'
import { actorOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import type { ServerParts } from '../server-parts.ts'

const COUNTS = [
  'captures',
  'capture_bytes',
  'batches',
  'batch_bytes',
  'lake_files',
  'flows',
  'lake_bytes',
  'rollup_hours',
]

/** Upkeep that the coordinator asks for; the hub does the same by itself in its own time. */
export function addUpkeepRoutes(app: FastifyInstance, { storage, retainer, retention }: ServerParts): void {
  app.post<{ Body: { dry_run?: boolean; keep?: string[] } }>(
    '/api/v1/retention',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Remove what is older than it is to be kept, or say what would be removed.',
        body: {
          type: 'object',
          additionalProperties: false,
          properties: {
            dry_run: { type: 'boolean', description: 'Only say what would be removed.' },
            keep: {
              type: 'array',
              items: { type: 'string' },
              description: 'CLASS=DAYS, instead of what the hub was started with.',
            },
          },
        },
        response: {
          200: {
            type: 'object',
            required: COUNTS,
            properties: Object.fromEntries(COUNTS.map(name => [name, { type: 'integer', minimum: 0 }])),
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    ({ body, subject }) =>
      retainer.run(body.keep ? parseRetention(body.keep) : retention, {
        dryRun: body.dry_run === true,
        actor: actorOf(subject),
      }),
  )
  app.post(
    '/api/v1/read-copy',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Renew the read copy for other programs on the machine of the hub.',
        response: {
          200: {
            type: 'object',
            required: ['changed', 'parts_written', 'lake_files'],
            properties: {
              changed: { type: 'boolean' },
              parts_written: { type: 'integer', minimum: 0 },
              lake_files: { type: 'integer', minimum: 0 },
            },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    () => storage.renewReadCopy(),
  )
}
