import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { revokeSensor } from '../sensor-access.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'revoke what speaks for a sensor',
  usage: `hirundo sensor revoke ID [--key KEYID] [--data DIR]

Revokes all keys, tokens and open codes of a sensor; with --key one key only. Holds from the next request on. What it
has sent stays in the numbers.

  --key KEYID  name of the key: hirundo sensor keys ID
  --data DIR   data folder of the hub, default ${DATA_DEFAULT}`,
  options: {
    key: { type: 'string' },
    data: { type: 'string', default: DATA_DEFAULT },
  },
  async run({ values, positionals }) {
    const [sensor, ...more] = positionals
    if (sensor === undefined || more.length > 0) throw new TelescopeError('USAGE', 'sensor revoke: name one sensor')
    const keyId = values['key'] === undefined ? null : textOption(values, 'key')
    const keys = `/api/v1/sensors/${encodeURIComponent(sensor)}/keys`
    const { revoked } = await administer<{ revoked: number }>(
      textOption(values, 'data'),
      { method: 'DELETE', path: keyId === null ? keys : `${keys}/${encodeURIComponent(keyId)}` },
      storage => revokeSensor(storage, sensor, keyId),
    )
    process.stdout.write(
      keyId === null
        ? `sensor ${sensor}: ${revoked} keys, tokens and codes are revoked\nits way back: hirundo sensor invite ${sensor} here; there move ${sensor}.identity.json away, then sensor init in the same folder and sensor enrol\n`
        : `sensor ${sensor}: key ${keyId} is revoked\n`,
    )
    return 0
  },
}
