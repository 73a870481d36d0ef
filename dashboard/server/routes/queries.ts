import type { FastifyInstance, FastifyRequest } from 'fastify'
import { exportRows } from '../../../analytics/export-rows.ts'
import {
  type AnswerMeta,
  answerJsonSchema,
  parametersJsonSchema,
  QUERIES,
  type QueryName,
  type QueryParameters,
} from '../../../schemas/api.ts'
import { scopeOf } from '../access.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { answerAge } from '../kept-answers.ts'
import type { ServerParts } from '../server-parts.ts'

/** One route a question of the API table, and the same rows as CSV by suffix or by `Accept: text/csv`. */
export function addQueryRoutes(app: FastifyInstance, { storage }: ServerParts): void {
  for (const name of Object.keys(QUERIES) as QueryName[]) {
    const { doc, parameters } = QUERIES[name]
    const querystring = parametersJsonSchema(parameters)
    const ask = (request: FastifyRequest) =>
      storage.query(name, request.query as QueryParameters<typeof name>, scopeOf(request.subject))
    app.get(
      `/api/v1/${name}`,
      {
        config: { access: 'read' },
        schema: { summary: doc, querystring, response: { 200: answerJsonSchema(name), '4xx': ERROR_SCHEMA } },
      },
      async (request, reply) => {
        const answer = await ask(request)
        reply.headers({ 'cache-control': 'no-store', vary: 'accept', ...ageOf(answer) })
        return wantsCsv(request) ? reply.type(CSV_TYPE).send(exportRows(name, answer.rows)) : answer
      },
    )
    app.get(
      `/api/v1/${name}.csv`,
      {
        config: { access: 'read' },
        schema: { summary: `${doc} As CSV.`, querystring, produces: ['text/csv'], response: { '4xx': ERROR_SCHEMA } },
      },
      async (request, reply) => {
        const answer = await ask(request)
        const file = csvName(name, answer.meta)
        const disposition = { 'content-disposition': `attachment; filename="${file}"` }
        reply.headers({ 'cache-control': 'no-store', ...disposition, ...ageOf(answer) })
        return reply.type(CSV_TYPE).send(exportRows(name, answer.rows))
      },
    )
  }
}

/** An answer that was kept says how old it is. */
function ageOf(answer: object): Record<string, string> {
  const seconds = answerAge(answer)
  return seconds === 0 ? {} : { age: String(seconds) }
}

const CSV_TYPE = 'text/csv; charset=utf-8; header=present'

/** `ports-2026-11-15-2026-11-22.csv`, with hours `ports-2026-11-15T06Z-2026-11-15T12Z.csv`: no colons in file names. */
function csvName(name: QueryName, { since, until }: AnswerMeta): string {
  const bound = (time: string) => time.replace('T00:00:00Z', '').replace(/:00:00Z$/, 'Z')
  return `${name}-${bound(since)}-${bound(until)}.csv`
}

/** True when the caller names CSV and not JSON: a browser, which takes anything, gets JSON. */
function wantsCsv(request: FastifyRequest): boolean {
  const accept = request.headers.accept ?? ''
  return accept.includes('text/csv') && !accept.includes('application/json')
}
