import { LAKE_FILE, RECEIPT_STATES } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import type { ListenedSpan } from '../schemas/coverage.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { addSpans } from './coverage.ts'
import type { Database, Session } from './database.ts'
import type { Geography } from './geography.ts'
import { insertRows } from './insert-rows.ts'
import type { Lake, LakeFile } from './lake.ts'
import { BatchLoader, GROUP_FLOW_COLUMNS } from './load.ts'
import { findContent, findReceiptRow, receiptState } from './receipts.ts'
import { addStagedRollups, stageRollups } from './rollup.ts'
import { readSensors } from './sensors.ts'
import { addStagedSourceEconomies, stageSourceEconomies } from './source-economy.ts'
import { bind, columnDefinitions, columnNames, columnType, join, type Sql, sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/**
 * From parsed uploads to numbers. First everything that takes time, beside the writers: load, Parquet files, sums, new
 * sources. Then one short transaction that names the files and adds the rest: all or nothing.
 */

/**
 * Days that one upload may touch: each becomes a file, and a capture with a broken clock could otherwise make a
 * million of them. More than a year of a small sensor fits.
 */
const DAYS_PER_UPLOAD_MAX = 400
const DAY = DAY_SECONDS * MICROSECONDS
/** A sensor's clock may be ahead by this much, microseconds. */
const CLOCK_MARGIN = DAY
/** 2255: beyond it microseconds are no exact numbers; such a time is a broken clock. */
const INTERVAL_START_MAX = Number.MAX_SAFE_INTEGER

/** What no upload can hold: bounds the sums, so that one that lies cannot make them too large for a number. */
const PACKETS_PER_UPLOAD_MAX = 2 ** 34
const BYTES_PER_UPLOAD_MAX = 2 ** 44

const GROUP_FLOWS = sql`SELECT sensor, telescope_epoch, ${columnNames(
  GROUP_FLOW_COLUMNS.slice(1),
)} FROM group_flow JOIN group_upload USING (upload)`

const GROUP_UPLOAD = {
  upload: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number in the group.' },
  sensor: LAKE_FLOW.sensor,
  telescope_epoch: LAKE_FLOW.telescope_epoch,
} as const satisfies Table

const UPLOAD_SUM = {
  upload: GROUP_UPLOAD.upload,
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
  let files: LakeFile[] = []
  try {
    const counted = await markDuplicates(session, uploads)
    await loadGroup(session, counted)
    await checkUploads(session, counted, engine.nowMicros())
    files = await writeFiles(engine, session)
    await stageRollups(session, GROUP_FLOWS)
    await stageSourceEconomies(session, engine.geography)
    await database.transaction(async () => {
      await insertRows(session, 'lake_file', LAKE_FILE, files)
      await addStagedRollups(session)
      await addStagedSourceEconomies(session)
      for (const upload of counted) await commitUpload(session, upload, engine.nowMicros())
    }, session)
  } catch (error) {
    // A failed commit may have reached the disk: then its files are left for the sweep at the next start to judge.
    const fatal = error instanceof TelescopeError && error.details['fatal'] === true
    if (!fatal) await engine.lake.unlink(files.map(file => file.path))
    throw error
  } finally {
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

async function loadGroup(session: Session, uploads: readonly ParsedUpload[]): Promise<void> {
  const sensors = new Map((await readSensors(session)).map(row => [row.sensor, row]))
  const definitions = join(GROUP_FLOW_COLUMNS.map(columnType), ', ')
  await session.run(sql`CREATE OR REPLACE TEMP TABLE group_flow (${definitions})`)
  await session.run(sql`CREATE OR REPLACE TEMP TABLE group_upload (${columnDefinitions(GROUP_UPLOAD)})`)
  const numbered = uploads.map(({ sensor, batches }, upload) => {
    const known = sensors.get(sensor)
    if (!known) throw unknownSensor(sensor)
    return { upload, sensor, telescope_epoch: batches[0]?.metadata.telescope_epoch ?? known.telescope_epoch }
  })
  await insertRows(session, 'group_upload', GROUP_UPLOAD, numbered)
  const loader = await BatchLoader.open(session, 'group_flow')
  for (const [index, upload] of uploads.entries()) {
    for (const { path, metadata } of upload.batches) {
      const rows = await blame(upload, () => loader.load(path, index))
      if (rows !== metadata.flows) throw refused(upload, `${rows} flows in a batch that says ${metadata.flows}`)
    }
  }
  loader.close()
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
  const packets = new Map(sums.map(row => [row.upload, row.packet_count]))
  for (const [index, upload] of uploads.entries()) {
    const wrong = upload.batches.flatMap(({ metadata }) => metadata.spans).find(span => !isSpan(span, now))
    if (wrong)
      throw refused(upload, `listened from ${wrong.from} to ${wrong.to}, which is no span of time that can have passed`)
    const expected = upload.batches.reduce((sum, { metadata }) => sum + metadata.packets_kept, 0)
    const actual = packets.get(index) ?? 0
    if (actual !== expected) throw refused(upload, `${actual} packets in its flows, ${expected} in its metadata`)
  }
  for (const row of sums) {
    const upload = uploads[row.upload]!
    if (row.packet_count > PACKETS_PER_UPLOAD_MAX || row.byte_count > BYTES_PER_UPLOAD_MAX) {
      throw refused(upload, `${row.packet_count} packets of ${row.byte_count} bytes, more than can be`)
    }
    if (row.day_count > DAYS_PER_UPLOAD_MAX) {
      throw refused(upload, `packets of ${row.day_count} days, at most ${DAYS_PER_UPLOAD_MAX} are taken; set the clock`)
    }
    if (Number(row.interval_first) < 0 || Number(row.interval_last) > INTERVAL_START_MAX) {
      throw refused(upload, 'packets before 1970 or after 2255; set the clock')
    }
  }
}

/** A declared span is believed, so it must be one that a sensor can have listened to by now. */
function isSpan({ from, to, packets, basis }: ListenedSpan, now: number): boolean {
  if (![from, to, packets].every(value => Number.isSafeInteger(value) && value >= 0) || from >= to) return false
  return basis === 'inferred' || (to <= now + CLOCK_MARGIN && to - from <= DAYS_PER_UPLOAD_MAX * DAY)
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
      files.push(await lake.write(session, day, flowsOfDay(day), expected, nowMicros()))
    }
  } catch (error) {
    await lake.unlink(files.map(file => file.path))
    throw error
  }
  return files
}

function flowsOfDay(day: number): Sql {
  const start = sql`${bind('timestamp_us', day)}`
  const end = sql`${bind('timestamp_us', day + DAY)}`
  return sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM (${GROUP_FLOWS}) AS flows
    WHERE interval_start >= ${start} AND interval_start < ${end}`
}

async function commitUpload(session: Session, upload: ParsedUpload, nowMicros: number): Promise<void> {
  for (const { metadata } of upload.batches) await addSpans(session, upload.sensor, upload.sha256, metadata.spans)
  const receipt = await findReceiptRow(session, upload.sensor, upload.sha256)
  if (receipt?.state !== RECEIPT_STATES.indexOf('received')) {
    throw new TelescopeError(
      'INTERNAL',
      `upload ${upload.sensor}/${upload.sha256}: no receipt that waits to be counted; the group was not counted`,
      { sensor: upload.sensor, sha256: upload.sha256 },
    )
  }
  await session.run(
    sql`UPDATE receipt SET state = ${receiptState('counted')}, counted_at = ${bind('timestamp_us', nowMicros)},
      content_sha256 = ${bind('text', upload.content_sha256)}, duplicate_of = ${bind('text', upload.duplicate_of)},
      packet_count = ${bind('uint64', upload.packets_read)}, packet_kept_count = ${bind('uint64', upload.packets_kept)},
      drops = ${bind('text', JSON.stringify(upload.drops))}, first_packet = ${bind('timestamp_us', upload.first_packet)},
      last_packet = ${bind('timestamp_us', upload.last_packet)}, error_code = ${bind('text', upload.error?.code ?? null)},
      error_message = ${bind('text', upload.error?.message ?? null)} WHERE rowid = ${bind('int64', receipt.row_id)}`,
  )
}

/** Names the upload in an error about its batch, so that the hub can take that one out of the group. */
async function blame<T>(upload: ParsedUpload, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TelescopeError) || error.code !== 'BATCH_INVALID') throw error
    throw refused(upload, error.message, error)
  }
}

function refused(upload: ParsedUpload, message: string, cause?: unknown): TelescopeError {
  const { sensor, sha256 } = upload
  return new TelescopeError('BATCH_INVALID', `upload ${sensor}/${sha256}: ${message}`, { sensor, sha256 }, cause)
}

function unknownSensor(sensor: string): TelescopeError {
  return new TelescopeError('SENSOR_UNKNOWN', `sensor "${sensor}": none of this name is registered`, { sensor })
}
