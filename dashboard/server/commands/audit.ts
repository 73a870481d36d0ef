import type { AuditEntry } from '../../../schemas/audit.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

const LIMIT_MAX = 10_000

export const command: Command = {
  summary: 'show who administered a hub, and whether the log is whole',
  usage: `hirundo audit [--limit N] [--data DIR] [--json]

Prints the newest entries of the audit log, newest first, after checking the chain of hashes of all of them. Ends with
status 1 when an entry is missing or was changed. Works on the hub that runs on the data folder, or on the folder
itself when none runs.

  --limit N    entries at most, 1 to ${LIMIT_MAX}, default 100
  --data DIR   data folder of the hub, default ${DATA_DEFAULT}
  --json       print one JSON object; each entry's hash can be checked with jq -cjS "del(.sha256)" | sha256sum`,
  options: {
    limit: { type: 'string', default: '100' },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', 'audit: takes no arguments; see hirundo audit --help')
    const limit = readLimit(textOption(values, 'limit'))
    const log = await administer<{ broken_sequence: number | null; entries: AuditEntry[] }>(
      textOption(values, 'data'),
      { method: 'GET', path: `/api/v1/audit?limit=${limit}` },
      async storage => ({ broken_sequence: await storage.verifyAudit(), entries: await storage.listAudit(limit) }),
    )
    if (values['json']) process.stdout.write(`${JSON.stringify(log)}\n`)
    else {
      printTable(
        ['entry', 'done', 'actor', 'action', 'subject', 'details'],
        log.entries.map(entry => [
          String(entry.sequence),
          entry.done_at,
          entry.actor,
          entry.action,
          entry.subject,
          JSON.stringify(entry.details),
        ]),
      )
    }
    if (log.broken_sequence === null) return 0
    throw new TelescopeError(
      'AUDIT_BROKEN',
      `audit log is broken at entry ${log.broken_sequence}: it is missing or was changed; compare with a backup`,
      { sequence: log.broken_sequence },
    )
  },
}

function readLimit(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= LIMIT_MAX) return limit
  throw new TelescopeError('USAGE', `option --limit is "${text}", expected 1 to ${LIMIT_MAX}`, { option: 'limit' })
}
