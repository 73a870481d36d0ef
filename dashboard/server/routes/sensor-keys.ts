import type { FastifyInstance } from 'fastify'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { SENSOR_KEY } from '../../../schemas/sensor-key.ts'
import { actorOf } from '../access.ts'
import { checkSensor } from '../check-sensor.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { INVITATION_HOURS, inviteSensor, revokeSensor } from '../sensor-access.ts'
import type { ServerParts } from '../server-parts.ts'

type OneSensor = { Params: { sensor: string } }

const SENSOR_PARAMS = {
  type: 'object',
  properties: { sensor: { type: 'string', description: SENSOR_KEY.sensor.doc } },
}
const REVOKED = {
  type: 'object',
  required: ['revoked'],
  properties: { revoked: { type: 'integer', description: 'Keys, tokens and codes that were valid and are no more.' } },
}

/** What a coordinator does about the keys of sensors. A revocation holds from the next request on. */
export function addSensorKeyRoutes(app: FastifyInstance, { storage }: ServerParts): void {
  app.post<OneSensor & { Body: { hours?: number } }>(
    '/api/v1/sensors/:sensor/invitations',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Make the one-time code by which a sensor enrols its key; an earlier one ends.',
        params: SENSOR_PARAMS,
        body: {
          type: 'object',
          additionalProperties: false,
          properties: { hours: { type: 'integer', description: 'Hours until it ends.', ...INVITATION_HOURS } },
        },
        response: {
          201: {
            type: 'object',
            required: ['sensor', 'code', 'expires_at'],
            properties: {
              sensor: { type: 'string' },
              code: { type: 'string', description: 'The code itself; shown this once.' },
              expires_at: { type: 'string', format: 'date-time' },
            },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async ({ params, body, subject }, reply) => {
      const invitation = await inviteSensor(
        storage,
        params.sensor,
        body.hours ?? INVITATION_HOURS.default,
        actorOf(subject),
      )
      reply.code(201).header('cache-control', 'no-store')
      return invitation
    },
  )
  app.get<OneSensor>(
    '/api/v1/sensors/:sensor/keys',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'All keys that a sensor ever had.',
        params: SENSOR_PARAMS,
        response: {
          200: {
            type: 'object',
            required: ['keys'],
            properties: { keys: { type: 'array', items: rowJsonSchema(SENSOR_KEY) } },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async ({ params }) => {
      await checkSensor(storage, params.sensor)
      return { keys: await storage.listSensorKeys(params.sensor) }
    },
  )
  app.delete<OneSensor>(
    '/api/v1/sensors/:sensor/keys',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Revoke all that speaks for a sensor: keys, tokens and open codes.',
        params: SENSOR_PARAMS,
        response: { 200: REVOKED, '4xx': ERROR_SCHEMA },
      },
    },
    async ({ params, subject }) => await revokeSensor(storage, params.sensor, null, actorOf(subject)),
  )
  app.delete<{ Params: { sensor: string; key_id: string } }>(
    '/api/v1/sensors/:sensor/keys/:key_id',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Revoke one key of a sensor.',
        params: {
          type: 'object',
          properties: {
            ...SENSOR_PARAMS.properties,
            key_id: { type: 'string', description: SENSOR_KEY.key_id.doc },
          },
        },
        response: { 200: REVOKED, '4xx': ERROR_SCHEMA },
      },
    },
    async ({ params, subject }) => await revokeSensor(storage, params.sensor, params.key_id, actorOf(subject)),
  )
}
