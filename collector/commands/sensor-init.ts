import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { formatPrefix, parseTelescope } from '../../schemas/address.ts'
import { isSensorId } from '../../schemas/batch.ts'
import type { Command } from '../../schemas/command.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { createFile, fileError, removeLeftBeside } from '../durable-file.ts'
import { makePrivateKey } from '../ed25519-key.ts'
import { identityText } from '../identity.ts'
import { readOrCreateKey } from '../key-file.ts'
import { requiredOption } from './required-option.ts'

export const command: Command = {
  summary: 'make the keys of a sensor, at the sensor',
  usage: `hirundo sensor init --sensor ID [--telescope CIDR[,CIDR...]] --out DIR

Makes two secrets that never leave this machine, each readable by you alone; what is there already is never changed:

  DIR/ID.key            hides destination addresses: collect --out DIR, or --key DIR/ID.key
  DIR/ID.identity.json  signs what the sensor sends: send --identity DIR/ID.identity.json

Keep a copy of DIR/ID.key: with another one, the same dark address gets another number.

  --sensor ID       name of the sensor, as the coordinator registers it: 1 to 32 lower-case letters, digits and inner
                    hyphens
  --telescope CIDR  its dark prefixes, for the line that the coordinator needs; not kept
  --out DIR         folder, made when missing`,
  options: {
    sensor: { type: 'string' },
    telescope: { type: 'string' },
    out: { type: 'string' },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `sensor init: "${positionals[0]}" is not expected`)
    const sensor = requiredOption('sensor init', values, 'sensor')
    if (!isSensorId(sensor)) {
      throw new TelescopeError(
        'SENSOR_ID_INVALID',
        `sensor "${sensor}" must be 1 to 32 lower-case letters, digits and inner hyphens`,
        { sensor },
      )
    }
    const telescope =
      typeof values['telescope'] === 'string' ? parseTelescope(values['telescope']).map(formatPrefix).join(',') : 'CIDR'
    const out = requiredOption('sensor init', values, 'out')
    try {
      mkdirSync(out, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, out)
    }
    const keyPath = join(out, `${sensor}.key`)
    const { created } = readOrCreateKey(keyPath)
    const path = join(out, `${sensor}.identity.json`)
    removeLeftBeside(path)
    if (!createFile(path, identityText({ sensor, private_key: makePrivateKey() }))) {
      throw new TelescopeError(
        'IDENTITY_EXISTS',
        `identity ${path}: is there already and stays as it is; to use it run hirundo sensor enrol --identity ${path} --hub URL --code CODE, to change its key hirundo sensor rotate`,
        { path },
      )
    }
    process.stdout.write(
      `${keyPath} ${created ? 'is made' : 'is there already, and stays'}\n${path} is made\n\n` +
        `the coordinator runs:  hirundo sensor add ${sensor} --economy CC --telescope ${telescope}\n` +
        `                       hirundo sensor invite ${sensor}\n` +
        `with the code you run: hirundo sensor enrol --identity ${path} --hub URL --code CODE\n`,
    )
    return 0
  },
}
