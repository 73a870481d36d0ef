import type { FastifyInstance } from 'fastify'
import { parametersJsonSchema } from '../../../schemas/api.ts'
import type { ServerParts } from '../server-parts.ts'

/** `/metrics` for Prometheus, with a coordinator's token: load and disk of the hub are not for everyone. */
export function addMetricsRoute(app: FastifyInstance, { metrics }: ServerParts): void {
  app.get(
    '/api/v1/metrics',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Figures of the hub in the text format of Prometheus.',
        querystring: parametersJsonSchema({}),
        produces: ['text/plain'],
      },
    },
    async (_request, reply) => {
      reply.type(metrics.contentType)
      return await metrics.text()
    },
  )
}
