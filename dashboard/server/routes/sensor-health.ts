import type { FastifyInstance } from 'fastify'
import { parametersJsonSchema } from '../../../schemas/api.ts'
import { sensorHealthJsonSchema } from '../../../schemas/sensor-health.ts'
import { scopeOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import type { ServerParts } from '../server-parts.ts'

/** What an operator has to look after: sensors that are silent, numbers that never came, late data, clocks. */
export function addSensorHealthRoute(app: FastifyInstance, { storage }: ServerParts): void {
  app.get(
    '/api/v1/sensor-health',
    {
      config: { access: 'read' },
      schema: {
        summary: 'Sensors that are silent or behind, and uploads that never came.',
        querystring: parametersJsonSchema({}),
        response: { 200: sensorHealthJsonSchema(), '4xx': ERROR_SCHEMA },
      },
    },
    async ({ subject }, reply) => {
      reply.header('cache-control', 'no-store')
      return { sensors: await storage.sensorHealth(scopeOf(subject)) }
    },
  )
}
