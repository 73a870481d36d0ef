import { join, resolve } from 'node:path'
import type { ReadCopyStep } from '../../../analytics/storage.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'renew what other programs may read beside a running hub',
  usage: `hirundo read-copy [--data DIR] [--json]

Writes DIR/read/open.sql, which gives any DuckDB the tables of the dictionary as views, without what is withheld:

  duckdb -init DIR/read/open.sql
  python3 -c "import duckdb; duckdb.sql(open('DIR/read/open.sql').read()); print(duckdb.sql('FROM traffic_hour'))"

A running hub renews it every five minutes when something changed. Files of a copy stay readable for ten minutes
after the next one has replaced it. Asks the hub that runs on the data folder, or works on the folder itself.

  --data DIR   data folder of the hub, default ${DATA_DEFAULT}
  --json       print one JSON object`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `read-copy takes no argument "${positionals[0]}"`)
    const data = textOption(values, 'data')
    const step = await administer<ReadCopyStep>(data, { method: 'POST', path: '/api/v1/read-copy' }, storage =>
      storage.renewReadCopy(),
    )
    process.stdout.write(values['json'] ? `${JSON.stringify(step)}\n` : `${join(resolve(data), 'read', 'open.sql')}\n`)
    return 0
  },
}
