import { type Answer, QUERIES, type QueryParameters } from '../../schemas/api.ts'
import { SOURCE_ECONOMY } from '../../schemas/catalog.ts'
import type { Table } from '../../schemas/column.ts'
import { bind, sql } from '../sql.ts'
import { answerMeta, countListening, readComparison } from './exposure.ts'
import { rollupConditions } from './filters.ts'
import { RANKED, ranking } from './ranking.ts'
import { checkParameters, type QueryContext, resolveRange, selectSensors } from './request.ts'

const KEYS = { economy: SOURCE_ECONOMY.economy } as const satisfies Table
const ROW = { ...KEYS, ...RANKED } as const satisfies Table

/** Where sources are, by how many. */
export async function answerEconomies(
  context: QueryContext,
  asked: QueryParameters<'economies'>,
): Promise<Answer<'economies'>> {
  const parameters = checkParameters(QUERIES.economies.parameters, asked)
  const range = await resolveRange(context, parameters)
  const sensors = selectSensors(context, parameters['sensor'])
  const comparison = await readComparison(context, sensors, range, parameters['compare']!)
  const rows = await context.session.plain(
    ROW,
    ranking({
      keys: KEYS,
      keepsRows: true,
      // Summed per source and sensor before the join: far fewer rows meet the economies.
      rows: conditions => sql`SELECT economy, sensor, ip_version, src_addr_high, src_addr_low, packet_count FROM (
          SELECT sensor, ip_version, src_addr_high, src_addr_low, sum(packet_count::DOUBLE) AS packet_count FROM source_hour
          WHERE ${conditions} GROUP BY sensor, ip_version, src_addr_high, src_addr_low
        ) AS sums JOIN source_economy USING (src_addr_high, src_addr_low)`,
      conditions: period => rollupConditions(context, period, comparison.exposures, parameters),
      comparison,
      range,
      sums: [],
      limit: sql`${bind('int64', Number(parameters['limit']))}`,
    }),
  )
  const hasRate = countListening(comparison.exposures) > 0
  return {
    meta: answerMeta(range, comparison, rows[0]?.total_rows ?? 0),
    rows: rows.map(row => ({
      rank: row.rank,
      previous_rank: row.previous_rank,
      economy: row.economy,
      src_addr_unique_count: row.src_addr_unique_count,
      packet_count: row.packet_count,
      packets_per_addr_day: hasRate ? row.packets_per_addr_day : null,
      share: row.packet_count / row.total_packets,
    })),
  }
}
