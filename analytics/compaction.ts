import { LAKE_FILE } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { DamagedFiles } from './damaged-files.ts'
import type { Database, Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import type { Lake, LakeFile } from './lake.ts'
import { lakeFlows } from './lake-flows.ts'
import { bind, bindList, columnNames, type Sql, sql } from './sql.ts'
import type { CompactionStep } from './storage.ts'

/**
 * Small lake files of a day become few large ones, and all are sorted. A step reads some files of one day, writes their rows as one new
 * file, and swaps the rows of the manifest in one short transaction; killed anywhere, the old files are the data or
 * the new one is. A file that is not as it was written is in no step.
 */

/** Rows of a merged file and so of one step: some seconds of work, and a sort that spills little. */
const MERGED_ROWS_MAX = 6_000_000
/** A file that is large enough is never written again; of smaller ones any two fit into one step. */
const SMALL_ROWS_MAX = MERGED_ROWS_MAX / 2
/** Days looked at for one step. */
const DAYS_PER_STEP_MAX = 64
/** Files read in one step. */
const FILES_PER_STEP_MAX = 256
/** On a day that still gets files: so many are worth a merge. */
const FILES_MIN = 16
/**
 * On such a day an unsorted file of so many rows waits: it is read well enough, and to sort it would take the processor
 * from counting.
 */
const WAITING_ROWS_MIN = 65_536
/** A day that has got no file for so long is merged whatever the number of its files, microseconds. */
const QUIET = 6 * HOUR_SECONDS * MICROSECONDS

const CONTENT = {
  row_count: LAKE_FILE.row_count,
  digest: { type: 'text', role: 'measure', sharing: 'withheld', doc: 'Sum of a hash of each row.' },
} as const satisfies Table

/**
 * Does one step, if any is worth it.
 * @param signal ends a step that is under way: it throws, and nothing has happened
 * @returns null when there was nothing to do, or when the files changed meanwhile
 * @throws STORAGE_FAILED, DISK_FULL; the former once for files that are found to be damaged, then without them
 */
export async function compactStep(
  database: Database,
  lake: Lake,
  damaged: DamagedFiles,
  nowMicros: number,
  signal?: AbortSignal,
): Promise<CompactionStep | null> {
  const small = sql`(row_count <= ${bind('uint64', SMALL_ROWS_MAX)} OR is_sorted = false) AND ${damaged.notKnown}`
  const files = await database.plain(
    LAKE_FILE,
    sql`SELECT * FROM lake_file WHERE ${small} AND day IN (SELECT day FROM lake_file WHERE ${small} GROUP BY day
        HAVING count(*) FILTER (is_sorted IS DISTINCT FROM false OR row_count < ${bind('uint64', WAITING_ROWS_MIN)}) >= ${bind('int64', FILES_MIN)} OR ((count(*) >= 2 OR NOT bool_and(is_sorted IS DISTINCT FROM false)) AND max(created_at) <= ${bind('timestamp_us', nowMicros - QUIET)})
          OR bool_or(is_sorted = false AND row_count >= ${bind('uint64', WAITING_ROWS_MIN)} AND created_at <= ${bind('timestamp_us', nowMicros - QUIET)})
        ORDER BY count(*) DESC LIMIT ${bind('int64', DAYS_PER_STEP_MAX)})`,
  )
  const chosen = chooseFiles(files, nowMicros)
  if (chosen === null) return null
  const session = await database.session()
  const interrupt = () => session.connection.interrupt()
  signal?.addEventListener('abort', interrupt)
  let merged: LakeFile | null = null
  try {
    signal?.throwIfAborted()
    // The old files cannot go while they are read: whoever drops the day waits for this.
    await lake.read(async () => {
      await damaged.check(session, chosen)
      merged = await writeMerged(session, lake, chosen, nowMicros)
      await checkSameRows(session, lake, chosen, merged)
    })
    if (!(await swap(database, chosen, merged!))) {
      await lake.unlink([merged!.path])
      return null
    }
  } catch (error) {
    // A commit that failed may have reached the disk: then the file is left for the sweep at the next start to judge.
    const fatal = error instanceof TelescopeError && error.details['fatal'] === true
    if (merged !== null && !fatal) await lake.unlink([(merged as LakeFile).path])
    throw error
  } finally {
    signal?.removeEventListener('abort', interrupt)
    session.close()
  }
  lake.retire(chosen.map(({ path }) => path))
  return { day: chosen[0]!.day / MICROSECONDS, files: chosen.length, rows: sumOf(chosen, 'row_count') }
}

/**
 * The small files of one day that are worth a merge: from the smallest upwards, as many as one step may hold. None of them
 * is larger than all smaller ones together, so that a row is written again about as often as the files double, and
 * not with each group that is counted. The day with most files comes first; when there is none left, a file that is not
 * sorted yet is written again by itself: of a quiet day any, however large it is, else a large one that is old itself.
 */
export function chooseFiles(files: readonly LakeFile[], nowMicros: number): LakeFile[] | null {
  const days = new Map<number, LakeFile[]>()
  for (const file of files) days.set(file.day, [...(days.get(file.day) ?? []), file])
  const isOld = ({ created_at }: LakeFile) => created_at <= nowMicros - QUIET
  const isQuietDay = (ofDay: readonly LakeFile[]) => ofDay.every(isOld)
  const choices = [...days.values()].map(ofDay => {
    const isQuiet = isQuietDay(ofDay)
    const chosen = smallest(
      ofDay.filter(file => file.row_count <= SMALL_ROWS_MAX && (isQuiet || !(isUnsorted(file) && isLarge(file)))),
    )
    if (!isQuiet) while (chosen.length > 1 && isLargerThanRest(chosen)) chosen.pop()
    return chosen.length >= (isQuiet ? 2 : FILES_MIN) ? chosen : []
  })
  const best = choices.reduce((a, b) => (b.length > a.length ? b : a), [])
  if (best.length > 0) return best
  const unsorted = [...days.values()]
    .flatMap(ofDay => (isQuietDay(ofDay) ? ofDay : ofDay.filter(file => isLarge(file) && isOld(file))))
    .find(isUnsorted)
  return unsorted ? [unsorted] : null
}

function isUnsorted({ is_sorted }: LakeFile): boolean {
  return is_sorted === false
}

function isLarge({ row_count }: LakeFile): boolean {
  return row_count >= WAITING_ROWS_MIN
}

function smallest(files: readonly LakeFile[]): LakeFile[] {
  let rows = 0
  return files
    .toSorted((a, b) => a.row_count - b.row_count || (a.path < b.path ? -1 : 1))
    .slice(0, FILES_PER_STEP_MAX)
    .filter(file => {
      rows += file.row_count
      return rows <= MERGED_ROWS_MAX
    })
}

function isLargerThanRest(files: readonly LakeFile[]): boolean {
  return files.at(-1)!.row_count > sumOf(files.slice(0, -1), 'row_count')
}

function sumOf(files: readonly LakeFile[], column: 'row_count' | 'packet_count'): number {
  return files.reduce((sum, file) => sum + file[column], 0)
}

function writeMerged(session: Session, lake: Lake, chosen: readonly LakeFile[], nowMicros: number): Promise<LakeFile> {
  const flows = lakeFlows(chosen.map(({ path }) => lake.absolute(path)))
  const expected = { row_count: sumOf(chosen, 'row_count'), packet_count: sumOf(chosen, 'packet_count') }
  const rows = sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM (${flows}) AS merged`
  return lake.write(session, chosen[0]!.day, rows, expected, nowMicros)
}

/** What replaces files must hold their very rows, or they would be gone: compared before anything is swapped. */
async function checkSameRows(
  session: Session,
  lake: Lake,
  chosen: readonly LakeFile[],
  { path }: LakeFile,
): Promise<void> {
  const before = await contentOf(session, lakeFlows(chosen.map(file => lake.absolute(file.path))))
  const after = await contentOf(session, lakeFlows([lake.absolute(path)]))
  if (before.row_count === after.row_count && before.digest === after.digest) return
  throw new TelescopeError(
    'STORAGE_FAILED',
    `lake file ${path}: ${after.row_count} rows that are not the ${before.row_count} of the files it was made from; those stay`,
    { fatal: false, path },
  )
}

async function contentOf(session: Session, flows: Sql) {
  const names = columnNames(physicalColumns(LAKE_FLOW))
  const [content] = await session.plain(
    CONTENT,
    sql`SELECT count(*) AS row_count, coalesce(sum(hash(${names})::HUGEINT), 0)::VARCHAR AS digest FROM (${flows}) AS content`,
  )
  return content!
}

/** @returns false when one of the files is data no more: then the merged one must not become any */
async function swap(database: Database, chosen: readonly LakeFile[], merged: LakeFile): Promise<boolean> {
  const paths = bindList(
    'text',
    chosen.map(({ path }) => path),
  )
  return await database.transaction(async session => {
    const named = await session.plain(
      { path: LAKE_FILE.path },
      sql`SELECT path FROM lake_file WHERE path IN (SELECT unnest(${paths}))`,
    )
    if (named.length !== chosen.length) return false
    await session.run(sql`DELETE FROM lake_file WHERE path IN (SELECT unnest(${paths}))`)
    await insertRows(session, 'lake_file', LAKE_FILE, [merged])
    return true
  })
}
