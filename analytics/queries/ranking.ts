import type { Column, Table } from '../../schemas/column.ts'
import { physicalColumns } from '../../schemas/column.ts'
import { columnNames, identifier, join, type Sql, sql } from '../sql.ts'
import { type Comparison, rateWeights } from './exposure.ts'
import type { TimeRange } from './request.ts'

/** Rank tables: groups of sources by distinct sources, with their place in the previous period. */

export interface Ranking {
  /** Columns that name a group, in the order that breaks ties. */
  readonly keys: Table
  /** Rows of source_hour with the key columns, for conditions. */
  readonly rows: (conditions: Sql) => Sql
  readonly conditions: (range: TimeRange) => Sql
  readonly comparison: Comparison
  readonly range: TimeRange
  /** Whether these rows take so long to make that they are made once and kept for the statement. */
  readonly keepsRows: boolean
  /** More columns of source_hour to sum. */
  readonly sums: readonly string[]
  readonly limit: Sql
}

const measure = (doc: string): Column => ({ type: 'uint64', role: 'measure', sharing: 'withheld', doc })

/** What a ranking gives for each group besides its keys. */
export const RANKED = {
  rank: { type: 'uint32', role: 'measure', sharing: 'withheld', doc: 'Place.' },
  previous_rank: { type: 'uint32', role: 'measure', sharing: 'withheld', nullable: true, doc: 'Place before.' },
  src_addr_unique_count: measure('Distinct sources.'),
  packet_count: measure('Packets.'),
  packets_per_addr_day: { type: 'float64', role: 'measure', sharing: 'withheld', doc: 'Mean of the rates.' },
  total_packets: measure('Packets of all groups.'),
  total_rows: measure('Groups.'),
} as const satisfies Table

/**
 * The first groups of a ranking, as one statement. Rates are summed over whole packets per sensor and in the order of
 * the sensors: a sum of fractions in the order in which threads finish would differ in its last digit from call to
 * call, and the same question must give the same bytes.
 */
export function ranking({ keys, rows, keepsRows, conditions, comparison, range, sums, limit }: Ranking): Sql {
  const names = columnNames(physicalColumns(keys))
  const order = sql`src_addr_unique_count DESC, packet_count DESC, ${names}`
  const current = sql`SELECT * FROM current_rows`
  const before = comparison.previous ? conditions(comparison.previous) : sql`false`
  const same = join(
    physicalColumns(keys).map(({ name }) => sql`c.${identifier(name)} = p.${identifier(name)}`),
    ' AND ',
  )
  // What is used twice is kept: DuckDB would make it twice.
  return sql`WITH current_rows AS ${keepsRows ? sql`MATERIALIZED` : sql`NOT MATERIALIZED`} (${rows(conditions(range))}), current_groups AS MATERIALIZED (
      SELECT ${names}, count(*) AS src_addr_unique_count, ${join(['packet_count', ...sums].map(exactSum), ', ')}
      FROM (${perSource(names, sums, current)}) AS sources GROUP BY ${names}
    ), first_groups AS MATERIALIZED (
      SELECT *, row_number() OVER (ORDER BY ${order}) AS rank FROM (SELECT * FROM current_groups ORDER BY ${order} LIMIT ${limit}) AS g
    ), totals AS (
      SELECT sum(packet_count) AS total_packets, count(*) AS total_rows FROM current_groups
    ), previous_groups AS (
      SELECT ${names}, count(*) AS src_addr_unique_count, ${exactSum('packet_count')}
      FROM (${perSource(names, [], rows(before))}) AS sources GROUP BY ${names}
    ), previous_ranks AS (
      SELECT ${names}, row_number() OVER (ORDER BY ${order}) AS previous_rank FROM previous_groups
    ), sensor_rates AS (
      SELECT ${names}, sensor, sum(packet_count::DOUBLE) * max(weight) AS packets_per_addr_day
      FROM (${current}) AS hours JOIN (${rateWeights(comparison.exposures)}) AS weights USING (sensor)
      JOIN (SELECT ${names} FROM first_groups) AS g USING (${names})
      WHERE ip_version = 4 GROUP BY ${names}, sensor
    ), rates AS (
      SELECT ${names}, sum(packets_per_addr_day ORDER BY sensor) AS packets_per_addr_day FROM sensor_rates GROUP BY ${names}
    )
    SELECT c.*, total_packets, total_rows, p.previous_rank, coalesce(packets_per_addr_day, 0) AS packets_per_addr_day
    FROM first_groups AS c CROSS JOIN totals LEFT JOIN rates USING (${names})
    LEFT JOIN previous_ranks AS p ON ${same} ORDER BY c.rank`
}

/** One row per group and source, so that counting rows counts distinct sources. */
function perSource(names: Sql, sums: readonly string[], rows: Sql): Sql {
  return sql`SELECT ${names}, src_addr_high, src_addr_low, ${join(['packet_count', ...sums].map(floatSum), ', ')}
    FROM (${rows}) AS hours GROUP BY ${names}, src_addr_high, src_addr_low`
}

/**
 * Sums below 2^53 are exact as DOUBLE, and DuckDB adds those in half the time of its 128-bit integers; no source sends
 * more.
 */
function floatSum(name: string): Sql {
  return sql`sum(${identifier(name)}::DOUBLE) AS ${identifier(name)}`
}

function exactSum(name: string): Sql {
  return sql`sum(${identifier(name)})::UBIGINT AS ${identifier(name)}`
}
