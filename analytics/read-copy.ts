import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { COVERAGE_SPAN, LAKE_FILE, RECEIPT, SENSOR, SOURCE_ECONOMY } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { DAY_SECONDS, formatTime, MICROSECONDS } from '../schemas/time.ts'
import type { Database, Session } from './database.ts'
import type { Lake } from './lake.ts'
import { GRACE_MILLISECONDS } from './retired-files.ts'
import { ROLLUPS } from './rollup.ts'
import { bind, columnNames, identifier, type Sql, sql } from './sql.ts'
import type { ReadCopyStep } from './storage.ts'

/**
 * What other programs may read while the hub runs: tables of the catalog as Parquet files, one a day, and the names of
 * the lake files, as `open.sql` for any DuckDB. Files are immutable; the lists that name them are replaced as a whole.
 * Withheld columns, tokens and the audit log are not in it.
 */

/** `time` parts a table into days, so that only days that changed are written again. */
const TABLES: Readonly<Record<string, { readonly table: Table; readonly time: Sql | null }>> = {
  sensor: { table: SENSOR, time: null },
  receipt: { table: RECEIPT, time: sql`received_at` },
  coverage_span: { table: COVERAGE_SPAN, time: sql`listened_from` },
  source_economy: { table: SOURCE_ECONOMY, time: null },
  ...Object.fromEntries(Object.entries(ROLLUPS).map(([name, table]) => [name, { table, time: sql`bucket_start` }])),
}

interface Part {
  readonly table: string
  /** Unix microseconds of the start of the UTC day; null for a table in one part. */
  readonly day: number | null
  /** Changes with the rows. */
  readonly mark: string
  /** Name in the folder of parts. */
  readonly file: string
}

interface Listing {
  readonly made_at: string
  readonly parts: readonly Part[]
  readonly lake: readonly string[]
  /** What the listing before named, and until when (Unix milliseconds) somebody may still read it. */
  readonly previous: readonly { readonly until: number; readonly parts: string[]; readonly lake: string[] }[]
}

const MARK = {
  day: { type: 'timestamp_us', role: 'key', sharing: 'withheld', doc: 'Day of the part.' },
  mark: { type: 'text', role: 'measure', sharing: 'withheld', doc: 'Number of rows and sum of their hashes.' },
} as const satisfies Table

const LISTING = 'listing.json'
const SCRIPT = 'open.sql'
const PARTS = 'parts'

/** Lake files that a read copy on disk names, to be held from the start. */
export function heldByReadCopy(folder: string): string[] {
  const listing = readListing(folder)
  return listing === null ? [] : [...listing.lake, ...listing.previous.flatMap(({ lake }) => lake)]
}

/**
 * Renews the read copy when anything changed.
 * @param folder made when missing
 * @param nowMillis real time: what was replaced stays readable for a while
 * @throws STORAGE_FAILED, DISK_FULL
 */
export async function renewReadCopy(
  database: Database,
  lake: Lake,
  folder: string,
  nowMillis: number,
): Promise<ReadCopyStep> {
  if (!existsSync(join(folder, PARTS))) {
    mkdirSync(join(folder, PARTS), { recursive: true })
    for (const made of [join(folder, '..'), folder]) await lake.sync(made)
  }
  const before = readListing(folder)
  const known = new Map(before?.parts.map(part => [keyOf(part), part]))
  // One transaction for all: the tables and the list of lake files are of one moment.
  const { parts, files, written } = await lake.read(() =>
    database.read(async session => {
      const parts: Part[] = []
      let written = 0
      for (const [table, source] of Object.entries(TABLES)) {
        for (const { day, mark } of await readMarks(session, table, source)) {
          const part = { table, day: source.time === null ? null : day, mark }
          const same = known.get(keyOf(part))
          if (same?.mark === mark && existsSync(join(folder, PARTS, same.file))) parts.push(same)
          else {
            parts.push({ ...part, file: await writePart(session, lake, folder, table, source, day) })
            written++
          }
        }
      }
      const named = await session.plain({ path: LAKE_FILE.path }, sql`SELECT path FROM lake_file ORDER BY path`)
      return { parts, files: named.map(({ path }) => path), written }
    }),
  )
  const isSame = before !== null && written === 0 && parts.length === before.parts.length && same(files, before.lake)
  if (isSame) {
    removeUnnamed(folder, before, nowMillis)
    return { changed: false, parts_written: 0, lake_files: files.length }
  }
  if (written > 0) await lake.sync(join(folder, PARTS))
  const replaced = before && {
    until: nowMillis + GRACE_MILLISECONDS,
    parts: before.parts.map(({ file }) => file),
    lake: [...before.lake],
  }
  const listing: Listing = {
    made_at: formatTime(Math.floor(nowMillis / 1000)),
    parts,
    lake: files,
    previous: [...(replaced ? [replaced] : []), ...(before?.previous ?? [])].filter(({ until }) => until > nowMillis),
  }
  // The listing first: it keeps the files of both, whichever of the two scripts stands after a crash.
  await replaceFile(lake, folder, LISTING, `${JSON.stringify(listing)}\n`)
  lake.hold(files)
  await replaceFile(lake, folder, SCRIPT, openScript(folder, lake, listing))
  removeUnnamed(folder, listing, nowMillis)
  return { changed: true, parts_written: written, lake_files: files.length }
}

