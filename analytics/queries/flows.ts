import { type Answer, QUERIES, type QueryParameters } from '../../schemas/api.ts'
import { physicalColumns, type Table } from '../../schemas/column.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { LAKE_FLOW } from '../../schemas/flow.ts'
import { lakeFlows } from '../lake-flows.ts'
import { bind, columnNames, sql } from '../sql.ts'
import { answerMeta, readExposures } from './exposure.ts'
import { flowConditions } from './filters.ts'
import { checkParameters, type QueryContext, resolveRange, selectSensors } from './request.ts'

/** Files opened for one answer: 5 000 took 280 ms. */
const FILES_MAX = 5000

const SHOWN = Object.fromEntries(
  Object.entries(LAKE_FLOW).filter(([, column]) => column.sharing !== 'withheld'),
) as unknown as typeof LAKE_FLOW
const TOTAL = {
  total_rows: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Flows.' },
} as const satisfies Table

/** The flows themselves, read from the lake files that the manifest names for the days of the range. */
export async function answerFlows(context: QueryContext, asked: QueryParameters<'flows'>): Promise<Answer<'flows'>> {
  const { session, lake } = context
  const parameters = checkParameters(QUERIES.flows.parameters, asked)
  const range = await resolveRange(context, parameters)
  const sensors = selectSensors(context, parameters['sensor'])
  const files = await lake.files(session, range.since, range.until)
  if (files.length > FILES_MAX) {
    throw new TelescopeError(
      'QUERY_RANGE_TOO_WIDE',
      `range has flows in ${files.length} files, at most ${FILES_MAX} are read at once; use a shorter range`,
      { files: files.length, files_max: FILES_MAX },
    )
  }
  const flows = sql`(${lakeFlows(files)}) AS flows WHERE ${flowConditions(context, range, sensors, parameters)}`
  const exposures = await readExposures(context, sensors, range)
  const [total] = await session.plain(TOTAL, sql`SELECT count(*) AS total_rows FROM ${flows}`)
  const rows = await session.api(
    LAKE_FLOW,
    sql`SELECT ${columnNames(physicalColumns(SHOWN))} FROM ${flows}
      ORDER BY interval_start, first_second, sensor, src_addr_high, src_addr_low, protocol, service_port
      LIMIT ${bind('int64', Number(parameters['limit']))}`,
  )
  return { meta: answerMeta(range, { exposures, leftOut: [], previous: null }, total!.total_rows), rows }
}
