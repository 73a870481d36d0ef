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
const TOTAL = {
  total_rows: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Sources.' },
} as const satisfies Table

/** Who sends most, and with what. */
export async function answerSources(
  context: QueryContext,
  asked: QueryParameters<'sources'>,
): Promise<Answer<'sources'>> {
  const { session } = context
  const parameters = checkParameters(QUERIES.sources.parameters, asked)
  const range = await resolveRange(context, parameters)
  const sensors = await selectSensors(context, parameters['sensor'])
  const exposures = await readExposures(context, sensors, range)
  const conditions = rollupConditions(range, sensors, parameters)
  const rows = await session.api(ROW, topSources(conditions, sql`${bind('int64', Number(parameters['limit']))}`))
  const [total] = await session.plain(
    TOTAL,
    sql`SELECT count(*) AS total_rows FROM (SELECT DISTINCT src_addr_high, src_addr_low FROM source_hour WHERE ${conditions}) AS sources`,
  )
  return {
    meta: answerMeta(range, { exposures, leftOut: [], previous: null }, total!.total_rows),
    rows: rows.map(row => ({ ...row, tools: toolsText(row, row.packet_count) }) as QueryRow<'sources'>),
  }
}

/** The first sources by packets are found before anything else of them is summed. */
function topSources(conditions: Sql, limit: Sql): Sql {
  const tools = join(
    physicalColumns(toolColumns()).map(({ name }) => sql`sum(${identifier(name)}) AS ${identifier(name)}`),
    ', ',
  )
  return sql`WITH top AS (
      SELECT src_addr_high, src_addr_low, sum(packet_count) AS top_packets FROM source_hour WHERE ${conditions}
      GROUP BY src_addr_high, src_addr_low ORDER BY top_packets DESC, src_addr_high, src_addr_low LIMIT ${limit}
    ), summed AS (
      SELECT src_addr_high, src_addr_low, sum(packet_count) AS packet_count,
        count(DISTINCT protocol::UINTEGER * 65536 + service_port) AS service_count, count(DISTINCT sensor) AS sensor_count,
        min(bucket_start) AS first_hour, max(bucket_start) AS last_hour, ${tools}
      FROM source_hour WHERE ${conditions} AND (src_addr_high, src_addr_low) IN (SELECT (src_addr_high, src_addr_low) FROM top)
      GROUP BY src_addr_high, src_addr_low
    )
    SELECT summed.*, economy FROM summed JOIN source_economy USING (src_addr_high, src_addr_low)
    ORDER BY packet_count DESC, src_addr_high, src_addr_low`
}
