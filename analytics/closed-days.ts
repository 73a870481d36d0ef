import { COVERAGE_SPAN } from '../schemas/catalog.ts'
import { CLOSED_DAY, LISTENED_DAY } from '../schemas/closed-day.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { SENSOR_HOUR } from '../schemas/rollup.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Database, Session } from './database.ts'
import { joinedSpans } from './listened-spans.ts'
import { bind, columnNames, join, type Sql, sql } from './sql.ts'

/** Derives `listened_day` of days that are over. Times are Unix microseconds. */

const DAY = DAY_SECONDS * MICROSECONDS
/** Most of what comes late comes within this time of the end of a day. */
const LATE = HOUR_SECONDS * MICROSECONDS

const TIME = { listened_from: { ...COVERAGE_SPAN.listened_from, nullable: true } } as const satisfies Table
const COUNT = {
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Rows.' },
} as const satisfies Table

/**
 * Closes the newest day that is over and not closed. The sums of its hours, one row for each counted group, become one
 * row an hour. Must not overlap with anything that changes spans or rollups; receipts are held up for the time of an
 * insertion only.
 * @returns days that were closed: more than one when they have no spans, none when all are closed
 */
export async function closeDays(database: Database, nowMicros: number): Promise<number> {
  const end = startOfDay(nowMicros - LATE)
  const session = await database.session()
  try {
    const first = await readTime(session, sql`min(listened_from)`, sql`true`)
    if (first === null) return 0
    const newest = await newestOpen(session, startOfDay(first), end)
    if (newest === null) return 0
    await session.run(
      sql`CREATE OR REPLACE TEMP TABLE closing_span AS ${joinedSpans(sql`SELECT ${columnNames(physicalColumns(LISTENED_DAY))}
        FROM coverage_span WHERE listened_from >= ${at(newest)} AND listened_from < ${at(newest + DAY)}`)} ORDER BY sensor, listened_from`,
    )
    const oldest = (await isEmpty(session)) ? await oldestEmpty(session, newest, startOfDay(first)) : newest
    const hours = sql`bucket_start >= ${at(oldest)} AND bucket_start < ${at(newest + DAY)}`
    const merges = await stageHours(session, hours)
    await database.transaction(async () => {
      await session.run(sql`INSERT INTO listened_day BY NAME SELECT * FROM closing_span`)
      await session.run(sql`DELETE FROM closed_day WHERE day >= ${at(oldest)} AND day <= ${at(newest)}`)
      await session.run(
        sql`INSERT INTO closed_day BY NAME SELECT day, ${bind('timestamp_us', nowMicros)} AS closed_at
          FROM range(${at(oldest)}, ${at(newest + DAY)}, INTERVAL 1 DAY) AS days(day)`,
      )
      if (!merges) return
      await session.run(sql`DELETE FROM sensor_hour WHERE ${hours}`)
      await session.run(sql`INSERT INTO sensor_hour BY NAME SELECT * FROM closing_hour`)
    }, session)
    return Math.round((newest - oldest) / DAY) + 1
  } finally {
    // Its temporary tables go with it.
    session.close()
  }
}

/**
 * Opens the days on which spans that change begin, within the transaction that changes them.
 * @param from of the first of these spans
 * @param to of the last of them
 */
export async function reopenDays(session: Session, from: number, to: number): Promise<void> {
  const first = at(startOfDay(from))
  const last = at(startOfDay(to))
  const opened = await session.run(sql`DELETE FROM closed_day WHERE day >= ${first} AND day <= ${last}`)
  if (opened === 0) return
  await session.run(
    sql`DELETE FROM listened_day WHERE listened_from >= ${first} AND listened_from < ${last} + INTERVAL 1 DAY`,
  )
}

async function newestOpen(session: Session, first: number, end: number): Promise<number | null> {
  const rows = await session.plain(
    { day: CLOSED_DAY.day },
    sql`SELECT day FROM closed_day WHERE day >= ${at(first)} AND day < ${at(end)} ORDER BY day DESC`,
  )
  let newest = end - DAY
  for (const { day } of rows) {
    if (day !== newest) break
    newest -= DAY
  }
  return newest >= first ? newest : null
}

/** The first of the days without spans that end with an empty one. */
async function oldestEmpty(session: Session, newest: number, first: number): Promise<number> {
  const before = await readTime(session, sql`max(listened_from)`, sql`listened_from < ${at(newest)}`)
  return before === null ? first : Math.min(newest, startOfDay(before) + DAY)
}

async function isEmpty(session: Session): Promise<boolean> {
  const [row] = await session.plain(COUNT, sql`SELECT count(*) AS row_count FROM closing_span`)
  return row!.row_count === 0
}

/** @returns whether any hour has more than one row */
async function stageHours(session: Session, hours: Sql): Promise<boolean> {
  const columns = physicalColumns(SENSOR_HOUR)
  const isKey = (name: string) => SENSOR_HOUR[name as keyof typeof SENSOR_HOUR].role === 'key'
  const keys = columnNames(columns.filter(({ name }) => isKey(name)))
  const sums = join(
    columns
      .filter(({ name }) => !isKey(name))
      .map(column => sql`sum(${columnNames([column])})::UBIGINT AS ${columnNames([column])}`),
    ', ',
  )
  await session.run(
    sql`CREATE OR REPLACE TEMP TABLE closing_hour AS SELECT ${keys}, ${sums} FROM sensor_hour WHERE ${hours}
      GROUP BY ${keys} ORDER BY bucket_start, sensor`,
  )
  const [rows] = await session.plain(COUNT, sql`SELECT count(*) AS row_count FROM sensor_hour WHERE ${hours}`)
  const [merged] = await session.plain(COUNT, sql`SELECT count(*) AS row_count FROM closing_hour`)
  return merged!.row_count < rows!.row_count
}

async function readTime(session: Session, value: Sql, condition: Sql): Promise<number | null> {
  const [row] = await session.plain(TIME, sql`SELECT ${value} AS listened_from FROM coverage_span WHERE ${condition}`)
  return row!.listened_from
}

function startOfDay(micros: number): number {
  return Math.floor(micros / DAY) * DAY
}

function at(micros: number): Sql {
  return sql`${bind('timestamp_us', micros)}`
}
