import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Command } from '../../schemas/command.ts'
import { parseConfig } from '../../schemas/config.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { SENSOR_CONFIG, type SensorConfig } from '../../schemas/sensor-config.ts'

const PATHS = ['identity', 'spool', 'watch', 'follow', 'key'] as const

export const command: Command = {
  summary: 'collects and sends, for ever, at the sensor',
  usage: `hirundo sensor run --config FILE [--check]

Reads captures as they grow and are rotated, and sends what they come to, until a signal. May be killed at any moment
and started again: each packet is counted once. Batches wait in the spool while the hub is away; their numbers tell the
hub what never came. One line an event goes to standard error.

FILE is one JSON object with these members:

${Object.entries(SENSOR_CONFIG)
  .map(([name, field]) => `  ${name.padEnd(20)} ${field.doc}${'required' in field ? ' Required.' : ''}`)
  .join('\n')}

  --check  look at FILE and at the files that it names, say what is wrong, and end

Exit status: 0 told to stop, or nothing wrong; 2 the configuration or a file that it names is wrong; 1 a failure of the machine.`,
  options: { config: { type: 'string' }, check: { type: 'boolean', default: false } },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `sensor run: "${positionals[0]}" is not expected`)
    const path = values['config']
    if (typeof path !== 'string') throw new TelescopeError('USAGE', 'sensor run: --config is missing')
    const config = parseConfig(readConfig(path), SENSOR_CONFIG, path)
    const { checkSensorConfig, runSensor } = await import('../run-sensor.ts')
    const resolved = { ...config, ...resolvedPaths(config, dirname(resolve(path))) }
    if (!values['check']) {
      await runSensor(resolved)
      return 0
    }
    const { hub, path: captures } = checkSensorConfig(resolved)
    const missing = existsSync(captures) ? '' : ', which is not there yet,'
    process.stdout.write(`sensor ${config.sensor}: would read ${captures}${missing} and send to ${hub.origin}\n`)
    return 0
  },
}

/** Paths are relative to the folder of the file, wherever the command is started. */
function resolvedPaths(config: SensorConfig, folder: string): Partial<SensorConfig> {
  return Object.fromEntries(
    PATHS.flatMap(name => (config[name] === undefined ? [] : [[name, resolve(folder, config[name])]])),
  )
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { message } = error as Error
    throw new TelescopeError('CONFIG_INVALID', `configuration ${path}: cannot be read (${message})`, { path }, error)
  }
}
