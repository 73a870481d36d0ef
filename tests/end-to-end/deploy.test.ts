import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../schemas/config.ts'
import { SENSOR_CONFIG } from '../../schemas/sensor-config.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'

// The units in deploy/: as systemd reads them, and how little they may do.

const hasSystemd = requireExternal('systemd-analyze', hasCommand('systemd-analyze'))
const file = (name: string): string => `${ROOT}deploy/${name}`
const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' })

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
    const { stderr } = analyze('verify', file(`hirundo-${name}.service`))
    // That nothing is installed here is no mistake of the unit.
    const complaints = stderr
      .split('\n')
      .filter(line => line.includes('hirundo') && !line.includes('is not executable'))
    expect(complaints).toEqual([])
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
