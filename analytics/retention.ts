import { LAKE_FILE } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { SENSOR_HOUR } from '../schemas/rollup.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { reopenDays } from './closed-days.ts'
import { cutCoverage } from './coverage.ts'
import type { Database } from './database.ts'
import type { Lake } from './lake.ts'
import { deleteRollups } from './rollup.ts'
import { bind, sql } from './sql.ts'
import type { Expired, ExpiryLimits } from './storage.ts'

/** What is older than it is to be kept. Flows go by whole UTC days and leave their hourly sums; those go later. */

const SUMS = {
  file_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Files.' },
  flow_count: LAKE_FILE.row_count,
  byte_count: LAKE_FILE.byte_count,
} as const satisfies Table

const HOURS = {
  hour_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Hours with sums.' },
} as const satisfies Table

const DAY = DAY_SECONDS * MICROSECONDS

/** What `dropExpired` with the same limits would remove. */
export async function findExpired(database: Database, limits: ExpiryLimits): Promise<Expired> {
  const flows = before(limits.flows)
  const rollups = before(limits.rollups)
  return await database.read(async session => {
    const [files] = await session.plain(
      SUMS,
      sql`SELECT count(*) AS file_count, coalesce(sum(row_count), 0) AS flow_count, coalesce(sum(byte_count), 0) AS byte_count
        FROM lake_file WHERE day < ${flows}`,
    )
    const [hours] = await session.plain(
      HOURS,
      sql`SELECT count(DISTINCT bucket_start) AS hour_count FROM sensor_hour WHERE bucket_start < ${rollups}`,
    )
    return { ...files!, ...hours! }
  })
}

/** Removes it, a day a transaction, so that nobody waits for long. */
export async function dropExpired(database: Database, lake: Lake, limits: ExpiryLimits): Promise<void> {
  const days = await database.plain(
    { day: LAKE_FILE.day },
    sql`SELECT DISTINCT day FROM lake_file WHERE day < ${before(limits.flows)} ORDER BY day`,
  )
  for (const { day } of days) {
    const ofDay = sql`day = ${bind('timestamp_us', day)}`
    const paths = await database.transaction(async session => {
      const rows = await session.plain({ path: LAKE_FILE.path }, sql`SELECT path FROM lake_file WHERE ${ofDay}`)
      await session.run(sql`DELETE FROM lake_file WHERE ${ofDay}`)
      return rows.map(row => row.path)
    })
    await lake.unlink(paths)
  }
  if (limits.rollups === null) return
  const hours = await database.plain(
    { bucket_start: SENSOR_HOUR.bucket_start },
    sql`SELECT DISTINCT date_trunc('day', bucket_start)::TIMESTAMP AS bucket_start FROM sensor_hour
        WHERE bucket_start < ${before(limits.rollups)} ORDER BY bucket_start`,
  )
  for (const { bucket_start: day } of hours) {
    await database.transaction(session =>
      deleteRollups(session, sql`${bind('timestamp_us', day)}`, sql`${bind('timestamp_us', day + DAY)}`),
    )
  }
  await database.transaction(async session => {
    await session.run(sql`DELETE FROM coverage_span WHERE listened_to <= ${before(limits.rollups)}`)
    await reopenDays(session, 0, limits.rollups! * MICROSECONDS)
    await cutCoverage(session, 0, limits.rollups! * MICROSECONDS)
  })
}

/** A time that nothing lies before, when there is no limit. */
function before(limit: number | null) {
  return sql`${bind('timestamp_us', (limit ?? 0) * MICROSECONDS)}`
}
