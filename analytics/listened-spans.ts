import { SPAN_BASES } from '../schemas/catalog.ts'
import { CLOSED_DAY, LISTENED_DAY } from '../schemas/closed-day.ts'
import { physicalColumns } from '../schemas/column.ts'
import { SILENCE_ALWAYS_LISTENED } from '../schemas/coverage.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { bind, columnNames, join, type Sql, sql } from './sql.ts'

/**
 * Listened spans as questions read them: fewer rows than uploads told, and the same spans once `joinSpans` has joined
 * them. Times are Unix microseconds.
 */

const DAY = DAY_SECONDS * MICROSECONDS
const SPAN_COLUMNS = columnNames(physicalColumns(LISTENED_DAY))

/**
 * Spans joined as far as `joinSpans` joins them whatever the usual rate of the sensor: where they touch or overlap, and
 * inferred ones over silences of up to an interval. Only neighbours of one basis become one, so that it still finds which
 * of them it may stretch. What is older reaches as far as the furthest end before it: all spans up to that end are
 * joined anyway.
 * @param spans SELECT of the columns of LISTENED_DAY
 */
export function joinedSpans(spans: Sql): Sql {
  const stretch = sql`CASE WHEN basis = ${bind('uint8', SPAN_BASES.indexOf('inferred'))} THEN ${bind('int64', SILENCE_ALWAYS_LISTENED)} ELSE 0 END`
  return sql`SELECT sensor, min(listened_from) AS listened_from, max(listened_to) AS listened_to, min(basis) AS basis,
      sum(packet_count)::UBIGINT AS packet_count
    FROM (SELECT *, sum(CASE WHEN basis = basis_before AND epoch_us(listened_from) - epoch_us(reach) <= ${stretch} THEN 0 ELSE 1 END)
        OVER (PARTITION BY sensor ORDER BY place ROWS UNBOUNDED PRECEDING) AS joined
      FROM (SELECT *, row_number() OVER in_order AS place, lag(basis) OVER in_order AS basis_before,
          max(listened_to) OVER (PARTITION BY sensor ORDER BY listened_from, listened_to, basis, packet_count
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
        FROM (${spans}) AS spans
        WINDOW in_order AS (PARTITION BY sensor ORDER BY listened_from, listened_to, basis, packet_count)) AS ordered) AS numbered
    GROUP BY sensor, joined`
}

/** [from, to), Unix microseconds. */
export interface SpanRange {
  readonly from: number
  readonly to: number
}

/**
 * Spans of the sensors that touch a range, or all of them without one.
 * @param chosen condition on the column `sensor`
 */
export async function listenedSpans(session: Session, chosen: Sql, range: SpanRange | null = null): Promise<Sql> {
  const within = range
    ? sql`${chosen} AND listened_to > ${bind('timestamp_us', range.from)} AND listened_from < ${bind('timestamp_us', range.to)}`
    : chosen
  const raw = (await openRanges(session))
    .filter(({ from }) => range === null || from < range.to)
    .map(
      ({ from, to }) => sql`SELECT ${SPAN_COLUMNS} FROM coverage_span WHERE ${within}
        AND listened_from >= ${bind('timestamp_us', from)}${to === null ? sql`` : sql` AND listened_from < ${bind('timestamp_us', to)}`}`,
    )
  return sql`SELECT ${SPAN_COLUMNS} FROM listened_day WHERE ${within}
      AND date_trunc('day', listened_from)::TIMESTAMP IN (SELECT day FROM closed_day)
    UNION ALL ${joinedSpans(join(raw, ' UNION ALL '))}`
}

/** What lies between closed days, [from, to); the last one has no end. */
async function openRanges(session: Session): Promise<{ from: number; to: number | null }[]> {
  const closed = await session.plain({ day: CLOSED_DAY.day }, sql`SELECT day FROM closed_day ORDER BY day`)
  const ranges: { from: number; to: number | null }[] = []
  let from = 0
  for (const { day } of closed) {
    if (day > from) ranges.push({ from, to: day })
    from = day + DAY
  }
  return [...ranges, { from, to: null }]
}
