import { beforeAll, expect, test, vi } from 'vitest'
import { Session } from '../../analytics/database.ts'
import { type Sql, sql } from '../../analytics/sql.ts'
import type { Storage } from '../../analytics/storage.ts'
import { QUERIES, type QueryName } from '../../schemas/api.ts'
import { temporaryStorage } from '../support/storage.ts'

/*
 * Every statement behind every question is bound by a real DuckDB on the empty schema, with all filters and without:
 * EXPLAIN first, so that a statement is checked even where an earlier empty answer would end the work.
 */
const FILTERS: Record<string, string> = {
  since: '2026-11-01',
  until: '2026-11-08',
  sensor: 'alpha',
  economy: 'JP,TH',
  protocol: 'tcp,47',
  port: '23',
  class: 'scan,other',
  src: '198.18.0.0/15',
  limit: '5',
}

const CASES = (Object.keys(QUERIES) as QueryName[]).flatMap(name => {
  const known = Object.keys(QUERIES[name].parameters)
  const filters = Object.fromEntries(Object.entries(FILTERS).filter(([key]) => known.includes(key)))
  const choices = Object.entries(QUERIES[name].parameters as Record<string, { choices?: readonly string[] }>).flatMap(
    ([key, { choices: values = [] }]) => values.map(value => ({ [key]: value })),
  )
  return [{}, filters, ...choices.map(choice => ({ ...filters, ...choice }))].map(
    parameters => [name, parameters] as const,
  )
})

let storage: Storage

beforeAll(async () => {
  const cleaning: (() => void | Promise<void>)[] = []
  // Registered before the range that is asked for, so that it is part of every answer.
  storage = await temporaryStorage({ now: () => Date.UTC(2026, 10, 1) }, clean => cleaning.push(clean))
  await storage.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
  // So that alpha is not all there is, and has to be chosen.
  await storage.addSensor({ sensor: 'beta', economy: 'JP', organisation: 'B', telescope: '192.0.2.16/28' })
  return async () => {
    for (const clean of cleaning.reverse()) await clean()
  }
})

test.each(CASES)('%s %o', async (name, parameters) => {
  const explained: Sql[] = []
  for (const method of ['plain', 'api'] as const) {
    const original = Session.prototype[method]
    vi.spyOn(Session.prototype, method).mockImplementation(async function (this: Session, table, query) {
      explained.push(query)
      await this.run(sql`EXPLAIN ${query}`)
      return original.call(this, table, query) as never
    })
  }
  try {
    const { rows } = await storage.query(name, parameters, { sensors: 'all' })
    expect(rows).toHaveLength(name === 'sensors' ? 2 : 0)
  } finally {
    vi.restoreAllMocks()
  }
  expect(explained.length).toBeGreaterThan(0)
})
