import { stat } from 'node:fs/promises'
import { LAKE_FILE } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { Database, Session } from './database.ts'
import { fileDigest, type Lake, type LakeFile } from './lake.ts'
import { bindList, type Sql, sql } from './sql.ts'

/**
 * Lake files that are not as they were written. Whoever writes rows of old files into new ones looks at the old ones
 * first: a new digest would make good what a disk has spoiled, and `verify` could tell it no more. A damaged file stays
 * as it is and where it is.
 */

const CONTENT = {
  row_count: LAKE_FILE.row_count,
  packet_count: LAKE_FILE.packet_count,
} as const satisfies Table

export class DamagedFiles {
  /** Found since the start, by path. */
  readonly #known = new Set<string>()
  readonly #database: Database
  readonly #lake: Lake

  constructor(database: Database, lake: Lake) {
    this.#database = database
    this.#lake = lake
  }

  /** For a WHERE over lake_file: files that nobody has found damaged. */
  get notKnown(): Sql {
    return sql`path NOT IN (SELECT unnest(${bindList('text', [...this.#known])}))`
  }

  /** Those found so far that the manifest still names; `verify` looks at all files. */
  async count(): Promise<number> {
    const left = await this.#database.plain(
      { path: LAKE_FILE.path },
      sql`SELECT path FROM lake_file WHERE NOT (${this.notKnown})`,
    )
    return left.length
  }

  /**
   * Reads the files as they lie on the disk.
   * @throws STORAGE_FAILED with the detail `path` when one is not as the manifest says; all such files are known then
   */
  async check(session: Session, files: readonly LakeFile[]): Promise<void> {
    const damaged: { file: LakeFile; what: string }[] = []
    for (const file of files) {
      const what = await this.#whatIsWrong(session, file)
      if (what === null) continue
      this.#known.add(file.path)
      damaged.push({ file, what })
    }
    const [first] = damaged
    if (first === undefined) return
    const { path } = first.file
    const others = damaged.length === 1 ? '' : ` (and ${damaged.length - 1} more)`
    throw new TelescopeError(
      'STORAGE_FAILED',
      `lake file ${path}${others} ${first.what}; it stays as it is: stop the hub and run hirundo rebuild, or restore a backup`,
      { fatal: false, path, damaged: damaged.length },
    )
  }

  async #whatIsWrong(session: Session, { path, byte_count, sha256, ...counts }: LakeFile): Promise<string | null> {
    const absolute = this.#lake.absolute(path)
    try {
      const { size } = await stat(absolute)
      if (size !== byte_count) return `has ${size} bytes, the manifest says ${byte_count}`
      if (sha256 !== '') {
        return (await fileDigest(absolute)) === sha256 ? null : 'has another SHA-256 than the manifest says'
      }
      // Written before digests were kept.
      const [content] = await session.plain(
        CONTENT,
        sql`SELECT count(*) AS row_count, coalesce(sum(packet_count), 0) AS packet_count FROM read_parquet(${bindList('text', [absolute])})`,
      )
      const { row_count, packet_count } = content!
      if (row_count === counts.row_count && packet_count === counts.packet_count) return null
      return `has ${row_count} rows and ${packet_count} packets, the manifest says ${counts.row_count} and ${counts.packet_count}`
    } catch (error) {
      if (error instanceof TelescopeError && error.details['fatal'] === true) throw error
      return `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'damaged'})`
    }
  }
}
