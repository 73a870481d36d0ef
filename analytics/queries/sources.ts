import { type Answer, QUERIES, type QueryParameters, type QueryRow } from '../../schemas/api.ts'
import { physicalColumns, type Table } from '../../schemas/column.ts'
import { toolColumns } from '../../schemas/flow.ts'
import { toolsText } from '../../schemas/tool-evidence.ts'
import { bind, identifier, join, type Sql, sql } from '../sql.ts'
import { answerMeta, readExposures } from './exposure.ts'
import { rollupConditions } from './filters.ts'
import { checkParameters, type QueryContext, resolveRange, selectSensors } from './request.ts'

const { tools: _tools, ...SUMMED } = QUERIES.sources.row
const ROW = SUMMED satisfies Table
const RANKED = {
  ...ROW,
  total_rows: { type: 'uint64', role: 'measure', sharing: 'members', doc: 'Sources.' },
} as const satisfies Table

/** Who sends most, and with what. */
export async function answerSources(
  context: QueryContext,
  asked: QueryParameters<'sources'>,
): Promise<Answer<'sources'>> {
  const { session } = context
  const parameters = checkParameters(QUERIES.sources.parameters, asked)
  const range = await resolveRange(context, parameters)
  const sensors = selectSensors(context, parameters['sensor'])
  const exposures = await readExposures(context, sensors, range)
  const conditions = rollupConditions(context, range, sensors, parameters)
  const rows = await session.api(RANKED, topSources(conditions, sql`${bind('int64', Number(parameters['limit']))}`))
  return {
    meta: answerMeta(range, { exposures, leftOut: [], previous: null }, rows[0]?.total_rows ?? 0),
    rows: rows.map(
      ({ total_rows: _, ...row }) => ({ ...row, tools: toolsText(row, row.packet_count) }) as QueryRow<'sources'>,
    ),
  }
}

/** The first sources by packets are found before anything else of them is summed. */
function topSources(conditions: Sql, limit: Sql): Sql {
  const tools = join(
    physicalColumns(toolColumns()).map(({ name }) => sql`sum(${identifier(name)}) AS ${identifier(name)}`),
    ', ',
  )
  return sql`WITH sources AS MATERIALIZED (
      SELECT src_addr_high, src_addr_low, sum(packet_count::DOUBLE) AS top_packets FROM source_hour WHERE ${conditions}
      GROUP BY src_addr_high, src_addr_low
    ), top AS MATERIALIZED (
      SELECT * FROM sources ORDER BY top_packets DESC, src_addr_high, src_addr_low LIMIT ${limit}
    ), summed AS (
      SELECT src_addr_high, src_addr_low, sum(packet_count) AS packet_count,
        count(DISTINCT protocol::UINTEGER * 65536 + service_port) AS service_count, count(DISTINCT sensor) AS sensor_count,
        min(bucket_start) AS first_hour, max(bucket_start) AS last_hour, ${tools}
      FROM source_hour JOIN top USING (src_addr_high, src_addr_low) WHERE ${conditions}
      GROUP BY src_addr_high, src_addr_low
    )
    SELECT summed.*, economy, total_rows FROM summed JOIN source_economy USING (src_addr_high, src_addr_low)
    CROSS JOIN (SELECT count(*) AS total_rows FROM sources) AS total
    ORDER BY packet_count DESC, src_addr_high, src_addr_low`
}
