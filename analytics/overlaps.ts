import { COVERAGE_SPAN, RECEIPT } from '../schemas/catalog.ts'
import { physicalColumns, type Table } from '../schemas/column.ts'
import { commonSpans, joinSpans } from '../schemas/coverage.ts'
import { FLOW } from '../schemas/flow.ts'
import { INTERVAL_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { lacksFlows } from './dropped-flows.ts'
import { insertRows } from './insert-rows.ts'
import type { Lake } from './lake.ts'
import { lakeFlows } from './lake-flows.ts'
import { findReceiptRow } from './receipts.ts'
import { bind, bindList, columnDefinitions, columnNames, identifier, join, type Sql, sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/**
 * The same traffic captured twice. Time alone does not tell: rotated files share a second, batches of one collector
 * interleave where files or packets were out of order, and two captures of one time may hold different packets. So
 * two uploads overlap when their listened spans do and at least half of the flows of either within the common time
 * are in the other as well.
 */

/** Common time up to this is no overlap, unless it is half of one of the two: two files meet within it. */
const TOLERANCE = INTERVAL_SECONDS * MICROSECONDS
/** Uploads named in a receipt. */
const NAMED_MAX = 8

/** Uploads that hold the traffic of another. */
export interface Overlap {
  /** SHA-256 of the first of them, at most eight. */
  readonly named: readonly string[]
  readonly count: number
}

interface Span {
  readonly from: number
  readonly to: number
}

/** Another upload of the sensor that listened at the same time. */
interface Other {
  readonly sha256: string
  readonly uploadId: number
  /** Whether its destinations have the numbers that those of the upload have. */
  readonly comparable: boolean
  readonly common: readonly Span[]
}

const GROUP_SPAN = {
  upload: { type: 'uint32', role: 'key', sharing: 'withheld', doc: 'Number in the group.' },
  sensor: COVERAGE_SPAN.sensor,
  listened_from: COVERAGE_SPAN.listened_from,
  listened_to: COVERAGE_SPAN.listened_to,
} as const satisfies Table
const NEAR_SPAN = {
  upload: GROUP_SPAN.upload,
  sha256: COVERAGE_SPAN.sha256,
  listened_from: COVERAGE_SPAN.listened_from,
  listened_to: COVERAGE_SPAN.listened_to,
} as const satisfies Table
const COMMON_SPAN = {
  upload_id: RECEIPT.upload_id,
  common_from: COVERAGE_SPAN.listened_from,
  common_to: COVERAGE_SPAN.listened_to,
} as const satisfies Table
const SHARED = {
  upload_id: RECEIPT.upload_id,
  flow_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Flows of the common time.' },
  shared_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Those that the other upload has, too.' },
} as const satisfies Table

/**
 * Which uploads of a group hold what others hold; needs the temporary tables of the group.
 * @param accepted places of uploads that count all the same
 * @returns place in the group → the others
 */
export async function findOverlaps(
  session: Session,
  lake: Lake,
  uploads: readonly ParsedUpload[],
  accepted: ReadonlySet<number>,
): Promise<Map<number, Overlap>> {
  const spans = uploads.map(({ batches }) =>
    joinSpans(
      batches.flatMap(({ metadata }) => metadata.spans),
      0,
    ),
  )
  const counted = await readNearSpans(session, uploads, spans)
  const held = new Map<number, Overlap>()
  for (const [index, { sensor, sha256 }] of uploads.entries()) {
    if (accepted.has(index) || spans[index]!.length === 0) continue
    const near = new Map(counted.get(index))
    for (let earlier = 0; earlier < index; earlier++) {
      if (uploads[earlier]!.sensor !== sensor || held.has(earlier)) continue
      near.set(uploads[earlier]!.sha256, spans[earlier]!)
    }
    const others: Other[] = []
    const own = near.size > 0 ? await findReceiptRow(session, sensor, sha256) : null
    const key = keyOf(uploads[index])
    for (const [other, theirs] of near) {
      const common = commonSpans(spans[index]!, theirs)
      if (common.length === 0 || length(common) < toleranceOf(spans[index]!, theirs)) continue
      const receipt = await findReceiptRow(session, sensor, other)
      if (!receipt) continue
      const itsKey =
        keyOf(uploads.find(upload => upload.sensor === sensor && upload.sha256 === other)) ?? receipt.key_check
      others.push({
        sha256: other,
        uploadId: receipt.upload_id,
        comparable: key === null || itsKey === null ? receipt.kind === own?.kind : itsKey === key,
        common,
      })
    }
    if (others.length === 0) continue
    const same: string[] = []
    if (uploads[index]!.packets_kept > 0 && (await lackFlows(session, lake, sensor, others))) {
      // Nothing is left to compare with: the operator decides.
      held.set(index, overlapOf(others.map(other => other.sha256)))
      continue
    }
    // Captures get their destination indices by the key of the hub, batches by that of the sensor, which may be another
    // than before.
    for (const comparable of [true, false]) {
      const part = others.filter(other => other.comparable === comparable)
      if (part.length > 0) same.push(...(await sharedWith(session, lake, index, sensor, part, comparable)))
    }
    if (same.length > 0) held.set(index, overlapOf(same))
  }
  return held
}

function keyOf(upload: ParsedUpload | undefined): string | null {
  return upload?.batches[0]?.metadata.key_check ?? null
}

function overlapOf(same: readonly string[]): Overlap {
  return { named: same.toSorted().slice(0, NAMED_MAX), count: same.length }
}

/** Whether flows of the common time are no longer kept. */
async function lackFlows(session: Session, lake: Lake, sensor: string, others: readonly Other[]): Promise<boolean> {
  const common = others.flatMap(other => other.common)
  const from = common.reduce((least, span) => Math.min(least, span.from), Number.POSITIVE_INFINITY)
  const to = common.reduce((most, span) => Math.max(most, span.to), 0)
  return await lacksFlows(session, lake, sensor, from, to)
}

function length(spans: readonly Span[]): number {
  return spans.reduce((sum, { from, to }) => sum + to - from, 0)
}

function toleranceOf(a: readonly Span[], b: readonly Span[]): number {
  return Math.min(TOLERANCE, length(a) / 2, length(b) / 2)
}

/** Spans of counted uploads between the first and the last span of each upload of the group, joined by upload. */
async function readNearSpans(
  session: Session,
  uploads: readonly ParsedUpload[],
  spans: readonly (readonly Span[])[],
): Promise<Map<number, Map<string, Span[]>>> {
  const bounds = uploads.flatMap(({ sensor }, upload) => {
    const [first, last] = [spans[upload]![0], spans[upload]!.at(-1)]
    return first && last ? [{ upload, sensor, listened_from: first.from, listened_to: last.to }] : []
  })
  const near = new Map<number, Map<string, Span[]>>()
  if (bounds.length === 0) return near
  await session.run(sql`CREATE OR REPLACE TEMP TABLE group_span (${columnDefinitions(GROUP_SPAN)})`)
  await insertRows(session, 'group_span', GROUP_SPAN, bounds)
  const first = bounds.reduce((least, { listened_from }) => Math.min(least, listened_from), Number.POSITIVE_INFINITY)
  const last = bounds.reduce((most, { listened_to }) => Math.max(most, listened_to), 0)
  // The bounds of the whole group, besides, let the scan skip what is older.
  const rows = await session.plain(
    NEAR_SPAN,
    sql`SELECT g.upload, c.sha256, c.listened_from, c.listened_to FROM coverage_span AS c JOIN group_span AS g
      ON c.sensor = g.sensor AND c.listened_from < g.listened_to AND c.listened_to > g.listened_from
      WHERE c.listened_from < ${bind('timestamp_us', last)} AND c.listened_to > ${bind('timestamp_us', first)}
      ORDER BY c.listened_from`,
  )
  for (const row of rows) {
    const ofUpload = near.get(row.upload) ?? new Map<string, Span[]>()
    near.set(row.upload, ofUpload)
    const list = ofUpload.get(row.sha256) ?? []
    ofUpload.set(row.sha256, list)
    const before = list.at(-1)
    if (before && row.listened_from <= before.to) {
      list[list.length - 1] = { from: before.from, to: Math.max(before.to, row.listened_to) }
    } else list.push({ from: row.listened_from, to: row.listened_to })
  }
  return near
}

/** Which of the others have the flows of the upload in the time that they have in common. */
async function sharedWith(
  session: Session,
  lake: Lake,
  upload: number,
  sensor: string,
  others: readonly Other[],
  comparable: boolean,
): Promise<string[]> {
  await session.run(sql`CREATE OR REPLACE TEMP TABLE common_span (${columnDefinitions(COMMON_SPAN)})`)
  const rows = others.flatMap(({ uploadId, common }) =>
    common.map(({ from, to }) => ({
      upload_id: uploadId,
      // Flows are of whole intervals.
      common_from: Math.floor(from / TOLERANCE) * TOLERANCE,
      common_to: to,
    })),
  )
  await insertRows(session, 'common_span', COMMON_SPAN, rows)
  const from = rows.reduce((least, row) => Math.min(least, row.common_from), Number.POSITIVE_INFINITY)
  const to = rows.reduce((most, row) => Math.max(most, row.common_to), 0)
  const compared = columnNames(comparedColumns(comparable))
  const within = sql`interval_start >= ${bind('timestamp_us', from)} AND interval_start < ${bind('timestamp_us', to)}`
  const isCommon = sql`interval_start >= common_from AND interval_start < common_to`
  const files = await lake.files(session, Math.floor(from / MICROSECONDS), Math.ceil(to / MICROSECONDS))
  const ids = bindList(
    'uint32',
    others.map(({ uploadId }) => uploadId),
  )
  await session.run(
    sql`CREATE OR REPLACE TEMP TABLE other_flow AS SELECT * FROM (
        SELECT upload_id, ${compared} FROM (${lakeFlows(files)}) AS lake
          WHERE sensor = ${bind('text', sensor)} AND upload_id IN (SELECT unnest(${ids})) AND ${within}
        UNION ALL SELECT upload_id, ${compared} FROM group_flow
          WHERE upload < ${bind('uint32', upload)} AND sensor = ${bind('text', sensor)}
            AND upload_id IN (SELECT unnest(${ids})) AND ${within}) AS flows
      WHERE EXISTS (SELECT 1 FROM common_span AS s WHERE s.upload_id = flows.upload_id AND ${isCommon})`,
  )
  await session.run(
    sql`CREATE OR REPLACE TEMP TABLE own_flow AS SELECT 0::UINTEGER AS upload_id, ${compared} FROM group_flow
      WHERE upload = ${bind('uint32', upload)} AND ${within}
        AND EXISTS (SELECT 1 FROM common_span WHERE ${isCommon})`,
  )
  const [own] = await countShared(session, sql`own_flow`, sql`other_flow`, comparable)
  const theirs = await countShared(session, sql`other_flow`, sql`own_flow`, comparable)
  const isHalf = ({ flow_count, shared_count }: { flow_count: number; shared_count: number }) =>
    shared_count * 2 >= flow_count
  // A flow of one packet says little of which of many it is in: all that share any are named then.
  const found = theirs.filter(isHalf)
  const named = found.length === 0 && own && isHalf(own) ? theirs.filter(row => row.shared_count > 0) : found
  const ofId = new Map(others.map(({ uploadId, sha256 }) => [uploadId, sha256]))
  return named.map(row => ofId.get(row.upload_id)!)
}

/** Flows by upload, and how many of them stand in the other table as well, with the same packets and bytes. */
function countShared(session: Session, flows: Sql, others: Sql, comparable: boolean) {
  const equal = join(
    comparedColumns(comparable).map(({ name }) => sql`o.${identifier(name)} = f.${identifier(name)}`),
    ' AND ',
  )
  return session.plain(
    SHARED,
    sql`SELECT upload_id, count(*) AS flow_count, sum(is_shared) AS shared_count FROM (
        SELECT upload_id, CASE WHEN EXISTS (SELECT 1 FROM ${others} AS o WHERE ${equal}) THEN 1 ELSE 0 END AS is_shared
        FROM ${flows} AS f) AS marked GROUP BY upload_id ORDER BY upload_id`,
  )
}

/** What one packet leaves alike in two captures of it, though their clocks differ by some seconds. */
function comparedColumns(comparable: boolean) {
  const same = Object.entries(FLOW).filter(
    ([name, { role }]) =>
      (role === 'key' && name !== 'slot' && (comparable || name !== 'dst_index')) ||
      name === 'packet_count' ||
      name === 'byte_count',
  )
  return physicalColumns(Object.fromEntries(same))
}
