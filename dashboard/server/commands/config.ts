import { openGeography } from '../../../analytics/geography.ts'
import { parseTelescope } from '../../../schemas/address.ts'
import { isSensorId } from '../../../schemas/batch.ts'
import type { Command, CommandArguments } from '../../../schemas/command.ts'
import { configDefaults, describeConfig, parseConfig } from '../../../schemas/config.ts'
import { CONFIG_KINDS, parseAnyConfig } from '../../../schemas/config-kinds.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { parseRetention } from '../../../schemas/retention.ts'
import { SENSOR_CONFIG, type SensorConfig } from '../../../schemas/sensor-config.ts'
import { readConfigText, readHubConfig, readTls } from '../hub-settings.ts'

const KINDS = Object.keys(CONFIG_KINDS).join('|')

export const command: Command = {
  summary: 'check and explain configuration files',
  usage: `hirundo config check FILE
hirundo config show [${KINDS}] [--defaults]

check says what is wrong with a file, with its line, and with TLS and geography files of a hub; it ends with status 2; the member "kind" says what it configures.
show explains every member.

  --defaults  print a file with every default instead, to begin with`,
  options: { defaults: { type: 'boolean', default: false } },
  async run({ values, positionals }) {
    const [action, subject, ...more] = positionals
    if (more.length === 0 && action === 'check' && subject !== undefined) return check(subject)
    if (more.length === 0 && action === 'show') return show(subject ?? 'hub', values)
    throw new TelescopeError('USAGE', 'config: say "config check FILE" or "config show"; see hirundo config --help')
  },
}

function check(file: string): number {
  const text = readConfigText(file)
  const { kind } = parseAnyConfig(text, file)
  // What no single member shows.
  if (kind === 'hub') {
    const settings = readHubConfig(file)
    readTls(settings)
    parseRetention(settings.keep)
    checkHost(settings.host)
    if (settings.geography !== undefined) openGeography(settings.geography)
  }
  if (kind === 'sensor') checkSensor(parseConfig(text, SENSOR_CONFIG, file))
  const more = kind === 'sensor' ? '; hirundo sensor run --config FILE --check looks at the files that it names' : ''
  process.stdout.write(`${file} is a right configuration of a ${kind}${more}\n`)
  return 0
}

function checkHost(host: string): void {
  if (/^[A-Za-z0-9.:%-]+$/.test(host)) return
  throw new TelescopeError('USAGE', `host "${host}" is neither an address nor a name of this machine`)
}

/** What the program of a sensor checks itself, as far as the file alone shows it. */
function checkSensor({ sensor, telescope, hub, watch, follow }: SensorConfig): void {
  if (!isSensorId(sensor)) {
    throw new TelescopeError('USAGE', `sensor "${sensor}" must be 1 to 32 lower-case letters, digits and inner hyphens`)
  }
  parseTelescope(telescope.join(','))
  if (!URL.canParse(hub) || !/^https?:$/.test(new URL(hub).protocol)) {
    throw new TelescopeError('USAGE', `hub "${hub}" is no address, such as https://hub.example`)
  }
  if ((watch === undefined) === (follow === undefined)) {
    throw new TelescopeError('USAGE', 'the configuration names watch or follow, one of them')
  }
}

function show(kind: string, values: CommandArguments['values']): number {
  const table = Object.hasOwn(CONFIG_KINDS, kind) ? CONFIG_KINDS[kind] : undefined
  if (!table) throw new TelescopeError('USAGE', `configuration "${kind}" is unknown; there are ${KINDS}`)
  process.stdout.write(
    values['defaults'] ? `${JSON.stringify(configDefaults(table), null, 2)}\n` : describeConfig(table),
  )
  return 0
}
