import type { SensorRecord } from '../../../analytics/storage.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { commandLine, followCommand, uploadCommand } from '../instructions.ts'
import { registerSensor } from '../registration.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'register a sensor at a hub',
  usage: `hirundo sensor add ID --economy CC --telescope CIDR[,CIDR...] [--organisation NAME] [--data DIR] [--json]

Works on the hub that runs on the data folder, or on the folder itself when none runs.

  ID                   1 to 32 lower-case letters, digits and inner hyphens
  --economy CC         economy of the sensor, ISO 3166-1 alpha-2
  --telescope CIDR     its dark prefixes, IPv4 and IPv6, separated by commas
  --organisation NAME  who owns it
  --data DIR           data folder of the hub, default ${DATA_DEFAULT}
  --json               print one JSON object`,
  options: {
    economy: { type: 'string' },
    telescope: { type: 'string' },
    organisation: { type: 'string', default: '' },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    const [sensor, ...more] = positionals
    if (sensor === undefined || more.length > 0) throw new TelescopeError('USAGE', 'sensor add: name one sensor')
    const data = textOption(values, 'data')
    const body = {
      sensor,
      economy: textOption(values, 'economy'),
      telescope: textOption(values, 'telescope'),
      organisation: textOption(values, 'organisation'),
    }
    const record = await administer(
      data,
      { method: 'POST', path: '/api/v1/sensors', body },
      async (storage, folder) => {
        const { telescope: _withheld, ...shown }: SensorRecord = await registerSensor(storage, folder, body)
        return shown
      },
    )
    if (values['json']) process.stdout.write(`${JSON.stringify(record)}\n`)
    else {
      const ipv6 = record.has_ipv6 ? ' and IPv6' : ''
      process.stdout.write(
        `sensor ${record.sensor} in ${record.economy} with ${record.ipv4_addr_count} IPv4 addresses${ipv6} is registered\n` +
          `its token:         ${commandLine('token', 'create', '--sensor', sensor, '--data', data)}\n` +
          `upload a capture:  ${uploadCommand('$HUB', '$TOKEN', 'FILE')}\n` +
          `what became of it: ${followCommand('$HUB', '$TOKEN', 'FILE')}\n` +
          '($HUB is the address that hirundo serve prints, without the slash at its end)\n',
      )
    }
    return 0
  },
}