async function readMarks(session: Session, name: string, { table, time }: (typeof TABLES)[string]) {
  const day = time === null ? sql`'epoch'::TIMESTAMP` : sql`date_trunc('day', ${time})::TIMESTAMP`
  return await session.plain(
    MARK,
    sql`SELECT ${day} AS day, count(*)::VARCHAR || ' ' || sum(hash(${columnNames(shown(table))})::HUGEINT)::VARCHAR AS mark
      FROM ${identifier(name)} GROUP BY ${day} ORDER BY day`,
  )
}

async function writePart(
  session: Session,
  lake: Lake,
  folder: string,
  name: string,
  { table, time }: (typeof TABLES)[string],
  day: number,
): Promise<string> {
  const file = `${name}-${randomBytes(12).toString('hex')}.parquet`
  const ofDay =
    time === null
      ? sql`true`
      : sql`${time} >= ${bind('timestamp_us', day)} AND ${time} < ${bind('timestamp_us', day + DAY_SECONDS * MICROSECONDS)}`
  const rows = sql`SELECT ${columnNames(shown(table))} FROM ${identifier(name)} WHERE ${ofDay}`
  await lake.copyOut(session, rows, join(folder, PARTS, file))
  return file
}

/** Views by the names of the dictionary; the list of files stands in the view, so it never changes under a reader. */
function openScript(folder: string, lake: Lake, { made_at, parts, lake: files }: Listing): string {
  const views = Object.entries(TABLES).map(([name, { table }]) => {
    const paths = parts.filter(part => part.table === name).map(({ file }) => join(folder, PARTS, file))
    return viewOf(name, shown(table), paths)
  })
  const flows = files.map(path => lake.absolute(path))
  return [
    `-- Copy of ${made_at}. Read it again for a newer one: files that it names stay ${GRACE_MILLISECONDS / 60_000} minutes after that.`,
    ...views,
    viewOf('lake_flow', shown(LAKE_FLOW), flows),
    '',
  ].join('\n')
}

function viewOf(name: string, columns: ReturnType<typeof physicalColumns>, paths: readonly string[]): string {
  const names = columns.map(column => column.name).join(', ')
  const list = paths.map(path => `'${path.replaceAll("'", "''")}'`).join(', ')
  const nothing = columns.map(column => `NULL AS ${column.name}`).join(', ')
  const source =
    paths.length > 0 ? `${names} FROM read_parquet([${list}], union_by_name = true)` : `${nothing} WHERE false`
  return `CREATE OR REPLACE TEMP VIEW ${name} AS SELECT ${source};`
}

function shown(table: Table) {
  return physicalColumns(
    Object.fromEntries(Object.entries(table).filter(([, column]) => column.sharing !== 'withheld')),
  )
}

function keyOf({ table, day }: Pick<Part, 'table' | 'day'>): string {
  return `${table} ${day}`
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/** Null when there is none, or one that cannot be read: then all is written anew. */
function readListing(folder: string): Listing | null {
  try {
    return JSON.parse(readFileSync(join(folder, LISTING), 'utf8')) as Listing
  } catch {
    return null
  }
}

async function replaceFile(lake: Lake, folder: string, name: string, text: string): Promise<void> {
  const written = join(folder, `${name}.tmp`)
  try {
    const handle = await open(written, 'w', 0o600)
    try {
      await handle.writeFile(text)
    } finally {
      await handle.close()
    }
    await lake.sync(written)
    await rename(written, join(folder, name))
    await lake.sync(folder)
  } catch (error) {
    await rm(written, { force: true })
    throw lake.wrap(error)
  }
}

/** Parts that neither this listing names nor one that somebody may still read. */
function removeUnnamed(folder: string, { parts, previous }: Listing, nowMillis: number): void {
  const named = new Set(parts.map(({ file }) => file))
  for (const { until, parts: files } of previous) if (until > nowMillis) for (const file of files) named.add(file)
  for (const file of readdirSync(join(folder, PARTS))) if (!named.has(file)) rmSync(join(folder, PARTS, file))
}
