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
  const extra = sums.map(name => sql`, sum(${identifier(name)}) AS ${identifier(name)}`)
  const extraSums = extra.reduce((all, one) => sql`${all}${one}`, sql``)
  const order = sql`src_addr_unique_count DESC, packet_count DESC, ${names}`
  // Once per group and source, so that counting those rows counts distinct sources.
  const current = sql`SELECT ${names}, src_addr_high, src_addr_low, sum(packet_count) AS packet_count,
      sum(CASE WHEN ip_version = 4 THEN packet_count * weight ELSE 0 END) AS packets_per_addr_day${extraSums}
    FROM (${rows(conditions(range))}) AS hours JOIN (${rateWeights(comparison.exposures)}) AS weights USING (sensor)
    GROUP BY ${names}, src_addr_high, src_addr_low`
  const before = comparison.previous
    ? sql`SELECT ${names}, src_addr_high, src_addr_low, sum(packet_count) AS packet_count
        FROM (${rows(conditions(comparison.previous))}) AS hours GROUP BY ${names}, src_addr_high, src_addr_low`
    : sql`SELECT ${names}, src_addr_high, src_addr_low, packet_count FROM (${rows(sql`false`)}) AS hours`
  const same = join(
    physicalColumns(keys).map(({ name }) => sql`c.${identifier(name)} = p.${identifier(name)}`),
    ' AND ',
  )
  return sql`WITH current_groups AS (
      SELECT ${names}, count(*) AS src_addr_unique_count, sum(packet_count) AS packet_count,
        sum(packets_per_addr_day) AS packets_per_addr_day${extraSums}
      FROM (${current}) AS sources GROUP BY ${names}
    ), current_ranks AS (
      SELECT *, row_number() OVER (ORDER BY ${order}) AS rank, sum(packet_count) OVER () AS total_packets,
        count(*) OVER () AS total_rows FROM current_groups
    ), previous_groups AS (
      SELECT ${names}, count(*) AS src_addr_unique_count, sum(packet_count) AS packet_count
      FROM (${before}) AS sources GROUP BY ${names}
    ), previous_ranks AS (
      SELECT ${names}, row_number() OVER (ORDER BY ${order}) AS previous_rank FROM previous_groups
    )
    SELECT c.*, p.previous_rank FROM (SELECT * FROM current_ranks ORDER BY rank LIMIT ${limit}) AS c
    LEFT JOIN previous_ranks AS p ON ${same} ORDER BY c.rank`
}
