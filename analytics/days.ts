import { LAKE_FILE } from '../schemas/catalog.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { cutCoverage } from './coverage.ts'
import type { Database } from './database.ts'
import type { Lake } from './lake.ts'
import { lakeFlows } from './lake-flows.ts'
import { deleteRollups, ROLLUPS, rollupRows } from './rollup.ts'
import { bind, identifier, sql } from './sql.ts'

/** Upkeep of whole UTC days; `day` is the Unix second of a start of a day. */

/** Makes the rollups of a day again from the lake: the same sums as those that were added group by group. */
export async function replaceDay(database: Database, lake: Lake, day: number): Promise<void> {
  await lake.read(() =>
    database.transaction(async session => {
      const flows = lakeFlows(await lake.files(session, day, day + DAY_SECONDS))
      await deleteRollups(session, start(day), start(day + DAY_SECONDS))
      for (const [name, table] of Object.entries(ROLLUPS)) {
        await session.run(sql`INSERT INTO ${identifier(name)} BY NAME ${rollupRows(table, flows)}`)
      }
    }),
  )
}

/**
 * Takes a day out of lake, rollups and coverage; receipts stay. The files are unlinked when the change is durable and
 * no read that began before still needs them.
 */
export async function dropDay(database: Database, lake: Lake, day: number): Promise<void> {
  const paths = await database.transaction(async session => {
    const ofDay = sql`day = ${start(day)}`
    const rows = await session.plain({ path: LAKE_FILE.path }, sql`SELECT path FROM lake_file WHERE ${ofDay}`)
    await session.run(sql`DELETE FROM lake_file WHERE ${ofDay}`)
    await deleteRollups(session, start(day), start(day + DAY_SECONDS))
    await cutCoverage(session, day * MICROSECONDS, (day + DAY_SECONDS) * MICROSECONDS)
    return rows.map(row => row.path)
  })
  await lake.unlink(paths)
}

function start(day: number) {
  return sql`${bind('timestamp_us', day * MICROSECONDS)}`
}
