import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import type { SensorHealth } from '../../../schemas/sensor-health.ts'
import { administer } from '../hub-client.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'tell silent sensors and uploads that never came',
  usage: `hirundo sensor health [--data DIR] [--json]

Works on the hub that runs on the data folder, or on the folder itself when none runs.

  --data DIR  data folder of the hub, default ${DATA_DEFAULT}
  --json      print one JSON object`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `sensor health: "${positionals[0]}" is not expected`)
    const { sensors } = await administer<{ sensors: SensorHealth[] }>(
      textOption(values, 'data'),
      { method: 'GET', path: '/api/v1/sensor-health' },
      async storage => ({ sensors: await storage.sensorHealth({ sensors: 'all' }) }),
    )
    if (values['json']) {
      process.stdout.write(`${JSON.stringify({ sensors })}\n`)
      return 0
    }
    printTable(
      ['sensor', 'last upload', 'every', 'silent since', 'missing', 'late', 'clock', '7 days', 'quarantined', 'held'],
      sensors.map(row => [
        row.sensor,
        row.last_upload_at ?? 'never',
        row.usual_interval_seconds === null ? '' : `${Math.round(row.usual_interval_seconds)} s`,
        row.silent_since ?? '',
        String(row.missing_sequence_count),
        String(row.late_upload_count),
        row.clock_skew_seconds === null ? '' : `${row.clock_skew_seconds} s`,
        `${Math.round(row.coverage_7d * 100)} %`,
        String(row.quarantined_count),
        String(row.held_count),
      ]),
    )
    return 0
  },
}
