import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LAKE_FILE } from '../schemas/catalog.ts'
import type { physicalColumns } from '../schemas/column.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { formatTime } from '../schemas/time.ts'
import type { Database, Session } from './database.ts'
import type { Lake } from './lake.ts'
import {
  type Part,
  type PartPlan,
  partRows,
  planParts,
  readDayMarks,
  SOURCES,
  shownColumns,
} from './read-copy-parts.ts'
import { GRACE_MILLISECONDS } from './retired-files.ts'
import { sql } from './sql.ts'
import type { ReadCopyStep } from './storage.ts'

/**
 * What other programs may read while the hub runs: tables of the catalog as Parquet files, one a day, and the names of
 * the lake files, as `open.sql` for any DuckDB. Files are immutable; the lists that name them are replaced as a whole.
 * Withheld columns, tokens and the audit log are not in it.
 */

interface Listing {
  readonly made_at: string
  readonly parts: readonly Part[]
  readonly lake: readonly string[]
  /** What the listing before named, and until when (Unix milliseconds) somebody may still read it. */
  readonly previous: readonly { readonly until: number; readonly parts: string[]; readonly lake: string[] }[]
}

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
 * @param nowMicros the time that receipts are given
 * @throws STORAGE_FAILED, DISK_FULL
 */
export async function renewReadCopy(
  database: Database,
  lake: Lake,
  folder: string,
  nowMillis: number,
  nowMicros: number,
): Promise<ReadCopyStep> {
  if (!existsSync(join(folder, PARTS))) {
    mkdirSync(join(folder, PARTS), { recursive: true })
    for (const made of [join(folder, '..'), folder]) await lake.sync(made)
  }
  const before = readListing(folder)
  const known = (before?.parts ?? []).filter(({ file }) => existsSync(join(folder, PARTS, file)))
  // One transaction for all: the tables and the list of lake files are of one moment.
  const { parts, files, written } = await lake.read(() =>
    database.read(async session => {
      const days = await readDayMarks(session, nowMicros)
      const parts: Part[] = []
      let written = 0
      for (const name of Object.keys(SOURCES)) {
        const ofTable = known.filter(({ table }) => table === name)
        for (const { same, ...plan } of await planParts(session, name, ofTable, days)) {
          parts.push(same ?? { ...plan, file: await writePart(session, lake, folder, { ...plan, same }) })
          if (same === null) written++
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

async function writePart(session: Session, lake: Lake, folder: string, plan: PartPlan): Promise<string> {
  const file = `${plan.table}-${randomBytes(12).toString('hex')}.parquet`
  await lake.copyOut(session, partRows(plan), join(folder, PARTS, file))
  return file
}

/** Views by the names of the dictionary; the list of files stands in the view, so it never changes under a reader. */
function openScript(folder: string, lake: Lake, { made_at, parts, lake: files }: Listing): string {
  const views = Object.entries(SOURCES).map(([name, { table }]) => {
    const paths = parts.filter(part => part.table === name).map(({ file }) => join(folder, PARTS, file))
    return viewOf(name, shownColumns(table), paths)
  })
  const flows = files.map(path => lake.absolute(path))
  return [
    `-- Copy of ${made_at}. Read it again for a newer one: files that it names stay ${GRACE_MILLISECONDS / 60_000} minutes after that.`,
    ...views,
    viewOf('lake_flow', shownColumns(LAKE_FLOW), flows),
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
