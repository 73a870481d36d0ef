import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readHubConfig, readHubSettings } from '../../dashboard/server/hub-settings.ts'
import { configDefaults, parseConfig } from '../../schemas/config.ts'
import { CONFIG_KINDS, parseAnyConfig } from '../../schemas/config-kinds.ts'
import { configurationPage } from '../../schemas/configuration-page.ts'
import { HUB_CONFIG } from '../../schemas/hub-config.ts'
import { ROOT } from '../support/external.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

const folder = temporaryFolders()

function configFile(members: object): string {
  const path = join(folder(), 'hub.json')
  writeFileSync(path, JSON.stringify({ kind: 'hub', ...members }))
  return path
}

async function check(members: object): Promise<number> {
  const { command } = await import('../../dashboard/server/commands/config.ts')
  return await command.run({ values: {}, positionals: ['check', configFile(members)] })
}

const withCode = (code: string, message = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(message) })

describe('settings of a hub', () => {
  it('are the documented defaults when nothing is said', () => {
    expect(readHubSettings({})).toEqual(parseConfig('{"kind": "hub"}', HUB_CONFIG, 'f'))
    expect(readHubSettings({})).toMatchObject({ host: '127.0.0.1', port: 8080, log_level: 'info', keep_captures: true })
  })

  it('come from the file, relative to it, and options win', () => {
    const config = configFile({
      data: 'd',
      port: 9000,
      names: ['Hub.Example'],
      geography: '/g.csv',
      log_level: 'debug',
    })
    const settings = readHubSettings({
      config,
      port: '0',
      log: 'warn',
      'remove-captures': true,
      'metrics-port': '9100',
      data: undefined,
    })
    expect(settings).toMatchObject({
      data: join(config, '../d'),
      geography: '/g.csv',
      port: 0,
      names: ['hub.example'],
      log_level: 'warn',
      keep_captures: false,
      metrics_port: 9100,
    })
    expect(readHubSettings({ config, data: 'here' }).data).toBe('here')
  })

  it.each([
    [{ port: 'http' }, 'USAGE', 'option --port is "http"'],
    [{ port: '65536' }, 'USAGE', '0 to 65535'],
    [{ log: 'loud' }, 'USAGE', 'silent, error, warn, info, debug'],
    [{ 'log-format': 'xml' }, 'USAGE', 'auto, json, text'],
    [{ host: '0.0.0.0', 'open-reading': true }, 'USAGE', 'loopback only'],
    [{ 'tls-key': 'k' }, 'USAGE', 'only the key is named'],
    [{ config: '/nowhere/hub.json' }, 'CONFIG_INVALID', 'ENOENT'],
  ])('%j is refused', (values, code, message) => {
    expect(() => readHubSettings(values)).toThrow(withCode(code, message))
  })

  it('are refused in a file as they are in options', () => {
    for (const [members, code] of [
      [{ prot: 1 }, 'CONFIG_INVALID'],
      [{ metrics_port: 0 }, 'CONFIG_INVALID'],
      [{ log_level: 'loud' }, 'CONFIG_INVALID'],
      [{ open_reading: true, host: '192.0.2.1' }, 'USAGE'],
      [{ tls_certificate: 'c' }, 'USAGE'],
    ] as const) {
      expect(() => readHubConfig(configFile(members))).toThrow(withCode(code))
    }
  })

  it('name files that are there, or the check says which is not', async () => {
    const nowhere = join(folder(), 'nowhere')
    for (const [members, code] of [
      [{ tls_certificate: nowhere, tls_key: nowhere }, 'TLS_INVALID'],
      [{ geography: nowhere }, 'GEOGRAPHY_INVALID'],
    ] as const) {
      await expect(check(members)).rejects.toThrow(withCode(code, nowhere))
    }
  })

  it('of a hub that could not start, or a sensor that could not run, are told by the check', async () => {
    const sensor = {
      kind: 'sensor',
      sensor: 'a',
      telescope: ['192.0.2.0/24'],
      hub: 'http://h',
      identity: 'i',
      spool: 's',
    }
    for (const [members, code] of [
      [{ keep: ['flows=0'] }, 'USAGE'],
      [{ host: 'no host' }, 'USAGE'],
      [sensor, 'USAGE'],
      [{ ...sensor, watch: 'w', follow: 'f' }, 'USAGE'],
      [{ ...sensor, watch: 'w', sensor: 'My' }, 'USAGE'],
      [{ ...sensor, watch: 'w', hub: 'nohub' }, 'USAGE'],
      [{ ...sensor, watch: 'w', telescope: ['192.0.2.1/24'] }, 'ADDRESS_INVALID'],
    ] as const) {
      await expect(check(members), JSON.stringify(members)).rejects.toThrow(withCode(code))
    }
    expect(await check({ ...sensor, watch: 'w' })).toBe(0)
  })

  it('of an unknown kind are refused, and the page has every member of every kind', () => {
    for (const text of ['{}', '{"kind": "boat"}', '{"kind": "toString"}', '{"kind": 1}']) {
      expect(() => parseAnyConfig(text, 'f')).toThrow(withCode('CONFIG_INVALID', '"kind"'))
    }
    const page = readFileSync(join(ROOT, 'docs/CONFIGURATION.md'), 'utf8')
    expect(page).toBe(configurationPage())
    for (const [kind, table] of Object.entries(CONFIG_KINDS)) {
      for (const name of Object.keys(table)) expect(page).toContain(`| \`${name}\` |`)
      // The defaults that are printed are a right file of the kind.
      if (Object.values(table).every(field => !field.required || field.type !== 'text' || field.names?.length === 1)) {
        expect(parseAnyConfig(JSON.stringify(configDefaults(table)), 'f').kind).toBe(kind)
      }
    }
  })
})
