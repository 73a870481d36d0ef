import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LAKE_FILE } from '../schemas/catalog.ts'
import type { Database } from './database.ts'
import type { Lake } from './lake.ts'
import { identifier, literal, sql } from './sql.ts'

/** DuckDB names a database after its file. */
const CATALOG = identifier('catalog')

/**
 * See Storage.snapshot. DuckDB copies its tables with one statement, as of one moment, so that nobody has to wait; the copy has
 * no log beside it.
 */
export async function takeSnapshot(database: Database, lake: Lake, folder: string): Promise<void> {
  const name = `snapshot_${randomBytes(6).toString('hex')}`
  const copy = identifier(name)
  const staged = lake.stagingPath(`${name}.duckdb`)
  const session = await database.session()
  try {
    // As a read of the lake: none of the files that the copy names is unlinked before it has its second name.
    await lake.read(async () => {
      await session.run(sql`ATTACH ${literal(staged)} AS ${copy}`)
      let paths: string[]
      try {
        await session.run(sql`COPY FROM DATABASE ${CATALOG} TO ${copy}`)
        paths = (await session.plain({ path: LAKE_FILE.path }, sql`SELECT path FROM ${copy}.main.lake_file`)).map(
          row => row.path,
        )
      } finally {
        await session.run(sql`DETACH ${copy}`)
      }
      const lakeFolder = join(folder, 'lake')
      await mkdir(lakeFolder, { recursive: true })
      await lake.linkInto(lakeFolder, paths)
    })
    await rename(staged, join(folder, 'catalog.duckdb'))
  } finally {
    session.close()
    await rm(staged, { force: true })
  }
}
