import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Column } from '../../schemas/column.ts'
import { temporaryFolder } from '../support/data-folder.ts'

/*
 * "One entry is the whole change": a column is added to FLOW (and, as a measure, to a rollup), and everything that
 * derives from the tables is loaded anew with it. Nothing else is told; a hub that has data goes on with its data.
 */
const PROBE = {
  type: 'uint16',
  role: 'measure',
  sharing: 'members',
  doc: 'Packets that carry the mark of this test.',
} as const satisfies Column
const START = Date.UTC(2026, 10, 20) / 1000
const ALL = { sensors: 'all' } as const
const RANGE = { since: String(START), until: String(START + 86_400) }

function withProbe(): void {
  vi.resetModules()
  vi.doMock('../../schemas/flow.ts', async importOriginal => {
    const real = await importOriginal<typeof import('../../schemas/flow.ts')>()
    const FLOW = { ...real.FLOW, probe_count: PROBE }
    return { ...real, FLOW, LAKE_FLOW: { ...real.LAKE_FLOW, ...FLOW } }
  })
  vi.doMock('../../schemas/rollup.ts', async importOriginal => {
    const real = await importOriginal<typeof import('../../schemas/rollup.ts')>()
    return { ...real, SOURCE_HOUR: { ...real.SOURCE_HOUR, probe_count: { ...PROBE, type: 'uint32' } } }
  })
}

afterEach(() => {
  vi.doUnmock('../../schemas/flow.ts')
  vi.doUnmock('../../schemas/rollup.ts')
  vi.resetModules()
})

describe('a column added to FLOW', () => {
  test('is in the Arrow schema, the DDL, the JSON schema of the API, the CSV and the dictionary', async () => {
    const load = async () => {
      const { FLOW, LAKE_FLOW } = await import('../../schemas/flow.ts')
      const { arrowSchema } = await import('../../collector/arrow-schema.ts')
      const { duckdbColumns } = await import('../../schemas/column.ts')
      const { answerJsonSchema } = await import('../../schemas/api.ts')
      const { dictionary } = await import('../../schemas/dictionary.ts')
      const { exportRows } = await import('../../analytics/export-rows.ts')
      return {
        arrow: arrowSchema(FLOW).fields.map(field => `${field.name}: ${field.type}`),
        ddl: duckdbColumns(LAKE_FLOW).split(', '),
        api: JSON.stringify(answerJsonSchema('flows')),
        csv: exportRows('flows', []),
        dictionary: dictionary(),
      }
    }
    const before = await load()
    withProbe()
    const after = await load()
    expect(after.arrow.filter(field => !before.arrow.includes(field))).toEqual(['probe_count: Uint16'])
    expect(after.ddl.filter(column => !before.ddl.includes(column))).toEqual(['probe_count USMALLINT NOT NULL'])
    expect(JSON.parse(after.api).properties.rows.items.properties.probe_count).toEqual({
      type: 'integer',
      minimum: 0,
      description: PROBE.doc,
    })
    expect(after.csv.trim().split(',')).toContain('probe_count')
    // In flows of batches and of the lake, in the rollup, and in the answer.
    expect(after.dictionary.split(PROBE.doc)).toHaveLength(5)
    expect(`${before.api}${before.csv}${before.dictionary}`).not.toContain('probe_count')
  })

  test('reaches lake, rollup and answers of a hub that has data from before', async () => {
    const data = temporaryFolder()
    const count = async (second: number, extra: Record<string, number>) => {
      const { testUpload } = await import('../support/batch-builder.ts')
      const { receiveAndCount } = await import('../support/count.ts')
      const { openStorage } = await import('../../analytics/duckdb-storage.ts')
      const { TEST_GEOGRAPHY } = await import('../support/storage.ts')
      const storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
      if ((await storage.listSensors()).length === 0) {
        await storage.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
      }
      const flows = [{ time: START + second, src: '198.18.0.1', service_port: 23, ...extra }]
      await receiveAndCount(storage, [testUpload(temporaryFolder(), { sensor: 'alpha', flows })])
      return storage
    }
    await (await count(60, {})).close()
    withProbe()
    const storage = await count(120, { probe_count: 7 })
    try {
      const { rows } = await storage.query('flows', RANGE, ALL)
      expect(rows).toMatchObject([{ probe_count: 0 }, { probe_count: 7 }])
      await storage.replaceDay(START)
      const ports = await storage.query('ports', { ...RANGE, compare: 'none' }, ALL)
      expect(ports.rows).toMatchObject([{ service_port: 23, packet_count: 2 }])
    } finally {
      await storage.close()
    }
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(`${data}/catalog.duckdb`)
    const connection = await instance.connect()
    const sums = await connection.runAndReadAll('SELECT sum(probe_count)::INTEGER FROM source_hour')
    expect(sums.getRows()).toEqual([[7]])
    connection.closeSync()
    instance.closeSync()
  })
})
