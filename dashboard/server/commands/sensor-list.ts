import type { Answer } from '../../../schemas/api.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'list the sensors of a hub',
  usage: `hirundo sensor list [--data DIR] [--json]

Works on the hub that runs on the data folder, or on the folder itself when none runs.

  --data DIR  data folder of the hub, default ${DATA_DEFAULT}
  --json      print one JSON object`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `sensor list: "${positionals[0]}" is not expected`)
    const { rows } = await administer<Pick<Answer<'sensors'>, 'rows'>>(
      textOption(values, 'data'),
      { method: 'GET', path: '/api/v1/sensors' },
      storage => storage.query('sensors', {}, { sensors: 'all' }),
    )
    if (values['json']) process.stdout.write(`${JSON.stringify({ sensors: rows })}\n`)
    else {
      printTable(
        [
          'sensor',
          'economy',
          'addresses',
          'organisation',
          'last upload',
          'waiting',
          'quarantined',
          'held',
          'withdrawn',
        ],
        rows.map(row => [
          row.sensor,
          row.economy,
          `${row.ipv4_addr_count}${row.has_ipv6 ? '+IPv6' : ''}`,
          row.organisation,
          row.last_upload_at ?? 'never',
          String(row.pending_count),
          String(row.quarantined_count),
          String(row.held_count),
          String(row.withdrawn_count),
        ]),
      )
    }
    return 0
  },
}
