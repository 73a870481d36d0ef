import { setImmediate as immediate } from 'node:timers/promises'
import { SOURCE_ECONOMY } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { ColumnAppender, type ColumnValues } from './append.ts'
import type { Database, Session } from './database.ts'
import type { Geography } from './geography.ts'
import type { PlainRow } from './rows.ts'
import { bind, columnDefinitions, type Sql, sql } from './sql.ts'

/** The economy of each source, by the geography in use. Derived: done again when the geography changes. */

const SOURCE = { src_addr: SOURCE_ECONOMY.src_addr } as const satisfies Table

/** Looked up without a pause: some hundredths of a second. */
const SOURCES_AT_ONCE = 8192

/** Looks up the sources of a group that have no economy yet, into a temporary table. */
export async function stageSourceEconomies(session: Session, geography: Geography): Promise<void> {
  await session.run(sql`CREATE OR REPLACE TEMP TABLE group_source_economy (${columnDefinitions(SOURCE_ECONOMY)})`)
  await fill(
    session,
    geography,
    sql`SELECT DISTINCT src_addr_high, src_addr_low FROM group_source_hour AS g WHERE NOT EXISTS (
      SELECT 1 FROM source_economy AS e WHERE e.src_addr_high = g.src_addr_high AND e.src_addr_low = g.src_addr_low)`,
  )
}

/** Adds the staged rows, within the transaction of the session. */
export async function addStagedSourceEconomies(session: Session): Promise<void> {
  await session.run(sql`INSERT INTO source_economy BY NAME SELECT * FROM group_source_economy`)
}

/**
 * Looks all sources up again when they were looked up with another geography.
 * @returns sources changed
 */
export async function redoSourceEconomies(database: Database, geography: Geography): Promise<number> {
  const session = await database.session()
  try {
    await session.run(sql`CREATE OR REPLACE TEMP TABLE group_source_economy (${columnDefinitions(SOURCE_ECONOMY)})`)
    const stale = sql`geography <> ${bind('text', geography.name)}`
    const found = await session.plain(
      SOURCE,
      sql`SELECT src_addr_high, src_addr_low FROM source_economy WHERE ${stale} LIMIT 1`,
    )
    if (found.length === 0) return 0
    await fill(session, geography, sql`SELECT src_addr_high, src_addr_low FROM source_economy WHERE ${stale}`)
    return await database.transaction(async () => {
      const removed = await session.run(sql`DELETE FROM source_economy WHERE ${stale}`)
      await addStagedSourceEconomies(session)
      return removed
    }, session)
  } finally {
    session.close()
  }
}

async function fill(session: Session, geography: Geography, sources: Sql): Promise<void> {
  await session.run(sql`CREATE OR REPLACE TEMP TABLE new_source AS ${sources} ORDER BY src_addr_high, src_addr_low`)
  const appender = await ColumnAppender.open(
    session,
    { name: 'group_source_economy', temporary: true },
    physicalColumns(SOURCE_ECONOMY),
  )
  // In pieces, and others have their turn between them: a capture can hold millions of sources.
  for (let first = 0; ; first += SOURCES_AT_ONCE) {
    const rows = await session.plain(
      SOURCE,
      sql`SELECT src_addr_high, src_addr_low FROM new_source WHERE rowid >= ${bind('int64', first)}
        AND rowid < ${bind('int64', first + SOURCES_AT_ONCE)}`,
    )
    if (rows.length === 0) break
    append(appender, geography, rows)
    await immediate()
  }
  appender.close()
}

function append(appender: ColumnAppender, geography: Geography, rows: readonly PlainRow<typeof SOURCE>[]): void {
  const columns: Record<string, ColumnValues> = {
    src_addr_high: BigUint64Array.from(rows, row => row.src_addr >> 64n),
    src_addr_low: BigUint64Array.from(rows, row => row.src_addr & 0xffff_ffff_ffff_ffffn),
    economy: rows.map(row => geography.economyOf(row.src_addr)),
    geography: rows.map(() => geography.name),
  }
  appender.append(
    physicalColumns(SOURCE_ECONOMY).map(column => columns[column.name]!),
    rows.length,
  )
}
