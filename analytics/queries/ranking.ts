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

/** The first groups of a ranking, as one statement. */
export function ranking({ keys, rows, conditions, comparison, range, sums, limit }: Ranking): Sql {
  const names = columnNames(physicalColumns(keys))
  const order = sql`src_addr_unique_count DESC, packet_count DESC, ${names}`
  const current = perSource(names, sums, sql`${rows(conditions(range))}`, rateWeights(comparison.exposures))
  const before = comparison.previous ? conditions(comparison.previous) : sql`false`
  const same = join(
    physicalColumns(keys).map(({ name }) => sql`c.${identifier(name)} = p.${identifier(name)}`),
    ' AND ',
  )
  return sql`WITH current_groups AS (
      SELECT ${names}, count(*) AS src_addr_unique_count, sum(packets_per_addr_day) AS packets_per_addr_day,
        ${join(['packet_count', ...sums].map(exactSum), ', ')}
      FROM (${current}) AS sources GROUP BY ${names}
    ), first_groups AS (
      SELECT *, row_number() OVER (ORDER BY ${order}) AS rank FROM (SELECT * FROM current_groups ORDER BY ${order} LIMIT ${limit}) AS g
    ), totals AS (
      SELECT sum(packet_count) AS total_packets, count(*) AS total_rows FROM current_groups
    ), previous_groups AS (
      SELECT ${names}, count(*) AS src_addr_unique_count, ${exactSum('packet_count')}
      FROM (${perSource(names, [], rows(before), null)}) AS sources GROUP BY ${names}
    ), previous_ranks AS (
      SELECT ${names}, row_number() OVER (ORDER BY ${order}) AS previous_rank FROM previous_groups
    )
    SELECT c.*, total_packets, total_rows, p.previous_rank FROM first_groups AS c CROSS JOIN totals
    LEFT JOIN previous_ranks AS p ON ${same} ORDER BY c.rank`
}

/** One row per group and source, so that counting rows counts distinct sources. */
function perSource(names: Sql, sums: readonly string[], rows: Sql, weights: Sql | null): Sql {
  const rate = sql`sum(CASE WHEN ip_version = 4 THEN packet_count * weight ELSE 0 END) AS packets_per_addr_day`
  return sql`SELECT ${names}, src_addr_high, src_addr_low, ${join(
    [...['packet_count', ...sums].map(floatSum), ...(weights ? [rate] : [])],
    ', ',
  )} FROM (${rows}) AS hours ${weights ? sql`JOIN (${weights}) AS weights USING (sensor)` : sql``}
    GROUP BY ${names}, src_addr_high, src_addr_low`
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
