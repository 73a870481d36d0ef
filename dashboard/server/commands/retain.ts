import { LOCAL_ACTOR } from '../../../schemas/audit.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { parseRetention } from '../../../schemas/retention.ts'
import { administer } from '../hub-client.ts'
import { type Retained, Retainer } from '../retain.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'remove what is older than it is to be kept',
  usage: `hirundo retain [--keep CLASS=DAYS]... [--dry-run] [--data DIR] [--json]

Classes are captures and batches (received bytes, by the time they were counted), flows (of the lake, by capture time;
their hourly sums stay) and rollups (hourly sums and coverage). A class that is not named is kept for ever, as receipts
always are. Bytes of an upload that waits, is held or is in quarantine are never removed. A run that removes something
is in the audit log. Asks the hub that runs on the data folder, which does the same by itself once a day with the
--keep it was started with; or works on the folder itself when none runs.

  --keep CLASS=DAYS  may be given several times; default: what the running hub was started with
  --dry-run          only say what would be removed
  --data DIR         data folder of the hub, default ${DATA_DEFAULT}
  --json             print one JSON object`,
  options: {
    keep: { type: 'string', multiple: true },
    'dry-run': { type: 'boolean', default: false },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `retain takes no argument "${positionals[0]}"`)
    const keep = values['keep'] as string[] | undefined
    // A slip is told before anything is asked.
    const given = keep && parseRetention(keep)
    const dryRun = values['dry-run'] === true
    const retained = await administer<Retained>(
      textOption(values, 'data'),
      { method: 'POST', path: '/api/v1/retention', body: { dry_run: dryRun, ...(keep ? { keep } : {}) } },
      (storage, folder) => {
        if (given) return new Retainer(storage, folder).run(given, { dryRun, actor: LOCAL_ACTOR })
        throw new TelescopeError('USAGE', 'retain: no hub runs on this folder; say what to keep with --keep CLASS=DAYS')
      },
    )
    if (values['json']) process.stdout.write(`${JSON.stringify(retained)}\n`)
    else {
      printTable(
        ['class', dryRun ? 'would go' : 'removed', 'bytes'],
        [
          ['captures', String(retained.captures), String(retained.capture_bytes)],
          ['batches', String(retained.batches), String(retained.batch_bytes)],
          ['flows', String(retained.flows), String(retained.lake_bytes)],
          ['hours of rollups', String(retained.rollup_hours), ''],
        ],
      )
    }
    return 0
  },
}
