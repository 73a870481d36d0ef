import type { Command } from '../../schemas/command.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { parseHubUrl } from '../hub-request.ts'
import { rotateKey } from '../rotate-key.ts'
import { requiredOption } from './required-option.ts'

export const command: Command = {
  summary: 'give a sensor a new key in place of its old one',
  usage: `hirundo sensor rotate --identity FILE --hub URL

Makes a new private key, announces it to the hub with the old one, and puts it in its place in FILE. Nothing has to be
stopped: a sender that uses FILE takes the new key with its next request, and the hub takes the old one until five
minutes after the new one was first used (or for seven days, when it never is). May be run again when it was cut short.

  --identity FILE  identity of an enrolled sensor
  --hub URL        address of the hub, such as https://hub.example`,
  options: {
    identity: { type: 'string' },
    hub: { type: 'string' },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `sensor rotate: "${positionals[0]}" is not expected`)
    const path = requiredOption('sensor rotate', values, 'identity')
    const hub = parseHubUrl(requiredOption('sensor rotate', values, 'hub'))
    const keyId = await rotateKey(path, hub)
    process.stdout.write(`key ${keyId} has taken over\n`)
    return 0
  },
}
