import { LAKE_FILE } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { LAKE_FLOW } from '../schemas/flow.ts'
import { DAY_SECONDS, formatDay, MICROSECONDS } from '../schemas/time.ts'
import { appendAudit } from './audit.ts'
import type { Database, Session } from './database.ts'
import { FlowGroup } from './group-flows.ts'
import { flowsOfDay } from './group-views.ts'
import { insertRows } from './insert-rows.ts'
import type { KeptTable } from './kept-table.ts'
import type { Lake, LakeFile } from './lake.ts'
import { findReceiptRow, NUMBERED_RECEIPT, receiptState } from './receipts.ts'
import { addRollups, deleteRollups, stageRollups } from './rollup.ts'
import type { SensorRow } from './sensors.ts'
import { bind, bindList, columnDefinitions, columnNames, sql } from './sql.ts'
import type { NumberedReceipt, ParsedUpload } from './storage.ts'

/** A UTC day of lake and rollups made again from what was received. `day` is the Unix second of its start. */

const COUNTS = {
  row_count: LAKE_FILE.row_count,
  packet_count: LAKE_FILE.packet_count,
} as const satisfies Table
const UNNUMBERED = {
  upload_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads without a number.' },
} as const satisfies Table

interface RebuildEngine {
  readonly database: Database
  readonly lake: Lake
  readonly sensors: KeptTable<SensorRow>
  readonly nowMicros: () => number
}

/** See Storage.lakeDays. */
export async function lakeDays(session: Session): Promise<number[]> {
  const rows = await session.plain({ day: LAKE_FILE.day }, sql`SELECT DISTINCT day FROM lake_file ORDER BY day`)
  return rows.map(({ day }) => day / MICROSECONDS)
}

/** See Storage.uploadsOfDay. */
export async function uploadsOfDay(
  session: Session,
  day: number,
): Promise<{ receipts: NumberedReceipt[]; numbered: boolean }> {
  const chosen = sql`state = ${receiptState('counted')} AND duplicate_of IS NULL AND packet_kept_count > 0
    AND first_packet < ${bind('timestamp_us', (day + DAY_SECONDS) * MICROSECONDS)}
    AND last_packet >= ${bind('timestamp_us', day * MICROSECONDS)}`
  const receipts = await session.api(NUMBERED_RECEIPT, sql`SELECT * FROM receipt WHERE ${chosen} ORDER BY upload_id`)
  const [old] = await session.plain(
    UNNUMBERED,
    sql`SELECT count(*) AS upload_count FROM receipt WHERE ${chosen} AND upload_id = 0`,
  )
  return { receipts, numbered: old!.upload_count === 0 }
}

/** See Storage.rebuildDay; must not overlap with anything else that changes lake files. */
export async function rebuildDay(
  { database, lake, sensors, nowMicros }: RebuildEngine,
  day: number,
  uploads: AsyncIterable<ParsedUpload>,
  actor: string,
): Promise<{ before: number; after: number }> {
  const start = day * MICROSECONDS
  const since = sql`${bind('timestamp_us', start)}`
  const until = sql`${bind('timestamp_us', start + DAY_SECONDS * MICROSECONDS)}`
  const session = await database.session()
  const fresh: LakeFile[] = []
  try {
    await session.run(sql`CREATE OR REPLACE TEMP TABLE day_flow (${columnDefinitions(LAKE_FLOW)})`)
    const known = await sensors.rows()
    let number = 0
    for await (const upload of uploads) {
      const receipt = await findReceiptRow(session, upload.sensor, upload.sha256)
      const group = await FlowGroup.open({ session, lake, sensors: known }, [upload], [receipt])
      try {
        await session.run(sql`INSERT INTO day_flow BY NAME ${flowsOfDay(start)}`)
      } finally {
        await group.close()
      }
      number++
    }
    const flows = sql`SELECT ${columnNames(physicalColumns(LAKE_FLOW))} FROM day_flow`
    const [counts] = await session.plain(
      COUNTS,
      sql`SELECT count(*) AS row_count, coalesce(sum(packet_count), 0) AS packet_count FROM (${flows}) AS flows`,
    )
    if (counts!.row_count > 0) fresh.push(await lake.write(session, start, flows, counts!, nowMicros()))
    await stageRollups(session, flows)
    const old = await database.transaction(async () => {
      const files = await session.plain(LAKE_FILE, sql`SELECT * FROM lake_file WHERE day = ${since}`)
      const paths = files.map(({ path }) => path)
      await session.run(sql`DELETE FROM lake_file WHERE path IN (SELECT unnest(${bindList('text', paths)}))`)
      await insertRows(session, 'lake_file', LAKE_FILE, fresh)
      await deleteRollups(session, since, until)
      await addRollups(session, 'staged')
      const before = files.reduce((sum, file) => sum + file.row_count, 0)
      const details = { uploads: number, flows_before: before, flows_after: counts!.row_count }
      const note = { actor, action: 'rebuild', subject: `day ${formatDay(day)}`, details }
      await appendAudit(session, note, nowMicros())
      return { paths, before }
    }, session)
    await lake.unlink(old.paths)
    return { before: old.before, after: counts!.row_count }
  } catch (error) {
    const fatal = error instanceof TelescopeError && error.details['fatal'] === true
    if (!fatal) await lake.unlink(fresh.map(({ path }) => path))
    throw error
  } finally {
    session.close()
  }
}
