import { type Answer, QUERIES, type QueryParameters } from '../../schemas/api.ts'
import type { Table } from '../../schemas/column.ts'
import { protocolName } from '../../schemas/protocol.ts'
import { SOURCE_HOUR } from '../../schemas/rollup.ts'
import { serviceName } from '../../schemas/service-names.ts'
import { toolColumn } from '../../schemas/tool.ts'
import { bind, sql } from '../sql.ts'
import { answerMeta, countListening, readComparison } from './exposure.ts'
import { rollupConditions } from './filters.ts'
import { RANKED, ranking } from './ranking.ts'
import { checkParameters, type QueryContext, resolveRange, selectSensors } from './request.ts'

const KEYS = { protocol: SOURCE_HOUR.protocol, service_port: SOURCE_HOUR.service_port } as const satisfies Table
const MIRAI = toolColumn('mirai')
const ROW = {
  ...KEYS,
  ...RANKED,
  mirai_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Mirai-like packets.' },
} as const satisfies Table

/** Which services are asked for, by how many sources. */
export async function answerPorts(context: QueryContext, asked: QueryParameters<'ports'>): Promise<Answer<'ports'>> {
  const parameters = checkParameters(QUERIES.ports.parameters, asked)
  const range = await resolveRange(context, parameters)
  const sensors = selectSensors(context, parameters['sensor'])
  const comparison = await readComparison(context, sensors, range, parameters['compare']!)
  const rows = await context.session.plain(
    ROW,
    ranking({
      keys: KEYS,
      keepsRows: false,
      rows: conditions => sql`SELECT * FROM source_hour WHERE ${conditions}`,
      conditions: period => rollupConditions(context, period, comparison.exposures, parameters),
      comparison,
      range,
      sums: [MIRAI],
      limit: sql`${bind('int64', Number(parameters['limit']))}`,
    }),
  )
  const hasRate = countListening(comparison.exposures) > 0
  return {
    meta: answerMeta(range, comparison, rows[0]?.total_rows ?? 0),
    rows: rows.map(row => ({
      rank: row.rank,
      previous_rank: row.previous_rank,
      protocol: protocolName(row.protocol),
      service_port: row.service_port,
      service: serviceName(row.protocol, row.service_port),
      src_addr_unique_count: row.src_addr_unique_count,
      packet_count: row.packet_count,
      packets_per_addr_day: hasRate ? row.packets_per_addr_day : null,
      share: row.packet_count / row.total_packets,
      mirai_share: row.mirai_count / row.packet_count,
    })),
  }
}
