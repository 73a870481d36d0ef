import type { SensorRecord } from '../../../analytics/storage.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { changeRegistration } from '../registration.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

const CHANGEABLE = ['economy', 'telescope', 'organisation'] as const

export const command: Command = {
  summary: 'correct the registration of a sensor',
  usage: `hirundo sensor change ID [--economy CC] [--telescope CIDR[,CIDR...]] [--organisation NAME] [--data DIR] [--json]

Works on the hub that runs on the data folder, or on the folder itself when none runs. The prefixes can change while
nothing of the sensor is in the numbers or on its way; what was refused for other prefixes is tried again with
hirundo upload retry.

  --economy CC         economy of the sensor, ISO 3166-1 alpha-2
  --telescope CIDR     all of its dark prefixes, IPv4 and IPv6, separated by commas
  --organisation NAME  who owns it
  --data DIR           data folder of the hub, default ${DATA_DEFAULT}
  --json               print one JSON object`,
  options: {
    economy: { type: 'string' },
    telescope: { type: 'string' },
    organisation: { type: 'string' },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    const [sensor, ...more] = positionals
    if (sensor === undefined || more.length > 0) throw new TelescopeError('USAGE', 'sensor change: name one sensor')
    const named = CHANGEABLE.filter(name => values[name] !== undefined)
    if (named.length === 0) {
      throw new TelescopeError('USAGE', 'sensor change: say what changes: --economy, --telescope or --organisation')
    }
    const body = Object.fromEntries(named.map(name => [name, textOption(values, name)]))
    const record = await administer<Omit<SensorRecord, 'telescope'>>(
      textOption(values, 'data'),
      { method: 'PATCH', path: `/api/v1/sensors/${encodeURIComponent(sensor)}`, body },
      async storage => {
        const { telescope: _withheld, ...shown }: SensorRecord = await changeRegistration(storage, sensor, body)
        return shown
      },
    )
    const ipv6 = record.has_ipv6 ? ' and IPv6' : ''
    process.stdout.write(
      values['json']
        ? `${JSON.stringify(record)}\n`
        : `sensor ${record.sensor} in ${record.economy} with ${record.ipv4_addr_count} IPv4 addresses${ipv6} is registered now\n`,
    )
    return 0
  },
}
