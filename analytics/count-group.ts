import { CLOCK_AHEAD_SECONDS_MAX, DAYS_PER_UPLOAD_MAX } from '../schemas/batch.ts'
import { LAKE_FILE, type RECEIPT, RECEIPT_STATES } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import type { ListenedSpan } from '../schemas/coverage.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { addSpans } from './coverage.ts'
import type { Database, Session } from './database.ts'
import type { Geography } from './geography.ts'
import { FlowGroup, flowsOfDay, notWaiting, refused } from './group-flows.ts'
import { insertRows } from './insert-rows.ts'
import type { Lake, LakeFile } from './lake.ts'
import { findOverlaps } from './overlaps.ts'
import { addReceiptKeys } from './receipt-key.ts'
import { findContent, findReceiptRow, receiptState } from './receipts.ts'
import { addRollups } from './rollup.ts'
import type { PlainRow } from './rows.ts'
import { addStagedSourceEconomies, stageSourceEconomies } from './source-economy.ts'
import { bind, sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'
import { tooManyDays } from './too-many-days.ts'

/**
 * From parsed uploads to numbers. First everything that takes time, beside the writers: load, Parquet files, sums, new
 * sources. Then one short transaction that names the files and adds the rest: all or nothing.
 */

const DAY = DAY_SECONDS * MICROSECONDS
/** 2255: beyond it microseconds are no exact numbers; such a time is a broken clock. */
const INTERVAL_START_MAX = Number.MAX_SAFE_INTEGER

/** What no upload can hold: bounds the sums, so that one that lies cannot make them too large for a number. */
const PACKETS_PER_UPLOAD_MAX = 2 ** 34
const BYTES_PER_UPLOAD_MAX = 2 ** 44

const UPLOAD_SUM = {
  upload: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number in the group.' },
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Flows.' },
  packet_count: { type: 'float64', role: 'measure', sharing: 'withheld', doc: 'Packets.' },
  byte_count: { type: 'float64', role: 'measure', sharing: 'withheld', doc: 'Bytes.' },
  day_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'UTC days.' },
  interval_last: { type: 'text', role: 'measure', sharing: 'withheld', doc: 'Latest interval, microseconds.' },
  interval_first: { type: 'text', role: 'measure', sharing: 'withheld', doc: 'Earliest interval, microseconds.' },
} as const satisfies Table

const DAY_SUM = {
  day: LAKE_FILE.day,
  row_count: LAKE_FILE.row_count,
  packet_count: LAKE_FILE.packet_count,
} as const satisfies Table

