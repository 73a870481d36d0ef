import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../schemas/config.ts'
import { SENSOR_CONFIG } from '../../schemas/sensor-config.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'

// The units in deploy/: as systemd reads them, and how little they may do.

const hasSystemd = requireExternal('systemd-analyze', hasCommand('systemd-analyze'))
const file = (name: string): string => `${ROOT}deploy/${name}`
const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' })

/** A root folder with the units, what they start, and the units of this machine's systemd, on which they stand. */
function installed(): string {
  const root = temporaryFolder()
  const units = join(root, 'etc/systemd/system')
  cpSync('/usr/lib/systemd/system', join(root, 'usr/lib/systemd/system'), { recursive: true, verbatimSymlinks: true })
  mkdirSync(units, { recursive: true })
  for (const name of readdirSync(file(''))) if (name.endsWith('.service')) cpSync(file(name), join(units, name))
  for (const program of ['opt/hirundo/bin/hirundo', 'usr/bin/tcpdump']) {
    mkdirSync(dirname(join(root, program)), { recursive: true })
    writeFileSync(join(root, program), '', { mode: 0o755 })
  }
  return root
}

describe.skipIf(!hasSystemd)('units', () => {
  it.each([
    ['hirundo-sensor.service', 1.5],
    ['hirundo-hub.service', 1.5],
    ['hirundo-capture.service', 1.6],
  ])('%s has an exposure of %f at most', (name, most) => {
    const { stdout } = analyze('security', '--offline=true', '--no-pager', file(name))
    const overall = /Overall exposure level for \S+: (\d+\.\d)/.exec(stdout)?.[1]
    expect(Number(overall), stdout).toBeLessThanOrEqual(most)
  })

  it.each(['sensor', 'hub', 'capture'])('hirundo-%s is understood without a complaint', name => {
    const { status, stdout, stderr } = analyze('verify', `--root=${installed()}`, `hirundo-${name}.service`)
    expect([status, stdout, stderr]).toEqual([0, '', ''])
  })

  it('would be complained about with a misspelt name', () => {
    const root = installed()
    appendFileSync(join(root, 'etc/systemd/system/hirundo-hub.service'), '\n[Service]\nProtectHomes=yes\n')
    expect(analyze('verify', `--root=${root}`, 'hirundo-hub.service').stderr).toContain("'ProtectHomes'")
  })
})

it('the example of a configuration is one, and the units make the folders that it names', () => {
  const config = parseConfig(readFileSync(file('sensor.json'), 'utf8'), SENSOR_CONFIG, 'sensor.json')
  const tmpfiles = readFileSync(file('hirundo.tmpfiles'), 'utf8')
  for (const folder of [config.spool, config.watch!]) {
    expect(tmpfiles).toContain(`d ${folder} `)
    const unit = readFileSync(file(`${folder.replace('/var/lib/', '')}.service`), 'utf8')
    expect(unit).toContain(`StateDirectory=${folder.replace('/var/lib/', '')}\n`)
  }
})
