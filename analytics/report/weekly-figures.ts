import { type Answer, type Ask, QUERIES, type QueryRow } from '../../schemas/api.ts'
import type { Row, Table } from '../../schemas/column.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { bucketStart, DAY_SECONDS, formatTime, HOUR_SECONDS, parseWeek } from '../../schemas/time.ts'

/** Rows of the two rank tables, as JPCERT/CC's quarterly report has them. */
const TOP = 5

/** One day of one ranked service or economy, or of one traffic class. */
export const DAILY_FIGURE = {
  day: { type: 'text', role: 'key', sharing: 'public', doc: 'UTC day.' },
  of: {
    type: 'text',
    role: 'key',
    sharing: 'public',
    doc: 'What the figure is of: a service such as 23/tcp, an economy, or a traffic class.',
  },
  packet_count: QUERIES.traffic.row.packet_count,
  src_addr_unique_count: QUERIES.traffic.row.src_addr_unique_count,
  packets_per_addr_day: QUERIES.traffic.row.packets_per_addr_day,
} as const satisfies Table
export type DailyFigure = Row<typeof DAILY_FIGURE>

/** All figures of one weekly report, of scan traffic unless said otherwise. */
export interface WeeklyFigures {
  readonly week: string
  /** Unix seconds, [since, until). */
  readonly since: number
  readonly until: number
  /** Null for a week that was over when it was asked about; else the start of the hour in which that was, Unix seconds. */
  readonly asOf: number | null
  readonly services: Answer<'ports'>
  readonly economies: Answer<'economies'>
  readonly servicesDaily: readonly DailyFigure[]
  readonly economiesDaily: readonly DailyFigure[]
  /** Every traffic class by day. */
  readonly classesDaily: readonly DailyFigure[]
  readonly sensors: Answer<'sensors'>
  readonly coverage: Answer<'coverage'>
}

/** `23/tcp`, as the report writes a service. */
export function serviceLabel(row: { readonly protocol: string; readonly service_port: number }): string {
  return `${row.service_port}/${row.protocol}`
}

/**
 * Asks for all figures of an ISO week.
 * @param now Unix seconds; only its hour matters, and only while the week is not over: a finished week has the same
 * figures whenever it is asked about
 * @throws QUERY_INVALID for a malformed week, WEEK_WITHOUT_DATA when no sensor listened in it
 */
export async function weeklyFigures(ask: Ask, week: string, now: number): Promise<WeeklyFigures> {
  const since = parseWeek(week)
  const until = since + 7 * DAY_SECONDS
  const range = { since: String(since), until: String(until) }
  const coverage = await ask('coverage', { ...range, bucket: String(DAY_SECONDS) })
  if (coverage.rows.every(row => row.coverage === 0 && row.packet_count === 0)) {
    throw new TelescopeError(
      'WEEK_WITHOUT_DATA',
      `week ${week}: no sensor listened from ${formatTime(since)} to ${formatTime(until)}; choose another week`,
      {
        week,
      },
    )
  }
  const services = await ask('ports', { ...range, class: 'scan', limit: String(TOP) })
  const economies = await ask('economies', { ...range, class: 'scan', limit: String(TOP) })
  // A sensor that the comparison leaves out is out of the daily figures too, so that one table explains the other.
  const compared = {
    ...range,
    bucket: String(DAY_SECONDS),
    ...(services.meta.sensors.length > 0 ? { sensor: services.meta.sensors.join(',') } : {}),
  }
  const daily = async (of: string | null, filter: Record<string, string>): Promise<DailyFigure[]> => {
    const { rows } = await ask('traffic', { ...compared, by: of === null ? 'class' : 'none', ...filter })
    return completeDays(rows, since, of)
  }
  const perRow = async <R>(rows: readonly R[], name: (row: R) => string, filter: (row: R) => Record<string, string>) =>
    (await Promise.all(rows.map(row => daily(name(row), { class: 'scan', ...filter(row) })))).flat()
  return {
    week,
    since,
    until,
    asOf: now < until ? bucketStart(now, HOUR_SECONDS) : null,
    services,
    economies,
    servicesDaily: await perRow(services.rows, serviceLabel, row => ({
      protocol: row.protocol,
      port: String(row.service_port),
    })),
    economiesDaily: await perRow(
      economies.rows,
      row => row.economy,
      row => ({ economy: row.economy }),
    ),
    classesDaily: await daily(null, {}),
    sensors: await ask('sensors', range),
    coverage,
  }
}

/** Seven figures for each series; a day without a row is one on which no sensor listened. */
function completeDays(rows: readonly QueryRow<'traffic'>[], since: number, of: string | null): DailyFigure[] {
  const names = of === null ? [...new Set(rows.map(row => row.series))].sort() : [of]
  return names.flatMap(name =>
    Array.from({ length: 7 }, (_, index): DailyFigure => {
      const day = formatTime(since + index * DAY_SECONDS)
      const row = rows.find(
        ({ bucket_start, series }) => Date.parse(bucket_start) === Date.parse(day) && (of !== null || series === name),
      )
      return {
        day: day.slice(0, 10),
        of: name,
        packet_count: row?.packet_count ?? 0,
        src_addr_unique_count: row?.src_addr_unique_count ?? 0,
        packets_per_addr_day: row?.packets_per_addr_day ?? null,
      }
    }),
  )
}
