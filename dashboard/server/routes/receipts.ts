import type { FastifyInstance } from 'fastify'
import type { ParameterTable } from '../../../schemas/api.ts'
import { parametersJsonSchema } from '../../../schemas/api.ts'
import { RECEIPT } from '../../../schemas/catalog.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { sensorOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import type { ServerParts } from '../server-parts.ts'
import { SHA256_PARAMS } from './sha256-params.ts'

const SENSOR = {
  sensor: { type: 'text', doc: 'The sensor; needed by a credential that is not bound to one.' },
} as const satisfies ParameterTable
const LIST = {
  sensor: { type: 'text', doc: 'Only uploads of this sensor.' },
  limit: { type: 'integer', minimum: 1, maximum: 1000, default: '100', doc: 'Receipts at most.' },
} as const satisfies ParameterTable

/** What a sensor sent and what became of it; a coordinator sees all sensors'. */
export function addReceiptRoutes(app: FastifyInstance, { storage }: ServerParts): void {
  app.get<{ Querystring: { sensor?: string; limit: string } }>(
    '/api/v1/receipts',
    {
      config: { access: 'follow uploads' },
      schema: {
        summary: 'Receipts of uploads, newest first.',
        querystring: parametersJsonSchema(LIST),
        response: {
          200: {
            type: 'object',
            required: ['receipts'],
            properties: { receipts: { type: 'array', items: rowJsonSchema(RECEIPT) } },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async ({ subject, query }) => {
      const sensor = subject.sensor === null ? query.sensor : sensorOf(subject, query.sensor)
      if (sensor !== undefined && (await storage.findSensor(sensor)) === null) throw sensorUnknown(sensor)
      const limit = readLimit(query.limit)
      return { receipts: await storage.listReceipts({ ...(sensor === undefined ? {} : { sensor }), limit }) }
    },
  )
  app.get<{ Params: { sha256: string }; Querystring: { sensor?: string } }>(
    '/api/v1/receipts/:sha256',
    {
      config: { access: 'follow uploads' },
      schema: {
        summary: 'The receipt of one upload.',
        params: SHA256_PARAMS,
        querystring: parametersJsonSchema(SENSOR),
        response: { 200: rowJsonSchema(RECEIPT), '4xx': ERROR_SCHEMA },
      },
    },
    async ({ subject, params, query }) => {
      const sensor = sensorOf(subject, query.sensor)
      const receipt = await storage.findReceipt(sensor, params.sha256.toLowerCase())
      if (receipt === null) {
        throw new TelescopeError(
          'NOT_FOUND',
          `receipt ${params.sha256} of sensor "${sensor}": no such upload was received`,
        )
      }
      return receipt
    },
  )
}

function sensorUnknown(sensor: string): TelescopeError {
  return new TelescopeError('SENSOR_UNKNOWN', `sensor "${sensor}" is not registered`, { sensor })
}

function readLimit(text: string): number {
  const { minimum, maximum } = LIST.limit
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (limit >= minimum && limit <= maximum) return limit
  throw new TelescopeError('QUERY_INVALID', `parameter "limit" is "${text}", expected ${minimum} to ${maximum}`, {
    parameter: 'limit',
  })
}
