import type { FastifyInstance } from 'fastify'
import type { NewSensor, SensorChange } from '../../../analytics/storage.ts'
import { SENSOR } from '../../../schemas/catalog.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { actorOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { changeRegistration, registerSensor } from '../registration.ts'
import type { ServerParts } from '../server-parts.ts'

const CHANGEABLE = {
  economy: { type: 'string', description: SENSOR.economy.doc },
  organisation: { type: 'string', description: SENSOR.organisation.doc },
  telescope: { type: 'string', description: SENSOR.telescope.doc },
} as const

/** Registering sensors; the list of them is the query `sensors`. */
export function addSensorRoutes(app: FastifyInstance, { storage, folder }: ServerParts): void {
  app.post<{ Body: Omit<NewSensor, 'organisation'> & { organisation?: string } }>(
    '/api/v1/sensors',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Register a sensor.',
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['sensor', 'economy', 'telescope'],
          properties: {
            sensor: { type: 'string', description: SENSOR.sensor.doc },
            ...CHANGEABLE,
          },
        },
        // The telescope itself is withheld even here: answers are logged by proxies and kept by browsers.
        response: { 201: rowJsonSchema(SENSOR), '4xx': ERROR_SCHEMA },
      },
    },
    async ({ body, subject }, reply) => {
      const record = await registerSensor(storage, folder, { organisation: '', ...body }, actorOf(subject))
      reply.code(201)
      return record
    },
  )

  app.patch<{ Params: { sensor: string }; Body: SensorChange }>(
    '/api/v1/sensors/:sensor',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Correct the registration of a sensor; prefixes only before anything of it is counted.',
        params: {
          type: 'object',
          required: ['sensor'],
          properties: { sensor: { type: 'string', description: SENSOR.sensor.doc } },
        },
        body: { type: 'object', additionalProperties: false, minProperties: 1, properties: CHANGEABLE },
        response: { 200: rowJsonSchema(SENSOR), '4xx': ERROR_SCHEMA },
      },
    },
    async ({ params, body, subject }) => await changeRegistration(storage, params.sensor, body, actorOf(subject)),
  )
}
