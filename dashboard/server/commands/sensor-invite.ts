import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { INVITATION_HOURS, inviteSensor, type NewInvitation } from '../sensor-access.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'make the code by which a sensor enrols its key',
  usage: `hirundo sensor invite ID [--hours ${INVITATION_HOURS.default}] [--data DIR] [--json]

Prints a code for the operator of a registered sensor, who runs hirundo sensor enrol with it. It works once, for this
sensor, and ends after some hours or when another is made; it is shown once. Works on the hub that runs on the data
folder, or on the folder itself when none runs.

  --hours N   hours until it ends, ${INVITATION_HOURS.minimum} to ${INVITATION_HOURS.maximum}, default ${INVITATION_HOURS.default}
  --data DIR  data folder of the hub, default ${DATA_DEFAULT}
  --json      print one JSON object`,
  options: {
    hours: { type: 'string', default: String(INVITATION_HOURS.default) },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    const [sensor, ...more] = positionals
    if (sensor === undefined || more.length > 0) throw new TelescopeError('USAGE', 'sensor invite: name one sensor')
    const text = textOption(values, 'hours')
    if (!/^\d{1,4}$/.test(text)) {
      throw new TelescopeError('USAGE', `option --hours is "${text}", expected a whole number`, { option: 'hours' })
    }
    const hours = Number(text)
    const made = await administer<NewInvitation>(
      textOption(values, 'data'),
      { method: 'POST', path: `/api/v1/sensors/${encodeURIComponent(sensor)}/invitations`, body: { hours } },
      storage => inviteSensor(storage, sensor, hours),
    )
    // Alone on its line, so that CODE=$(hirundo sensor invite ...) works; what is for people goes to stderr.
    process.stdout.write(values['json'] ? `${JSON.stringify(made)}\n` : `${made.code}\n`)
    if (process.stderr.isTTY) {
      process.stderr.write(
        `good once, for sensor ${sensor}, until ${made.expires_at}; its operator runs, with the file that sensor init made:\n` +
          `hirundo sensor enrol --identity ${sensor}.identity.json --hub URL --code ${made.code}\n`,
      )
    }
    return 0
  },
}
