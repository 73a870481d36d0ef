import { readFileSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'
import { dirname, resolve } from 'node:path'
import type { CommandArguments } from '../../schemas/command.ts'
import { type ConfigValues, configDefaults, parseConfig } from '../../schemas/config.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { HUB_CONFIG } from '../../schemas/hub-config.ts'
import { readTlsFiles, type TlsFiles } from './tls-files.ts'

/** How a hub is to run: the configuration file, and the options of `serve` over it. */
export type HubSettings = ConfigValues<typeof HUB_CONFIG>

/** Members that name a file or folder. */
const PATHS = ['data', 'tls_certificate', 'tls_key', 'geography'] as const

/** The options of `serve` that are named otherwise than their member, and what they say. */
const OTHER_OPTIONS: Readonly<Record<string, (value: unknown) => Partial<Record<keyof HubSettings, unknown>>>> = {
  name: value => ({ names: value }),
  log: value => ({ log_level: value }),
  'remove-captures': value => ({ keep_captures: value !== true }),
}

/**
 * @param values options of `serve` as they were given, without defaults
 * @throws USAGE for an option that makes no sense; CONFIG_INVALID for a member of the file
 */
export function readHubSettings(values: CommandArguments['values']): HubSettings {
  const file = values['config']
  const configured = typeof file === 'string' ? readHubConfig(file) : configDefaults(HUB_CONFIG)
  const settings = { ...configured, ...optionValues(values) } as HubSettings
  const names = settings.names.map(name => name.toLowerCase())
  checkTogether(settings)
  return { ...settings, names }
}

/**
 * Reads a hub's configuration file; its paths come back absolute.
 * @throws CONFIG_INVALID
 */
export function readHubConfig(file: string): HubSettings {
  const settings = parseConfig(readConfigText(file), HUB_CONFIG, file)
  const folder = dirname(resolve(file))
  const paths = PATHS.flatMap(name => (settings[name] === undefined ? [] : [[name, resolve(folder, settings[name])]]))
  const resolved = { ...settings, ...Object.fromEntries(paths) }
  checkTogether(resolved)
  return resolved
}

/**
 * Certificate and key that a hub is configured with; null when it speaks HTTP.
 * @throws TLS_INVALID
 */
export function readTls({ tls_certificate, tls_key }: HubSettings): TlsFiles | null {
  return tls_certificate === undefined || tls_key === undefined ? null : readTlsFiles(tls_certificate, tls_key)
}

/** @throws CONFIG_INVALID */
export function readConfigText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new TelescopeError('CONFIG_INVALID', `configuration ${file} cannot be read (${code})`, { path: file }, error)
  }
}

/** Whether only this machine reaches the address. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8)
  loopback.addAddress('::1', 'ipv6')
  const family = isIP(host)
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4')
}

function optionValues(values: CommandArguments['values']): Partial<HubSettings> {
  const given: Record<string, unknown> = {}
  for (const [option, value] of Object.entries(values)) {
    if (option === 'config' || value === undefined) continue
    Object.assign(given, OTHER_OPTIONS[option]?.(value) ?? { [option.replaceAll('-', '_')]: value })
  }
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, checkedOption(name, value)]))
}

/** An option is held to the entry of its member. */
function checkedOption(name: string, value: unknown): unknown {
  const field = HUB_CONFIG[name as keyof HubSettings]
  const option = `option --${name.replaceAll('_', '-')}`
  if (field.type === 'integer') {
    const number = /^\d{1,5}$/.test(String(value)) ? Number(value) : Number.NaN
    if (number >= field.minimum && number <= field.maximum) return number
    throw new TelescopeError('USAGE', `${option} is "${value}", expected ${field.minimum} to ${field.maximum}`)
  }
  const names: readonly unknown[] | undefined = 'names' in field ? field.names : undefined
  if (names !== undefined && !names.includes(value)) {
    throw new TelescopeError('USAGE', `${option} is "${value}"; there are ${names.join(', ')}`)
  }
  return value
}

/** What no single member shows. */
function checkTogether({ host, open_reading, tls_certificate, tls_key }: HubSettings): void {
  if (open_reading && !isLoopback(host)) {
    throw new TelescopeError(
      'USAGE',
      `open reading gives everything to whoever reaches ${host}; it works on loopback only`,
      { host },
    )
  }
  if ((tls_certificate === undefined) !== (tls_key === undefined)) {
    throw new TelescopeError(
      'USAGE',
      `TLS needs tls_certificate and tls_key, and only ${tls_key === undefined ? 'the certificate' : 'the key'} is named`,
    )
  }
}
