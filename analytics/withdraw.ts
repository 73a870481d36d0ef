import {
  COVERAGE_SPAN,
  LAKE_FILE,
  RECEIPT,
  RECEIPT_STATES,
  type Receipt,
  type ReceiptState,
} from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { HOUR_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { appendAudit } from './audit.ts'
import { reopenDays } from './closed-days.ts'
import type { DamagedFiles } from './damaged-files.ts'
import type { Database, Session } from './database.ts'
import { lacksFlows } from './dropped-flows.ts'
import { insertRows } from './insert-rows.ts'
import type { Lake, LakeFile } from './lake.ts'
import { lakeFlows } from './lake-flows.ts'
import { noteReceiptChange } from './receipt-changes.ts'
import { findReceiptRow, readReceipt, receiptState } from './receipts.ts'
import { addRollups, deleteRollups, stageRollups } from './rollup.ts'
import { bind, bindList, columnNames, type Sql, sql } from './sql.ts'
import type { UploadDecision } from './storage.ts'
import { checkState } from './upload-state.ts'

/**
 * Takes an upload out of the numbers. First new files without its flows, and the sums of the hours that it touched;
 * then one transaction that changes manifest, rollups, coverage and receipt, and writes it down.
 */

const WITHDRAWN_FROM: readonly ReceiptState[] = ['counted', 'held', 'quarantined']

const HOUR = HOUR_SECONDS * MICROSECONDS

const REST = {
  row_count: LAKE_FILE.row_count,
  packet_count: LAKE_FILE.packet_count,
} as const satisfies Table
const RANGE = {
  first: { ...LAKE_FLOW.interval_start, nullable: true },
  last: { ...LAKE_FLOW.interval_start, nullable: true },
} as const satisfies Table
const HEIR = { sha256: LAKE_FILE.path } as const satisfies Table

interface WithdrawEngine {
  readonly database: Database
  readonly lake: Lake
  readonly damaged: DamagedFiles
  readonly nowMicros: () => number
}

/** What of the lake an upload takes with it. */
interface Removal {
  readonly old: readonly LakeFile[]
  readonly fresh: readonly LakeFile[]
  /** Hours touched, [since, until), Unix microseconds; null when it has no flows. */
  readonly hours: { readonly since: number; readonly until: number } | null
}
const NOTHING: Removal = { old: [], fresh: [], hours: null }

/** See Storage.withdrawUpload; must not overlap with anything else that changes lake files. */
export async function withdrawUpload(engine: WithdrawEngine, decision: UploadDecision): Promise<Receipt> {
  const { database, lake } = engine
  const { sensor, sha256, actor } = decision
  const session = await database.session()
  let removal = NOTHING
  try {
    const row = checkState(await findReceiptRow(session, sensor, sha256), decision, 'withdraw', WITHDRAWN_FROM)
    const hasFlows = row.duplicate_of === null && row.counted
    const heir = hasFlows ? await findHeir(session, sensor, sha256) : null
    if (hasFlows && heir === null) {
      if (row.upload_id === 0) throw unnumbered(sha256)
      if (row.first_packet !== null && row.last_packet !== null) {
        removal = await prepare(engine, session, {
          ...row,
          sensor,
          sha256,
          from: row.first_packet,
          to: row.last_packet,
        })
      }
    }
    const { old, fresh, hours } = removal
    const receipt = await database.transaction(async () => {
      const { row_id, received_at } = (await findReceiptRow(session, sensor, sha256))!
      await noteReceiptChange(session, received_at)
      await session.run(
        sql`DELETE FROM lake_file WHERE path IN (SELECT unnest(${bindList(
          'text',
          old.map(({ path }) => path),
        )}))`,
      )
      await insertRows(session, 'lake_file', LAKE_FILE, fresh)
      if (hours) {
        const ofSensor = sql`sensor = ${bind('text', sensor)}`
        await deleteRollups(session, timestamp(hours.since), timestamp(hours.until), ofSensor)
        await addRollups(session, 'staged')
      }
      if (heir === null) await removeSpans(session, sensor, sha256)
      else await bequeath(session, sensor, sha256, heir)
      await session.run(
        sql`UPDATE receipt SET state = ${receiptState('withdrawn')}, duplicate_of = ${bind('text', heir)}, overlaps_with = NULL,
          error_code = NULL, error_message = NULL WHERE rowid = ${bind('int64', row_id)}`,
      )
      await releaseHeld(session, sensor, sha256)
      const details = { state: RECEIPT_STATES[row.state]!, content_stays_in: heir }
      const note = { actor, action: 'upload withdraw', subject: `upload ${sensor}/${sha256}`, details }
      await appendAudit(session, note, engine.nowMicros())
      return (await readReceipt(session, sensor, sha256))!
    }, session)
    await lake.unlink(old.map(({ path }) => path))
    return receipt
  } catch (error) {
    // A failed commit may have reached the disk: then the sweep at the next start judges the files.
    const fatal = error instanceof TelescopeError && error.details['fatal'] === true
    if (!fatal) await lake.unlink(removal.fresh.map(({ path }) => path))
    throw error
  } finally {
    session.close()
  }
}

/** What was held only for what this upload holds is compared anew. */
async function releaseHeld(session: Session, sensor: string, sha256: string): Promise<void> {
  const released = await session.plain(
    { received_at: RECEIPT.received_at },
    sql`UPDATE receipt SET state = ${receiptState('received')}, overlaps_with = NULL, error_code = NULL, error_message = NULL
      WHERE sensor = ${bind('text', sensor)} AND state = ${receiptState('held')} AND contains(overlaps_with, ${bind('text', sha256)})
      RETURNING received_at`,
  )
  for (const { received_at } of released) await noteReceiptChange(session, received_at)
}

/** Writes files without the flows of the upload, and stages the sums of what is left of its hours. */
async function prepare(
  { lake, damaged, nowMicros }: WithdrawEngine,
  session: Session,
  upload: { sensor: string; sha256: string; upload_id: number; from: number; to: number },
): Promise<Removal> {
  const isIts = sql`upload_id = ${bind('uint32', upload.upload_id)}`
  const old = await lake.filesOfUpload(session, upload.upload_id, upload.from, upload.to)
  await damaged.check(session, old)
  if (await lacksFlows(session, lake, upload.sensor, upload.from, upload.to)) {
    throw flowsDropped(upload.sensor, upload.sha256)
  }
  if (old.length === 0) return NOTHING
  const fresh: LakeFile[] = []
  try {
    for (const file of old) {
      const rest = sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM (${lakeFlows([
        lake.absolute(file.path),
      ])}) AS flows WHERE NOT (${isIts})`
      const [counts] = await session.plain(
        REST,
        sql`SELECT count(*) AS row_count, coalesce(sum(packet_count), 0) AS packet_count FROM (${rest}) AS rest`,
      )
      if (counts!.row_count > 0) fresh.push(await lake.write(session, file.day, rest, counts!, nowMicros()))
    }
    const [range] = await session.plain(
      RANGE,
      sql`SELECT min(interval_start) AS first, max(interval_start) AS last
        FROM (${lakeFlows(old.map(({ path }) => lake.absolute(path)))}) AS flows WHERE ${isIts}`,
    )
    const since = Math.floor(range!.first! / HOUR) * HOUR
    const until = Math.floor(range!.last! / HOUR) * HOUR + HOUR
    const gone = new Set(old.map(({ path }) => lake.absolute(path)))
    const files = (await lake.files(session, since / MICROSECONDS, until / MICROSECONDS)).filter(
      path => !gone.has(path),
    )
    const left = lakeFlows([...files, ...fresh.map(({ path }) => lake.absolute(path))])
    await stageRollups(
      session,
      sql`SELECT * FROM (${left}) AS flows WHERE sensor = ${bind('text', upload.sensor)}
        AND interval_start >= ${timestamp(since)} AND interval_start < ${timestamp(until)}`,
    )
    return { old, fresh, hours: { since, until } }
  } catch (error) {
    await lake.unlink(fresh.map(({ path }) => path))
    throw error
  }
}

/** The earliest counted upload with the same content: it has its receipt, so its content stays in the numbers. */
async function findHeir(session: Session, sensor: string, sha256: string): Promise<string | null> {
  const rows = await session.plain(
    HEIR,
    sql`SELECT sha256 FROM receipt WHERE duplicate_of = ${bind('text', sha256)} AND sensor = ${bind('text', sensor)}
      AND state = ${receiptState('counted')} ORDER BY received_at, upload_id LIMIT 1`,
  )
  return rows[0]?.sha256 ?? null
}

/** The flows stay as they lie; the receipts change places: the heir gets the number that they lie under. */
async function bequeath(session: Session, sensor: string, sha256: string, heir: string): Promise<void> {
  const own = (await findReceiptRow(session, sensor, sha256))!
  const next = (await findReceiptRow(session, sensor, heir))!
  const ofSensor = sql`sensor = ${bind('text', sensor)}`
  const duplicates = await session.plain(
    { received_at: RECEIPT.received_at },
    sql`UPDATE receipt SET duplicate_of = ${bind('text', heir)} WHERE duplicate_of = ${bind('text', sha256)} AND ${ofSensor}
      RETURNING received_at`,
  )
  for (const { received_at } of [next, ...duplicates]) await noteReceiptChange(session, received_at)
  await session.run(
    sql`UPDATE receipt SET duplicate_of = NULL, upload_id = ${bind('uint32', own.upload_id)} WHERE rowid = ${bind('int64', next.row_id)}`,
  )
  await session.run(
    sql`UPDATE receipt SET upload_id = ${bind('uint32', next.upload_id)} WHERE rowid = ${bind('int64', own.row_id)}`,
  )
  await changeSpans(
    session,
    sql`UPDATE coverage_span SET sha256 = ${bind('text', heir)} WHERE sha256 = ${bind('text', sha256)} AND ${ofSensor}`,
  )
}

async function removeSpans(session: Session, sensor: string, sha256: string): Promise<void> {
  await changeSpans(
    session,
    sql`DELETE FROM coverage_span WHERE sensor = ${bind('text', sensor)} AND sha256 = ${bind('text', sha256)}`,
  )
}

async function changeSpans(session: Session, change: Sql): Promise<void> {
  const rows = await session.plain(
    { listened_from: COVERAGE_SPAN.listened_from },
    sql`${change} RETURNING listened_from`,
  )
  for (const { listened_from } of rows) await reopenDays(session, listened_from, listened_from)
}

function timestamp(micros: number): Sql {
  return sql`${bind('timestamp_us', micros)}`
}

function flowsDropped(sensor: string, sha256: string): TelescopeError {
  return new TelescopeError(
    'UPLOAD_FLOWS_GONE',
    `upload ${sha256}: flows of its hours are no longer kept (retention of flows), only their sums; it stays in the numbers`,
    { sensor, sha256 },
  )
}

function unnumbered(sha256: string): TelescopeError {
  return new TelescopeError(
    'UPLOAD_STATE',
    `upload ${sha256} was counted by a version that did not note which flows are whose; it cannot be withdrawn alone`,
    { sha256 },
  )
}
