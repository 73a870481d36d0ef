import type { Row, Table } from './column.ts'

/**
 * The audit log: who administered what. Append-only, and each entry carries the SHA-256 of the one before, so that a
 * change of an old entry shows in every later one. What is cut off at the end shows only to who noted a later hash.
 */
export const AUDIT = {
  sequence: { type: 'uint64', role: 'key', sharing: 'members', doc: 'Number of the entry, from 1, without gaps.' },
  done_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: "When it was done, by the hub's clock." },
  actor: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    doc: 'Who did it: "token ID", "sign-in link", "upkeep" for the hub itself, or "local" for whoever has the data folder.',
  },
  action: { type: 'text', role: 'note', sharing: 'members', doc: 'What was done, such as "token revoke".' },
  subject: { type: 'text', role: 'note', sharing: 'members', doc: 'What it was done to.' },
  details: { type: 'json', role: 'note', sharing: 'members', doc: 'Values by name; never a secret or a dark address.' },
  previous_sha256: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    doc: 'sha256 of the entry before; 64 zeros in the first.',
  },
  sha256: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    doc: 'SHA-256 of the entry as JSON without this member, members in the order of their names, no white space (`jq -cjS "del(.sha256)"`).',
  },
} as const satisfies Table
export type AuditEntry = Row<typeof AUDIT>

/** What is to be written down; the rest of an entry the log adds. */
export interface AuditNote {
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}

/** Whoever can open the data folder: a command on it, or one that asks the hub through its socket. */
export const LOCAL_ACTOR = 'local'

/** previous_sha256 of the first entry. */
export const AUDIT_BEGIN = '0'.repeat(64)
