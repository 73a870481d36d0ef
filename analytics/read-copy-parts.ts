import { COVERAGE_SPAN, LAKE_FILE, RECEIPT, SENSOR, SOURCE_ECONOMY } from '../schemas/catalog.ts'
import { CHANGED_DAY, CLOSED_DAY } from '../schemas/closed-day.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { receiptState } from './receipts.ts'
import { ROLLUPS } from './rollup.ts'
import { bind, columnNames, identifier, join, type Sql, sql } from './sql.ts'

/**
 * Which parts the read copy has, and which of them are to be written again. A day that is over is told by what would
 * change with it (a closing, the lake files, a decision about an upload), so its rows are not read; a table whose number
 * of rows is not that of its parts is looked at day by day all the same.
 */

/** Named by its table and day; its file is immutable. */
export interface Part {
  readonly table: string
  /** Unix microseconds of the start of the UTC day; null for a table in one part. */
  readonly day: number | null
  /** Changes with the rows. */
  readonly mark: string
  readonly rows: number
  /** Name in the folder of parts. */
  readonly file: string
}

export type PartPlan = Omit<Part, 'file'> & {
  /** The part that holds these rows already; null when they are to be written. */
  readonly same: Part | null
}

interface Source {
  readonly table: Table
  /** Parts the table into days; null for one part. */
  readonly time: Sql | null
  /** A mark that needs no look at the rows of a day; null when there is none for it. */
  readonly stableMark: (day: number, days: DayMarks) => string | null
  /** Rows that will change by themselves: a day with any has no stable mark yet. */
  readonly unsettled: Sql
}

const DAY = DAY_SECONDS * MICROSECONDS
/** Receipts are made at the hub's time, so nothing comes to a day that is over for so long, unless its clock is set back. */
const SETTLED_AFTER = DAY

const rollupSource = (table: Table): Source => ({
  table,
  time: sql`bucket_start`,
  // Sums change with flows, and flows with files; closing a day may merge rows.
  stableMark: (day, { lake, closed }) => `lake ${lake.get(day) ?? ''} ${closed.get(day) ?? ''}`,
  unsettled: sql`false`,
})

/** The tables of the read copy. */
export const SOURCES: Readonly<Record<string, Source>> = {
  sensor: { table: SENSOR, time: null, stableMark: () => null, unsettled: sql`false` },
  receipt: {
    table: RECEIPT,
    time: sql`received_at`,
    stableMark: (day, { changes, settledBefore }) =>
      day + DAY <= settledBefore ? `settled ${changes.get(day) ?? 0}` : null,
    unsettled: sql`state = ${receiptState('received')}`,
  },
  coverage_span: {
    table: COVERAGE_SPAN,
    time: sql`listened_from`,
    stableMark: (day, { closed }) => (closed.has(day) ? `closed ${closed.get(day)}` : null),
    unsettled: sql`false`,
  },
  source_economy: { table: SOURCE_ECONOMY, time: null, stableMark: () => null, unsettled: sql`false` },
  ...Object.fromEntries(Object.entries(ROLLUPS).map(([name, table]) => [name, rollupSource(table)])),
}

/** What days are told by. */
interface DayMarks {
  readonly lake: ReadonlyMap<number, string>
  readonly closed: ReadonlyMap<number, number>
  readonly changes: ReadonlyMap<number, number>
  /** Unix microseconds. */
  readonly settledBefore: number
}

const LAKE_DAY = {
  day: LAKE_FILE.day,
  mark: {
    type: 'text',
    role: 'measure',
    sharing: 'withheld',
    doc: 'Number of files and sum of hashes of their names.',
  },
} as const satisfies Table
const ROWS = {
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Rows.' },
} as const satisfies Table
const DAY_ROWS = {
  day: LAKE_FILE.day,
  ...ROWS,
  unsettled_count: { ...ROWS.row_count, doc: 'Rows that will change.' },
} as const satisfies Table
const MARK = { mark: { ...LAKE_DAY.mark, doc: 'Number of rows and sum of their hashes.' } } as const satisfies Table

/** @param nowMicros the hub's time */
export async function readDayMarks(session: Session, nowMicros: number): Promise<DayMarks> {
  const lake = await session.plain(
    LAKE_DAY,
    sql`SELECT day, count(*)::VARCHAR || ' ' || sum(hash(path)::HUGEINT)::VARCHAR AS mark FROM lake_file GROUP BY day`,
  )
  const closed = await session.plain(CLOSED_DAY, sql`SELECT day, closed_at FROM closed_day`)
  const changes = await session.plain(CHANGED_DAY, sql`SELECT day, change_count FROM changed_day`)
  return {
    lake: new Map(lake.map(row => [row.day, row.mark])),
    closed: new Map(closed.map(row => [row.day, row.closed_at])),
    changes: new Map(changes.map(row => [row.day, row.change_count])),
    settledBefore: nowMicros - SETTLED_AFTER,
  }
}

