import { type ConfigTable, type ConfigValues, configJson, parseConfig } from './config.ts'
import { TelescopeError } from './errors.ts'
import { HUB_CONFIG } from './hub-config.ts'
import { SENSOR_CONFIG } from './sensor-config.ts'

/** The table of each kind of configuration file; a file names its kind in the member "kind". */
export const CONFIG_KINDS: Readonly<Record<string, ConfigTable>> = { hub: HUB_CONFIG, sensor: SENSOR_CONFIG }

/**
 * Reads a configuration file of any kind.
 * @param where name of the file, for messages
 * @throws CONFIG_INVALID
 */
export function parseAnyConfig(text: string, where: string): { kind: string; values: ConfigValues<ConfigTable> } {
  const { kind } = configJson(text, where)
  if (typeof kind !== 'string' || !Object.hasOwn(CONFIG_KINDS, kind)) {
    const actual = kind === undefined ? 'is missing' : `is ${JSON.stringify(kind)?.slice(0, 60)}`
    throw new TelescopeError(
      'CONFIG_INVALID',
      `configuration ${where}: member "kind" ${actual}, expected ${Object.keys(CONFIG_KINDS).join(' or ')}`,
      { path: where, line: null },
    )
  }
  return { kind, values: parseConfig(text, CONFIG_KINDS[kind]!, where) }
}
