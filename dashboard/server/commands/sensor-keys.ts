import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import type { SensorKey } from '../../../schemas/sensor-key.ts'
import { checkSensor } from '../check-sensor.ts'
import { administer } from '../hub-client.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'list the keys of a sensor',
  usage: `hirundo sensor keys ID [--data DIR] [--json]

Lists all keys that a sensor ever had, and until when they are taken.

  --data DIR  data folder of the hub, default ${DATA_DEFAULT}
  --json      print one JSON object`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    const [sensor, ...more] = positionals
    if (sensor === undefined || more.length > 0) throw new TelescopeError('USAGE', 'sensor keys: name one sensor')
    const answer = await administer<{ keys: SensorKey[] }>(
      textOption(values, 'data'),
      { method: 'GET', path: `/api/v1/sensors/${encodeURIComponent(sensor)}/keys` },
      async storage => {
        await checkSensor(storage, sensor)
        return { keys: await storage.listSensorKeys(sensor) }
      },
    )
    if (values['json']) process.stdout.write(`${JSON.stringify(answer)}\n`)
    else {
      printTable(
        ['key', 'made', 'first used', 'ends', 'revoked'],
        answer.keys.map(key => [
          key.key_id,
          key.created_at,
          key.first_used_at ?? 'never',
          key.valid_until ?? '',
          key.revoked_at ?? '',
        ]),
      )
    }
    return 0
  },
}