/**
 * The parts of a table as they must be now.
 * @param known parts of it that are there
 */
export async function planParts(
  session: Session,
  name: string,
  known: readonly Part[],
  days: DayMarks,
): Promise<PartPlan[]> {
  const source = SOURCES[name]!
  const earlier = new Map(known.map(part => [part.day, part]))
  const planned = (day: number | null, mark: string, rows: number): PartPlan => {
    const same = earlier.get(day)
    return { table: name, day, mark, rows, same: same?.mark === mark && same.rows === rows ? same : null }
  }
  const [total] = await session.plain(ROWS, sql`SELECT count(*) AS row_count FROM ${identifier(name)}`)
  const { time } = source
  if (time === null) return [planned(null, await readMark(session, name, sql`true`), total!.row_count)]
  let kept = known.filter(part => part.day !== null && part.mark === source.stableMark(part.day, days))
  let rest = await countDays(session, name, source, between(time, kept))
  const sum = (rows: readonly number[]) => rows.reduce((a, b) => a + b, 0)
  if (sum(kept.map(part => part.rows)) + sum(rest.map(row => row.row_count)) !== total!.row_count) {
    const all = await countDays(session, name, source, [sql`true`])
    const counts = new Map(all.map(row => [row.day, row.row_count]))
    kept = kept.filter(part => counts.get(part.day!) === part.rows)
    const keptDays = new Set(kept.map(part => part.day))
    rest = all.filter(row => !keptDays.has(row.day))
  }
  const plans = kept.map((part): PartPlan => ({ ...part, same: part }))
  for (const { day, row_count, unsettled_count } of rest) {
    const stable = unsettled_count === 0 ? source.stableMark(day, days) : null
    plans.push(planned(day, stable ?? (await readMark(session, name, ofDay(time, day))), row_count))
  }
  return plans.sort((a, b) => a.day! - b.day!)
}

/** The rows of a part. */
export function partRows({ table, day }: PartPlan): Sql {
  const { table: columns, time } = SOURCES[table]!
  const condition = time === null || day === null ? sql`true` : ofDay(time, day)
  return sql`SELECT ${columnNames(shownColumns(columns))} FROM ${identifier(table)} WHERE ${condition}`
}

/** Columns that may leave the hub. */
export function shownColumns(table: Table) {
  return physicalColumns(
    Object.fromEntries(Object.entries(table).filter(([, column]) => column.sharing !== 'withheld')),
  )
}

async function readMark(session: Session, name: string, condition: Sql): Promise<string> {
  const columns = columnNames(shownColumns(SOURCES[name]!.table))
  const [row] = await session.plain(
    MARK,
    sql`SELECT 'rows ' || coalesce(sum(hash(${columns})::HUGEINT), 0)::VARCHAR AS mark FROM ${identifier(name)} WHERE ${condition}`,
  )
  return row!.mark
}

/** @param ranges conditions that no row meets two of; parts of a union skip what an OR would look at */
function countDays(session: Session, name: string, { time, unsettled }: Source, ranges: readonly Sql[]) {
  const day = sql`date_trunc('day', ${time!})::TIMESTAMP`
  const rows = ranges.map(
    range => sql`SELECT ${day} AS day, ${unsettled} AS is_unsettled FROM ${identifier(name)} WHERE ${range}`,
  )
  return session.plain(
    DAY_ROWS,
    sql`SELECT day, count(*) AS row_count, count(*) FILTER (is_unsettled) AS unsettled_count
      FROM (${join(rows, ' UNION ALL ')}) AS days GROUP BY day ORDER BY day`,
  )
}

function ofDay(time: Sql, day: number): Sql {
  return sql`${time} >= ${bind('timestamp_us', day)} AND ${time} < ${bind('timestamp_us', day + DAY)}`
}

/** What lies outside the days of the parts, as few ranges, so that only their rows are read. */
function between(time: Sql, parts: readonly Part[]): Sql[] {
  const days = parts.map(part => part.day!).sort((a, b) => a - b)
  const ranges: Sql[] = []
  let from = 0
  for (const day of days) {
    if (day > from) {
      ranges.push(sql`${time} >= ${bind('timestamp_us', from)} AND ${time} < ${bind('timestamp_us', day)}`)
    }
    from = day + DAY
  }
  return [...ranges, sql`${time} >= ${bind('timestamp_us', from)}`]
}