interface CountingEngine {
  readonly database: Database
  readonly lake: Lake
  readonly geography: Geography
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
    group = await FlowGroup.open(session, engine.lake, counted)
    await checkUploads(session, counted, engine.nowMicros())
    const held = await findOverlaps(session, engine.lake, counted, group.accepted)
    for (const index of held.keys()) await group.exclude(index)
    files = await writeFiles(engine, session)
    await checkSums(session, files)
    await stageSourceEconomies(session, engine.geography)
    await database.transaction(async () => {
      await insertRows(session, 'lake_file', LAKE_FILE, files)
      await addRollups(session, 'group')
      await addStagedSourceEconomies(session)
      for (const [index, upload] of counted.entries()) {
        // The content of one that is held is not in the numbers, so its duplicates in the group wait with it.
        const original = counted.findIndex(other => isOriginal(other, upload))
        const overlaps = held.get(index) ?? held.get(original)
        if (overlaps) await holdUpload(session, upload, overlaps)
        else await commitUpload(session, upload, engine.nowMicros())
      }
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

/** What was loaded must be what the parsing child said, and of times that can be. */
async function checkUploads(session: Session, uploads: readonly ParsedUpload[], now: number): Promise<void> {
  const sums = await session.plain(
    UPLOAD_SUM,
    sql`SELECT upload, count(*) AS row_count, sum(packet_count::DOUBLE) AS packet_count, sum(byte_count::DOUBLE) AS byte_count,
      count(DISTINCT date_trunc('day', interval_start)) AS day_count,
      epoch_us(max(interval_start))::VARCHAR AS interval_last, epoch_us(min(interval_start))::VARCHAR AS interval_first
      FROM group_flow GROUP BY upload`,
  )
  const found = new Map(sums.map(row => [row.upload, row]))
  for (const [index, upload] of uploads.entries()) {
    const wrong = upload.batches.flatMap(({ metadata }) => metadata.spans).find(span => !isSpan(span, now))
    if (wrong)
      throw refused(upload, `listened from ${wrong.from} to ${wrong.to}, which is no span of time that can have passed`)
    const { row_count: flows, packet_count: packets } = found.get(index) ?? { row_count: 0, packet_count: 0 }
    const sumOf = (value: 'flows' | 'packets_kept') =>
      upload.batches.reduce((sum, { metadata }) => sum + metadata[value], 0)
    if (flows !== sumOf('flows')) throw refused(upload, `${flows} flows, ${sumOf('flows')} by its metadata`)
    if (packets !== sumOf('packets_kept')) {
      throw refused(upload, `${packets} packets in its flows, ${sumOf('packets_kept')} by its metadata`)
    }
  }
  for (const row of sums) {
    const upload = uploads[row.upload]!
    if (row.packet_count > PACKETS_PER_UPLOAD_MAX || row.byte_count > BYTES_PER_UPLOAD_MAX) {
      throw refused(upload, `${row.packet_count} packets of ${row.byte_count} bytes, more than can be`)
    }
    const [first, last] = [Number(row.interval_first), Number(row.interval_last)]
    if (first < 0 || last > INTERVAL_START_MAX)
      throw refused(upload, 'packets before 1970 or after 2255; set the clock')
    if (row.day_count > DAYS_PER_UPLOAD_MAX) {
      throw tooManyDays(upload, row.day_count, first / MICROSECONDS, last / MICROSECONDS)
    }
  }
}

/** A declared span is believed, so it must be one that a sensor can have listened to by now. */
function isSpan({ from, to, packets, basis }: ListenedSpan, now: number): boolean {
  if (![from, to, packets].every(value => Number.isSafeInteger(value) && value >= 0) || from >= to) return false
  return (
    basis === 'inferred' ||
    (to <= now + CLOCK_AHEAD_SECONDS_MAX * MICROSECONDS && to - from <= DAYS_PER_UPLOAD_MAX * DAY)
  )
}

async function writeFiles({ lake, nowMicros }: CountingEngine, session: Session): Promise<LakeFile[]> {
  const days = await session.plain(
    DAY_SUM,
    sql`SELECT date_trunc('day', interval_start)::TIMESTAMP AS day, count(*) AS row_count, sum(packet_count) AS packet_count
      FROM group_flow GROUP BY date_trunc('day', interval_start) ORDER BY day`,
  )
  const files: LakeFile[] = []
  try {
    for (const { day, ...expected } of days) {
      files.push(await lake.write(session, day, flowsOfDay(day), expected, nowMicros(), false))
    }
  } catch (error) {
    await lake.unlink(files.map(file => file.path))
    throw error
  }
  return files
}

/** What is added to the rollups must be the packets of the files. */
async function checkSums(session: Session, files: readonly LakeFile[]): Promise<void> {
  const expected = files.reduce((sum, { packet_count }) => sum + packet_count, 0)
  for (const sums of [sql`group_source_hour`, sql`group_traffic_hour`]) {
    const [row] = await session.plain(
      { packet_count: LAKE_FILE.packet_count },
      sql`SELECT coalesce(sum(packet_count::DOUBLE), 0)::UBIGINT AS packet_count FROM ${sums}`,
    )
    if (row!.packet_count !== expected) {
      throw new TelescopeError(
        'INTERNAL',
        `hourly sums of a group: ${row!.packet_count} packets, ${expected} in its flows`,
      )
    }
  }
}

async function commitUpload(session: Session, upload: ParsedUpload, nowMicros: number): Promise<void> {
  for (const { metadata } of upload.batches) await addSpans(session, upload.sensor, upload.sha256, metadata.spans)
  const { duplicate_of, error } = upload
  await settleReceipt(session, upload, {
    ...{ state: 'counted', counted_at: nowMicros, duplicate_of, overlaps_with: null },
    ...{ error_code: error?.code ?? null, error_message: error?.message ?? null },
  })
}

async function holdUpload(session: Session, upload: ParsedUpload, overlaps: readonly string[]): Promise<void> {
  await settleReceipt(session, upload, {
    ...{ state: 'held', counted_at: null, duplicate_of: null, overlaps_with: overlaps.join(',') },
    error_code: 'CAPTURE_OVERLAPS',
    error_message: `upload ${upload.sha256} holds traffic that ${overlaps.join(', ')} holds, too; accept it to count both, or withdraw one of them`,
  })
}

/** What becomes of a receipt that waited; what was read is written down whatever that is. */
async function settleReceipt(
  session: Session,
  upload: ParsedUpload,
  end: { state: 'counted' | 'held' } & Pick<
    PlainRow<typeof RECEIPT>,
    'counted_at' | 'duplicate_of' | 'overlaps_with' | 'error_code' | 'error_message'
  >,
): Promise<void> {
  const receipt = await findReceiptRow(session, upload.sensor, upload.sha256)
  if (receipt?.state !== RECEIPT_STATES.indexOf('received')) throw notWaiting(upload.sensor, upload.sha256)
  if (upload.content_sha256 !== upload.sha256) {
    await addReceiptKeys(session, [upload.content_sha256], receipt.received_at)
  }
  await session.run(
    sql`UPDATE receipt SET state = ${receiptState(end.state)}, counted_at = ${bind('timestamp_us', end.counted_at)},
      content_sha256 = ${bind('text', upload.content_sha256)}, duplicate_of = ${bind('text', end.duplicate_of)},
      overlaps_with = ${bind('text', end.overlaps_with)}, packet_count = ${bind('uint64', upload.packets_read)}, packet_kept_count = ${bind('uint64', upload.packets_kept)},
      drops = ${bind('text', JSON.stringify(upload.drops))}, first_packet = ${bind('timestamp_us', upload.first_packet)},
      last_packet = ${bind('timestamp_us', upload.last_packet)}, error_code = ${bind('text', end.error_code)},
      error_message = ${bind('text', end.error_message)} WHERE rowid = ${bind('int64', receipt.row_id)}`,
  )
}
