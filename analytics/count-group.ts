import { LAKE_FILE } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { SENSOR_HOUR } from '../schemas/rollup.ts'
import { checkUploads, sumDays, type UploadDay } from './check-uploads.ts'
import { addSpans } from './coverage.ts'
import type { Database, Session } from './database.ts'
import type { Geography } from './geography.ts'
import { FlowGroup } from './group-flows.ts'
import { gatheredFlowsOfDay } from './group-views.ts'
import { insertRows } from './insert-rows.ts'
import type { KeptSpans } from './kept-spans.ts'
import type { KeptTable } from './kept-table.ts'
import type { Lake, LakeFile } from './lake.ts'
import { findOverlaps, type Overlap } from './overlaps.ts'
import { findContent, findWaitingRows } from './receipts.ts'
import { addRollups } from './rollup.ts'
import type { PlainRow } from './rows.ts'
import type { SensorRow } from './sensors.ts'
import { type Settled, settleReceipts } from './settle-receipts.ts'
import { addStagedSourceEconomies, stageSourceEconomies } from './source-economy.ts'
import { sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'
import type { UsualRates } from './usual-rates.ts'

/**
 * From parsed uploads to numbers. First everything that takes time, beside the writers: load, Parquet files, sums, new
 * sources. Then one short transaction that names the files and adds the rest: all or nothing.
 */

/** Whole files of which some are synced while another is hashed. */
const TAKEN_AT_ONCE = 4

const HOUR_SUM = {
  sensor: SENSOR_HOUR.sensor,
  bucket_start: SENSOR_HOUR.bucket_start,
  packet_count: SENSOR_HOUR.packet_count,
} as const satisfies Table
type HourSum = PlainRow<typeof HOUR_SUM>

interface CountingEngine {
  readonly database: Database
  readonly lake: Lake
  readonly geography: Geography
  readonly sensors: KeptTable<SensorRow>
  readonly spans: KeptSpans
  readonly usualRates: UsualRates
  readonly nowMicros: () => number
}

/** See Storage.countGroup; calls must not overlap. */
export async function countGroup(engine: CountingEngine, uploads: readonly ParsedUpload[]): Promise<void> {
  if (uploads.length === 0) return
  const { database } = engine
  const session = await database.session()
  let group: FlowGroup | null = null
  let files: LakeFile[] = []
  try {
    const counted = await markDuplicates(session, uploads)
    const receipts = await findWaitingRows(session, counted)
    group = await FlowGroup.open(
      { session, lake: engine.lake, sensors: await engine.sensors.rows() },
      counted,
      receipts,
    )
    const days = await sumDays(session, counted)
    checkUploads(counted, days, engine.nowMicros())
    const held = await findOverlaps(session, engine.lake, counted, group.accepted)
    for (const index of held.keys()) await group.exclude(index)
    files = await writeFiles(engine, session, group, days, held)
    const hours = await checkSums(session, files)
    await stageSourceEconomies(session, engine.geography)
    await database.transaction(async () => {
      await insertRows(session, 'lake_file', LAKE_FILE, files)
      await addRollups(session, 'group')
      await addStagedSourceEconomies(session)
      session.afterCommit(() => engine.usualRates.add(hours))
      await settle(engine, session, counted, held)
    }, session)
  } catch (error) {
    // A failed commit may have reached the disk: then its files are left for the sweep at the next start to judge.
    const fatal = error instanceof TelescopeError && error.details['fatal'] === true
    if (!fatal) await engine.lake.unlink(files.map(file => file.path))
    throw error
  } finally {
    await group?.close()
    // Its temporary tables go with it.
    session.close()
  }
}

/** Content that was counted before, or stands twice in the group, is counted once: the promise of a receipt. */
async function markDuplicates(session: Session, uploads: readonly ParsedUpload[]): Promise<ParsedUpload[]> {
  const first = new Map<string, string>()
  const counted: ParsedUpload[] = []
  for (const upload of uploads) {
    const content = `${upload.sensor} ${upload.content_sha256}`
    const earlier =
      upload.duplicate_of ??
      first.get(content) ??
      (await findContent(session, upload.sensor, upload.content_sha256))?.sha256 ??
      null
    if (earlier === null) first.set(content, upload.sha256)
    counted.push(earlier === null ? upload : { ...upload, duplicate_of: earlier, batches: [] })
  }
  return counted
}

function isOriginal(other: ParsedUpload, duplicate: ParsedUpload): boolean {
  return other.sensor === duplicate.sensor && other.sha256 === duplicate.duplicate_of
}

/** Whole files as they are, and what is left of a day as one file. */
async function writeFiles(
  { lake, nowMicros }: CountingEngine,
  session: Session,
  group: FlowGroup,
  sums: readonly UploadDay[],
  held: ReadonlyMap<number, Overlap>,
): Promise<LakeFile[]> {
  const whole = group.whole.filter(({ upload }) => !held.has(upload))
  for (const file of whole) await group.checkWhole(file)
  const days = new Map<number, { row_count: number; packet_count: number }>()
  const add = (day: number, rows: number, packets: number): void => {
    const { row_count, packet_count } = days.get(day) ?? { row_count: 0, packet_count: 0 }
    days.set(day, { row_count: row_count + rows, packet_count: packet_count + packets })
  }
  for (const { upload, day, row_count, packet_count } of sums) if (!held.has(upload)) add(day, row_count, packet_count)
  for (const { day, row_count, packet_count } of whole) add(day, -row_count, -packet_count)
  const files: LakeFile[] = []
  try {
    for (const [day, counts] of [...days].sort(([a], [b]) => a - b)) {
      if (counts.row_count === 0) continue
      files.push(await lake.write(session, day, gatheredFlowsOfDay(day), counts, nowMicros(), false))
    }
    // Last, since the group cannot be read any more when they have their names.
    for (let first = 0; first < whole.length; first += TAKEN_AT_ONCE) {
      const taken = await Promise.allSettled(
        whole.slice(first, first + TAKEN_AT_ONCE).map(({ day, path, row_count, packet_count }) => {
          return lake.takeIn(session, day, path, { row_count, packet_count }, nowMicros(), false)
        }),
      )
      files.push(...taken.flatMap(result => (result.status === 'fulfilled' ? result.value : [])))
      const failed = taken.find(result => result.status === 'rejected')
      if (failed) throw failed.reason
    }
  } catch (error) {
    await lake.unlink(files.map(file => file.path))
    throw error
  }
  return files
}

/**
 * What is added to the rollups must be the packets of the files.
 * @returns packets of each sensor and hour
 */
async function checkSums(session: Session, files: readonly LakeFile[]): Promise<HourSum[]> {
  const expected = files.reduce((sum, { packet_count }) => sum + packet_count, 0)
  const [sources] = await session.plain(
    { packet_count: LAKE_FILE.packet_count },
    sql`SELECT coalesce(sum(packet_count::DOUBLE), 0)::UBIGINT AS packet_count FROM group_source_hour`,
  )
  const hours = await session.plain(
    HOUR_SUM,
    sql`SELECT sensor, bucket_start, sum(packet_count::DOUBLE)::UBIGINT AS packet_count FROM group_traffic_hour
      GROUP BY sensor, bucket_start`,
  )
  for (const found of [sources!.packet_count, hours.reduce((sum, { packet_count }) => sum + packet_count, 0)]) {
    if (found === expected) continue
    throw new TelescopeError('INTERNAL', `hourly sums of a group: ${found} packets, ${expected} in its flows`)
  }
  return hours
}

/** Coverage and receipts of a group, within the transaction of the session. */
async function settle(
  engine: CountingEngine,
  session: Session,
  uploads: readonly ParsedUpload[],
  held: ReadonlyMap<number, Overlap>,
): Promise<void> {
  const nowMicros = engine.nowMicros()
  const settled = uploads.map((upload, index): Settled => {
    // The content of one that is held is not in the numbers, so its duplicates in the group wait with it.
    const original = uploads.findIndex(other => isOriginal(other, upload))
    const overlap = held.get(index) ?? held.get(original)
    return overlap
      ? { upload, counted_at: null, duplicate_of: null, overlap }
      : { upload, counted_at: nowMicros, duplicate_of: upload.duplicate_of, overlap: null }
  })
  const spans = settled
    .filter(({ counted_at }) => counted_at !== null)
    .map(({ upload: { sensor, sha256, batches } }) => ({
      ...{ sensor, sha256 },
      spans: batches.flatMap(({ metadata }) => metadata.spans),
    }))
  await addSpans(session, spans)
  session.afterCommit(() => engine.spans.add(spans))
  await settleReceipts(session, settled)
}
