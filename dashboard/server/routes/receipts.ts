import type { FastifyInstance } from 'fastify'
import type { ParameterTable } from '../../../schemas/api.ts'
import { parametersJsonSchema } from '../../../schemas/api.ts'
import { RECEIPT, RECEIPT_STATES, type Receipt, type ReceiptState } from '../../../schemas/catalog.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { sensorOf } from '../access.ts'
import { checkSensor } from '../check-sensor.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { SIGNED_RECEIPT_SCHEMA } from '../hub-key.ts'
import type { ServerParts } from '../server-parts.ts'
import { HANDLER_MILLISECONDS } from '../time-limits.ts'
import { readInteger } from './integer-parameter.ts'
import { SHA256_PARAMS } from './sha256-params.ts'

/** A proxy on the way gives up on a silent answer after 60 s at the earliest. */
const WAIT_SECONDS_MAX = 30
/** More callers than this at once are answered without waiting: each one costs the catalog a look every time. */
const WAITING_MAX = 64
const LOOK_MILLISECONDS = 250

const ONE = {
  sensor: { type: 'text', doc: 'The sensor; needed by a credential that is not bound to one.' },
  wait: {
    type: 'integer',
    minimum: 0,
    maximum: WAIT_SECONDS_MAX,
    default: '0',
    doc: `Seconds to wait at most, 0 to ${WAIT_SECONDS_MAX}, until it is known what becomes of the upload. The answer may come earlier with state "received": when the hub stops, or many wait.`,
  },
} as const satisfies ParameterTable
const LIST = {
  sensor: { type: 'text', doc: 'Only uploads of this sensor.' },
  state: { type: 'choice', choices: RECEIPT_STATES, doc: 'Only uploads in this state.' },
  limit: { type: 'integer', minimum: 1, maximum: 1000, default: '100', doc: 'Receipts at most.' },
} as const satisfies ParameterTable

/** What a sensor sent and what became of it; a coordinator sees all sensors'. */
export function addReceiptRoutes(app: FastifyInstance, { storage, isReady, hubKey }: ServerParts): void {
  let waiting = 0
  app.get<{ Querystring: { sensor?: string; state?: ReceiptState; limit: string } }>(
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
      if (sensor !== undefined) await checkSensor(storage, sensor)
      const limit = readInteger(LIST, 'limit', query.limit)
      const { state } = query
      const filter = { ...(sensor === undefined ? {} : { sensor }), ...(state === undefined ? {} : { state }) }
      return { receipts: await storage.listReceipts({ ...filter, limit }) }
    },
  )
  app.get<{ Params: { sha256: string }; Querystring: { sensor?: string; wait: string } }>(
    '/api/v1/receipts/:sha256',
    {
      config: { access: 'follow uploads' },
      handlerTimeout: HANDLER_MILLISECONDS + WAIT_SECONDS_MAX * 1000,
      schema: {
        summary: 'The receipt of one upload: what became of it.',
        description:
          'State "received": the bytes are durable and wait to be counted. "counted": their packets are in the answers. "quarantined": nothing of it counts; error_code and error_message say why. "held": it holds what the uploads in overlaps_with hold, and waits for accept or withdraw. "withdrawn": the operator took it out of the answers. A script learns the end with wait.',
        params: SHA256_PARAMS,
        querystring: parametersJsonSchema(ONE),
        response: { 200: SIGNED_RECEIPT_SCHEMA, '4xx': ERROR_SCHEMA },
      },
    },
    async ({ subject, params, query }, reply) => {
      const sensor = sensorOf(subject, query.sensor)
      const seconds = readInteger(ONE, 'wait', query.wait)
      const find = async (): Promise<Receipt> => {
        const receipt = await storage.findReceipt(sensor, params.sha256.toLowerCase())
        if (receipt !== null) return receipt
        throw new TelescopeError(
          'NOT_FOUND',
          `receipt ${params.sha256} of sensor "${sensor}": no such upload was received`,
        )
      }
      reply.header('cache-control', 'no-store')
      if (seconds === 0 || waiting >= WAITING_MAX) return hubKey.sign(await find())
      waiting++
      try {
        return hubKey.sign(await settled(find, seconds, () => isReady() && !reply.raw.destroyed))
      } finally {
        waiting--
      }
    },
  )
}

/** The receipt as soon as it says what became of the upload; as it is when the time is over or `goesOn` ends. */
async function settled(find: () => Promise<Receipt>, seconds: number, goesOn: () => boolean): Promise<Receipt> {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const receipt = await find()
    const left = deadline - performance.now()
    if (receipt.state !== 'received' || left <= 0 || !goesOn()) return receipt
    await new Promise(resolve => setTimeout(resolve, Math.min(left, LOOK_MILLISECONDS)))
  }
}
