import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs'
import { copyFile, link, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { LAKE_FILE } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { DAY_SECONDS, formatDay, MICROSECONDS } from '../schemas/time.ts'
import type { Database, Session } from './database.ts'
import { RetiredFiles } from './retired-files.ts'
import type { PlainRow } from './rows.ts'
import { bind, bindList, literal, type Sql, sql, whole } from './sql.ts'

/**
 * The flow lake: immutable Parquet files by UTC day. A file is data only while the manifest (table lake_file) names
 * it; readers take file names from there, never from the folder.
 */

export type LakeFile = PlainRow<typeof LAKE_FILE>

/** Below the lake folder, and so on one file system with the place that files are renamed to. */
const STAGING = 'staging'
const FLOWS = 'flows'

/**
 * Order of rows in a file. Addresses are what takes most room, and they rise within a file this way; flows of one
 * source lie together, where its services and hours repeat. 7.6 bytes a packet on the demo's captures; by sensor and
 * service first 9.1, by time 11.8.
 */
const FILE_ORDER = sql`src_addr_high, src_addr_low, protocol, service_port, interval_start, sensor, dst_index`

const DAY = DAY_SECONDS * MICROSECONDS
/**
 * Rows of a row group: what DuckDB reads at once, and skips as a whole by the range of addresses in it. Smaller ones
 * cost bytes, larger ones memory for each reader.
 */
const ROW_GROUP_ROWS = 122_880

/** For rows in no order: columns of many values gain little by a dictionary, which is most of the work of writing them. */
const SMALL_DICTIONARIES = sql`, DICTIONARY_SIZE_LIMIT 1000`

const COUNTS = {
  row_count: LAKE_FILE.row_count,
  packet_count: LAKE_FILE.packet_count,
} as const satisfies Table

export class Lake {
  readonly #folder: string
  readonly #database: Database
  #reads = new Set<Promise<unknown>>()
  readonly #retired: RetiredFiles

  /**
   * @param folder made when missing
   * @param retired files that the manifest names no more and somebody may still read
   */
  constructor(folder: string, database: Database, retired = new RetiredFiles()) {
    mkdirSync(join(folder, FLOWS), { recursive: true })
    mkdirSync(join(folder, STAGING), { recursive: true })
    this.#folder = realpathSync(folder)
    this.#database = database
    this.#retired = retired
  }

  /** Absolute name of a file that the manifest names. */
  absolute(path: string): string {
    return join(this.#folder, path)
  }

  /**
   * Writes flows of one UTC day as one file that is durable under its name when this resolves. It is data once its
   * row is committed.
   * @param day Unix microseconds of the start of the day
   * @param rows SELECT of the columns of LAKE_FLOW, in that order
   * @param expected what the file must hold; read back from it before it gets its name
   * @param isSorted false leaves the rows as they come: half the time, and twice the bytes until compaction sorts them
   * @throws STORAGE_FAILED, DISK_FULL
   */
  async write(
    session: Session,
    day: number,
    rows: Sql,
    expected: { readonly row_count: number; readonly packet_count: number },
    nowMicros: number,
    isSorted = true,
  ): Promise<LakeFile> {
    const staged = this.stagingPath(`${randomBytes(12).toString('hex')}.parquet`)
    try {
      await session.run(
        sql`COPY (${isSorted ? sql`${rows} ORDER BY ${FILE_ORDER}` : rows}) TO ${literal(staged)} (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE ${whole(ROW_GROUP_ROWS)}${isSorted ? sql`` : SMALL_DICTIONARIES})`,
      )
      return await this.takeIn(session, day, staged, expected, nowMicros, isSorted)
    } catch (error) {
      await rm(staged, { force: true })
      throw this.#database.wrap(error)
    }
  }

  /**
   * Makes a staged file with the columns of LAKE_FLOW a file of the lake, as `write` does with the one that it has written.
   * @param staged below the folder for it; gone when this resolves, the caller's to remove when it throws
   * @throws STORAGE_FAILED, DISK_FULL
   */
  async takeIn(
    session: Session,
    day: number,
    staged: string,
    expected: { readonly row_count: number; readonly packet_count: number },
    nowMicros: number,
    isSorted: boolean,
  ): Promise<LakeFile> {
    const path = `${FLOWS}/day=${formatDay(day / MICROSECONDS)}/${basename(staged)}`
    const final = join(this.#folder, path)
    try {
      await this.sync(staged)
      const [counted] = await session.plain(
        COUNTS,
        sql`SELECT count(*) AS row_count, coalesce(sum(packet_count), 0) AS packet_count FROM read_parquet(${bindList('text', [staged])})`,
      )
      if (counted?.row_count !== expected.row_count || counted.packet_count !== expected.packet_count) {
        throw new TelescopeError(
          'STORAGE_FAILED',
          `lake file ${path}: ${counted?.row_count} rows and ${counted?.packet_count} packets read back, expected ${expected.row_count} and ${expected.packet_count}`,
          { fatal: false, path },
        )
      }
      const { size } = await stat(staged)
      const sha256 = await fileDigest(staged)
      if (await mkdir(dirname(final), { recursive: true })) await this.sync(join(this.#folder, FLOWS))
      await rename(staged, final)
      await this.sync(dirname(final))
      return { path, day, ...expected, byte_count: size, sha256, created_at: nowMicros, is_sorted: isSorted }
    } catch (error) {
      throw this.#database.wrap(error)
    }
  }

  /** Gives files of the manifest a second name below another folder of the same disk; a copy where that cannot be. */
  async linkInto(folder: string, paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const name = join(folder, path)
      await mkdir(dirname(name), { recursive: true })
      // One that is lost is missing from the copy as it is here, and `verify` says so.
      await link(join(this.#folder, path), name)
        .catch(() => copyFile(join(this.#folder, path), name))
        .catch(ignoreMissing)
    }
  }

  /**
   * Takes in a file that is to be read and is no data of the lake: DuckDB opens nothing outside.
   * @returns its absolute name, for `disown`
   */
  async adopt(path: string, name: string): Promise<string> {
    const adopted = this.stagingPath(name)
    try {
      await link(path, adopted).catch(() => copyFile(path, adopted))
    } catch (error) {
      throw this.#database.wrap(error)
    }
    return adopted
  }

  async disown(paths: readonly string[]): Promise<void> {
    for (const path of paths) await rm(path, { force: true })
  }

  /** A name below the folder that DuckDB may write to; what is left there is swept at the next start. */
  stagingPath(name: string): string {
    return join(this.#folder, STAGING, name)
  }

  /**
   * Writes rows as a Parquet file outside the lake, on the same file system; its bytes are durable when this resolves,
   * its name once the caller has synced the folder.
   * @throws STORAGE_FAILED, DISK_FULL
   */
  async copyOut(session: Session, rows: Sql, path: string): Promise<void> {
    const staged = this.stagingPath(`${randomBytes(12).toString('hex')}.parquet`)
    try {
      await session.run(sql`COPY (${rows}) TO ${literal(staged)} (FORMAT parquet, COMPRESSION zstd)`)
      await this.sync(staged)
      await rename(staged, path)
    } catch (error) {
      await rm(staged, { force: true })
      throw this.#database.wrap(error)
    }
  }

  /** An error of the file system as one of the storage. */
  wrap(error: unknown): TelescopeError {
    return this.#database.wrap(error)
  }

  /** Absolute names of the files of the days that [since, until) touches, Unix seconds. */
  async files(session: Session, since: number, until: number): Promise<string[]> {
    const firstDay = Math.floor(since / DAY_SECONDS) * DAY_SECONDS
    const rows = await session.plain(
      { path: LAKE_FILE.path },
      sql`SELECT path FROM lake_file WHERE day >= ${bind('timestamp_us', firstDay * MICROSECONDS)}
        AND day < ${bind('timestamp_us', until * MICROSECONDS)} ORDER BY path`,
    )
    return rows.map(({ path }) => this.absolute(path))
  }

  /**
   * The files that hold flows of an upload, of the days that [from, to] touches.
   * @param from Unix microseconds of a flow, as `to`
   */
  async filesOfUpload(session: Session, uploadId: number, from: number, to: number): Promise<LakeFile[]> {
    const firstDay = Math.floor(from / DAY) * DAY
    const files = await session.plain(
      LAKE_FILE,
      sql`SELECT * FROM lake_file WHERE day >= ${bind('timestamp_us', firstDay)} AND day <= ${bind('timestamp_us', to)}
        ORDER BY path`,
    )
    if (files.length === 0) return []
    const paths = files.map(({ path }) => this.absolute(path))
    // The empty part stands in for the column in files that lack it.
    const holding = await session.plain(
      { path: LAKE_FILE.path },
      sql`SELECT DISTINCT filename AS path FROM (SELECT NULL::UINTEGER AS upload_id, NULL::VARCHAR AS filename WHERE false
        UNION ALL BY NAME SELECT * FROM read_parquet(${bindList('text', paths)}, union_by_name = true, filename = true)) AS flows
        WHERE upload_id = ${bind('uint32', uploadId)}`,
    )
    const names = new Set(holding.map(({ path }) => path))
    return files.filter(({ path }) => names.has(this.absolute(path)))
  }

  /** Runs work that reads files; none that it may have seen in the manifest is unlinked before it ends. */
  async read<T>(work: () => Promise<T>): Promise<T> {
    const reading = work()
    this.#reads.add(reading)
    try {
      return await reading
    } finally {
      this.#reads.delete(reading)
    }
  }

  /**
   * Unlinks files that the manifest names no more, once all reads that may still know them have ended; those that a
   * read copy names when that has been replaced.
   */
  async unlink(paths: readonly string[]): Promise<void> {
    await Promise.allSettled([...this.#reads])
    for (const path of paths) {
      if (this.#retired.isHeld(path)) this.#retired.retire([path], Date.now())
      else await rm(join(this.#folder, path), { force: true })
    }
  }

  /** Files that the manifest names no more: unlinked by `unlinkRetired` when nobody can need them. */
  retire(paths: readonly string[]): void {
    this.#retired.retire(paths, Date.now())
  }

  /** The files that the present read copy names; none of them is unlinked before it has been replaced for a while. */
  hold(paths: readonly string[]): void {
    this.#retired.hold(paths, Date.now())
  }

  /**
   * Unlinks retired files whose grace is over.
   * @returns files removed
   */
  async unlinkRetired(now = Date.now()): Promise<number> {
    const paths = this.#retired.takeOver(now)
    await this.unlink(paths)
    return paths.length
  }

  /**
   * Removes what a killed process left: staged files, and files that no manifest row names and that are older than
   * this process, since a younger one may be on its way into the manifest. Those that a read copy names are retired.
   * @param olderThan Unix milliseconds
   * @returns files removed
   */
  async sweep(olderThan: number): Promise<number> {
    const named = new Set(
      (await this.#database.plain({ path: LAKE_FILE.path }, sql`SELECT path FROM lake_file`)).map(row => row.path),
    )
    let removed = 0
    for (const folder of [STAGING, ...this.#dayFolders()]) {
      for (const name of readdirSync(join(this.#folder, folder))) {
        const path = `${folder}/${name}`
        const absolute = join(this.#folder, path)
        if (named.has(path) || statSync(absolute).mtimeMs >= olderThan) continue
        if (this.#retired.isHeld(path)) {
          this.retire([path])
          continue
        }
        rmSync(absolute)
        removed++
      }
    }
    return removed
  }

  #dayFolders(): string[] {
    return readdirSync(join(this.#folder, FLOWS), { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => `${FLOWS}/${entry.name}`)
  }

  /** Makes a file or folder durable; a failure is final, because a second sync may report success for lost pages. */
  async sync(path: string): Promise<void> {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } catch (error) {
      throw this.#database.fail(error)
    } finally {
      await handle.close()
    }
  }
}

/** SHA-256 of a file, hexadecimal. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash)
  return hash.digest('hex')
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
