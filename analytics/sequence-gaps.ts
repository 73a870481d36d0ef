import type { Table } from '../schemas/column.ts'
import { GAP_REASONS, SEQUENCE_GAP, UPLOAD_SPOOL } from '../schemas/sequence-gap.ts'
import type { UploadSequence } from '../schemas/upload-sequence.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import type { PlainRow } from './rows.ts'
import { bind, bindList, sql } from './sql.ts'

/**
 * Which numbers of a spool have not come. Kept as numbers come: a number beyond the highest leaves a gap behind it, one
 * within a gap splits it. So no receipt is read again, however many there are, and neither the order in which uploads
 * come nor their repetition matters.
 */

interface Numbered {
  readonly sensor: string
  readonly sequence: UploadSequence
}

interface Gap {
  readonly first: number
  readonly last: number
  /** Index in GAP_REASONS. */
  readonly reason: number
  readonly foundAt: number
}

const UNKNOWN = GAP_REASONS.indexOf('unknown')

const SPOOL_ROW = {
  ...UPLOAD_SPOOL,
  row_id: { type: 'uint64', role: 'key', sharing: 'withheld', doc: 'Place of the row in its table.' },
} as const satisfies Table
const GAP_ROW = { ...SEQUENCE_GAP, row_id: SPOOL_ROW.row_id } as const satisfies Table

/** Notes numbers that have come, and what sensors say is gone, within the transaction of the session. */
export async function noteSequences(session: Session, numbered: readonly Numbered[], nowMicros: number): Promise<void> {
  const groups = new Map<string, Numbered[]>()
  for (const item of numbered) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  const known = await session.plain(
    SPOOL_ROW,
    sql`SELECT *, rowid AS row_id FROM upload_spool
      WHERE spool IN (SELECT unnest(${bindList('text', [...new Set(numbered.map(({ sequence }) => sequence.spool))])}))`,
  )
  const rows: PlainRow<typeof UPLOAD_SPOOL>[] = []
  const replaced: number[] = []
  for (const [key, items] of groups) {
    const before = known.find(row => `${row.sensor} ${row.spool}` === key)
    if (before) replaced.push(before.row_id)
    rows.push(await noteSpool(session, items, before, nowMicros))
  }
  await session.run(sql`DELETE FROM upload_spool WHERE rowid IN (SELECT unnest(${bindList('int64', replaced)}))`)
  await insertRows(session, 'upload_spool', UPLOAD_SPOOL, rows)
}

function keyOf({ sensor, sequence }: Numbered): string {
  return `${sensor} ${sequence.spool}`
}

async function noteSpool(
  session: Session,
  items: readonly Numbered[],
  before: PlainRow<typeof UPLOAD_SPOOL> | undefined,
  nowMicros: number,
): Promise<PlainRow<typeof UPLOAD_SPOOL>> {
  const { sensor, sequence } = items[0]!
  const { spool } = sequence
  const sequences = items.map(item => item.sequence)
  const numbers = sequences.map(({ number }) => number)
  const gone = sequences.flatMap(item => item.gone)
  const highest = before?.last_sequence ?? 0
  const oldest = [before?.oldest_waiting, ...sequences.map(item => item.oldest)].filter(value => value != null)
  const lowestTouched = Math.min(...numbers, ...gone.map(({ first }) => first))
  const highestTouched = Math.max(...numbers, ...gone.map(({ last }) => last))
  // No gap lies beyond the highest number: the usual case, of which each upload is one.
  const stored =
    lowestTouched > highest
      ? []
      : await session.plain(
          GAP_ROW,
          sql`SELECT *, rowid AS row_id FROM sequence_gap WHERE sensor = ${bind('text', sensor)} AND spool = ${bind('text', spool)}
            AND first_sequence <= ${bind('uint64', highestTouched)} AND last_sequence >= ${bind('uint64', lowestTouched)}`,
        )
  let gaps: Gap[] = stored.map(row => ({
    first: row.first_sequence,
    last: row.last_sequence,
    reason: row.reason,
    foundAt: row.found_at,
  }))
  const last = Math.max(highest, highestTouched)
  if (last > highest) gaps.push({ first: highest + 1, last, reason: UNKNOWN, foundAt: nowMicros })
  for (const number of numbers) gaps = gaps.flatMap(gap => without(gap, number, number))
  for (const range of gone) {
    const reason = GAP_REASONS.indexOf(range.reason)
    gaps = gaps.flatMap(gap => [
      ...without(gap, range.first, range.last),
      ...within(gap, range.first, range.last, reason),
    ])
  }
  const isSame = gaps.length === stored.length && gaps.every((gap, index) => isEqual(gap, stored[index]!))
  if (!isSame) {
    const rowIds = bindList(
      'int64',
      stored.map(row => row.row_id),
    )
    await session.run(sql`DELETE FROM sequence_gap WHERE rowid IN (SELECT unnest(${rowIds}))`)
    await insertRows(
      session,
      'sequence_gap',
      SEQUENCE_GAP,
      gaps.map(gap => ({
        sensor,
        spool,
        first_sequence: gap.first,
        last_sequence: gap.last,
        reason: gap.reason,
        found_at: gap.foundAt,
      })),
    )
  }
  return {
    sensor,
    spool,
    last_sequence: last,
    oldest_waiting: oldest.length === 0 ? null : Math.max(...oldest),
    last_at: nowMicros,
  }
}

/** What is left of a gap when [first, last] is taken out. */
function without(gap: Gap, first: number, last: number): Gap[] {
  if (last < gap.first || first > gap.last) return [gap]
  return [
    ...(gap.first < first ? [{ ...gap, last: first - 1 }] : []),
    ...(gap.last > last ? [{ ...gap, first: last + 1 }] : []),
  ]
}

/** The part of a gap in [first, last], with the reason that the sensor gave first. */
function within(gap: Gap, first: number, last: number, reason: number): Gap[] {
  const part = { ...gap, first: Math.max(gap.first, first), last: Math.min(gap.last, last) }
  if (part.first > part.last) return []
  return [gap.reason === UNKNOWN ? { ...part, reason } : part]
}

function isEqual(gap: Gap, row: PlainRow<typeof SEQUENCE_GAP>): boolean {
  return gap.first === row.first_sequence && gap.last === row.last_sequence && gap.reason === row.reason
}
