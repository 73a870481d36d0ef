import { createHash } from 'node:crypto'
import { AUDIT, AUDIT_BEGIN, type AuditEntry, type AuditNote } from '../schemas/audit.ts'
import type { Table } from '../schemas/column.ts'
import type { Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { formatMicroseconds } from './rows.ts'
import { bind, sql } from './sql.ts'

const LAST = { sequence: AUDIT.sequence, sha256: AUDIT.sha256 } as const satisfies Table

/** Entries verified at once. */
const VERIFY_ENTRIES = 10_000

/** Appends an entry within the transaction of the session: it stands exactly when what it tells of stands. */
export async function appendAudit(session: Session, note: AuditNote, nowMicros: number): Promise<void> {
  const [last] = await session.plain(
    LAST,
    sql`SELECT sequence, sha256 FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)`,
  )
  const entry = {
    ...note,
    sequence: (last?.sequence ?? 0) + 1,
    done_at: formatMicroseconds(BigInt(nowMicros)),
    previous_sha256: last?.sha256 ?? AUDIT_BEGIN,
  }
  await insertRows(session, 'audit', AUDIT, [
    { ...entry, done_at: nowMicros, details: canonicalJson(note.details), sha256: hashOf(entry) },
  ])
}

/** Newest first. */
export function listAudit(session: Session, limit: number): Promise<AuditEntry[]> {
  return session.api(AUDIT, sql`SELECT * FROM audit ORDER BY sequence DESC LIMIT ${bind('int64', limit)}`)
}

/**
 * Goes along the whole chain.
 * @returns the sequence that the first entry that is missing or was changed should have; null when all are as written
 */
export async function verifyAudit(session: Session): Promise<number | null> {
  let expected = 1
  let previous: string = AUDIT_BEGIN
  for (;;) {
    const entries = await session.api(
      AUDIT,
      sql`SELECT * FROM audit WHERE sequence >= ${bind('uint64', expected)} ORDER BY sequence
        LIMIT ${bind('int64', VERIFY_ENTRIES)}`,
    )
    for (const { sha256, ...entry } of entries) {
      const whole = entry.sequence === expected && entry.previous_sha256 === previous && hashOf(entry) === sha256
      if (!whole) return expected
      expected++
      previous = sha256
    }
    if (entries.length < VERIFY_ENTRIES) return null
  }
}

function hashOf(entry: Omit<AuditEntry, 'sha256' | 'details'> & { details: object }): string {
  return createHash('sha256').update(canonicalJson(entry)).digest('hex')
}

/** Members in the order of their names, no white space; whole numbers and plain values only, so it has one form. */
function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}
