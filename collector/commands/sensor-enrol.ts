import type { Command } from '../../schemas/command.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { enrol } from '../enrol.ts'
import { parseHubUrl } from '../hub-request.ts'
import { requiredOption } from './required-option.ts'
import { warnOfPlainHttp } from './warn-of-plain-http.ts'

export const command: Command = {
  summary: "make a sensor's key known to its hub",
  usage: `hirundo sensor enrol --identity FILE --hub URL --code CODE

Sends the public key of the identity to the hub, with the code that the coordinator made by hirundo sensor invite, and
keeps the hub's own public key in FILE: from then on only receipts that the hub has signed count. The private key stays
here. May be run again with the same code when it was cut short.

  --identity FILE  made by hirundo sensor init
  --hub URL        address of the hub, such as https://hub.example
  --code CODE      the code; it works once, for this sensor, and for a limited time`,
  options: {
    identity: { type: 'string' },
    hub: { type: 'string' },
    code: { type: 'string' },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `sensor enrol: "${positionals[0]}" is not expected`)
    const path = requiredOption('sensor enrol', values, 'identity')
    const hub = parseHubUrl(requiredOption('sensor enrol', values, 'hub'))
    const code = requiredOption('sensor enrol', values, 'code')
    warnOfPlainHttp(hub, 'the code')
    const keyId = await enrol(path, hub, code)
    process.stdout.write(`key ${keyId} is enrolled at ${hub.origin}; the sensor may send\n`)
    return 0
  },
}
