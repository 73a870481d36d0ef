import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LAKE_FILE, RECEIPT, RECEIPT_STATES, type Receipt, SENSOR } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { verifyAudit } from './audit.ts'
import { Database } from './database.ts'
import type { LakeFile } from './lake.ts'
import { bindList, sql } from './sql.ts'

/** Footers read with one statement. */
const FILES_AT_ONCE = 500

const FOOTER = {
  path: LAKE_FILE.path,
  row_count: LAKE_FILE.row_count,
} as const satisfies Table

/** The copy of a catalog that a snapshot or a backup holds, for those who check it; never changes it. */
export class CatalogCopy {
  readonly #database: Database
  readonly #lake: string

  private constructor(database: Database, lake: string) {
    this.#database = database
    this.#lake = lake
  }

  /**
   * @param lake folder with the files that it names
   * @throws STORAGE_FAILED when it is no catalog or is damaged
   */
  static async open(path: string, lake: string): Promise<CatalogCopy> {
    const database = await Database.open({
      path,
      lake,
      temporary: tmpdir(),
      threads: 2,
      memoryLimit: '1GB',
      readOnly: true,
    })
    return new CatalogCopy(database, lake)
  }

  lakeFiles(): Promise<LakeFile[]> {
    return this.#database.plain(LAKE_FILE, sql`SELECT * FROM lake_file ORDER BY path`)
  }

  /** Receipts whose bytes must still be there: all but those that are in the numbers. */
  unsettledReceipts(): Promise<Receipt[]> {
    const settled = RECEIPT_STATES.map((state, index) =>
      state === 'counted' || state === 'withdrawn' ? index : -1,
    ).filter(index => index >= 0)
    return this.#database.api(
      RECEIPT,
      sql`SELECT * FROM receipt WHERE state NOT IN (SELECT unnest(${bindList('uint8', settled)})) ORDER BY sensor, sha256`,
    )
  }

  /** Number of the first entry of the audit log that does not follow from the one before; null when all do. */
  brokenAudit(): Promise<number | null> {
    return this.#database.read(verifyAudit)
  }

  async sensors(): Promise<string[]> {
    const rows = await this.#database.plain({ sensor: SENSOR.sensor }, sql`SELECT sensor FROM sensor ORDER BY sensor`)
    return rows.map(row => row.sensor)
  }

  /**
   * Rows of each file by its own footer.
   * @param paths below the lake folder; all must be there
   */
  async rowCounts(paths: readonly string[]): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    for (let from = 0; from < paths.length; from += FILES_AT_ONCE) {
      const some = paths.slice(from, from + FILES_AT_ONCE).map(path => join(this.#lake, path))
      const rows = await this.#database.plain(
        FOOTER,
        sql`SELECT file_name AS path, num_rows::UBIGINT AS row_count FROM parquet_file_metadata(${bindList('text', some)})`,
      )
      for (const { path, row_count } of rows) counts.set(path.slice(this.#lake.length + 1), row_count)
    }
    return counts
  }

  close(): Promise<void> {
    return this.#database.close()
  }
}
