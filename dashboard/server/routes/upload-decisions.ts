import type { FastifyInstance } from 'fastify'
import { parametersJsonSchema } from '../../../schemas/api.ts'
import { RECEIPT } from '../../../schemas/catalog.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { actorOf, sensorOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import type { ServerParts } from '../server-parts.ts'
import { REQUEST_MILLISECONDS } from '../time-limits.ts'
import { SHA256_PARAMS } from './sha256-params.ts'

const SUMMARIES = {
  accept: 'Count an upload that is held or withdrawn, whatever it overlaps.',
  withdraw: 'Take a counted or held upload out of the numbers; its receipt stays.',
  retry: 'Try a quarantined upload again.',
}

/** What an operator decides about uploads of the own sensor, a coordinator about all; each is in the audit log. */
export function addUploadDecisionRoutes(app: FastifyInstance, { decisions }: ServerParts): void {
  for (const action of ['accept', 'withdraw', 'retry'] as const) {
    app.post<{ Params: { sha256: string }; Querystring: { sensor?: string } }>(
      `/api/v1/receipts/:sha256/${action}`,
      {
        config: { access: 'follow uploads' },
        // A withdrawal writes the files of its days anew.
        handlerTimeout: REQUEST_MILLISECONDS,
        schema: {
          summary: SUMMARIES[action],
          params: SHA256_PARAMS,
          querystring: parametersJsonSchema({
            sensor: { type: 'text', doc: 'The sensor; needed by a credential that is not bound to one.' },
          }),
          response: { 200: rowJsonSchema(RECEIPT), '4xx': ERROR_SCHEMA },
        },
      },
      async ({ subject, params, query }) => {
        const sensor = sensorOf(subject, query.sensor)
        const decision = { sensor, sha256: params.sha256.toLowerCase(), actor: actorOf(subject) }
        return action === 'withdraw' ? await decisions.withdraw(decision) : await decisions.reopen(action, decision)
      },
    )
  }
}
