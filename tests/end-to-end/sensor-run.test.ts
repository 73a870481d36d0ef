import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { Receipt } from '../../schemas/catalog.ts'
import { CommandProcess, runCommand } from '../support/hub-process.ts'
import { synCapture } from '../support/syn-capture.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// `hirundo sensor run` from a folder of captures to the numbers of a real hub, and to its end by SIGTERM.

const newFolder = temporaryFolders()
const started: CommandProcess[] = []
afterAll(() => Promise.all(started.map(command => command.kill())))
const start = (args: readonly string[]): CommandProcess => {
  const command = new CommandProcess(args)
  started.push(command)
  return command
}

it('collects, sends, and ends without losing a packet', { timeout: 120_000 }, async () => {
  const folder = newFolder()
  const at = (name: string): string => join(folder, name)
  const hub = start(['serve', '--data', at('data'), '--port', '0'])
  const url = await hub.url()
  const data = ['--data', at('data')]
  expect(
    (await runCommand('sensor', 'add', 'jp-1', '--economy', 'JP', '--telescope', '203.0.113.0/24', ...data)).status,
  ).toBe(0)
  const { stdout: token } = await runCommand('token', 'create', '--sensor', 'jp-1', '--json', ...data)
  writeFileSync(at('identity.json'), token, { mode: 0o600 })
  mkdirSync(at('captures'))
  const config = {
    kind: 'sensor',
    sensor: 'jp-1',
    telescope: ['203.0.113.0/24'],
    hub: url,
    identity: at('identity.json'),
    spool: at('spool'),
    watch: at('captures'),
    batch_seconds: 60,
  }
  writeFileSync(at('sensor.json'), JSON.stringify(config))
  const sensor = start(['sensor', 'run', '--config', at('sensor.json')])
  writeFileSync(at('captures/1.pcap'), synCapture(1, 30, [203, 0, 113]))
  writeFileSync(at('captures/2.pcap'), synCapture(2, 40, [203, 0, 113]))
  // A packet of the second minute ends the batch of the first.
  await expect.poll(() => sensor.stderr, { timeout: 60_000 }).toMatch(/received by the hub as upload [0-9a-f]{12}/)
  sensor.child.kill('SIGTERM')
  const { status, stderr } = await sensor.finished
  expect(status, stderr).toBe(0)
  expect(stderr.trim().split('\n').at(-1)).toMatch(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ info sensor jp-1: stopped; 0 batches wait$/,
  )
  const receipts = readdirSync(at('spool/receipts')).map(
    name => JSON.parse(readFileSync(join(at('spool/receipts'), name), 'utf8')) as Receipt,
  )
  // Windows of a minute begin at whole minutes, so there are three.
  expect(receipts.map(({ sequence }) => sequence).sort()).toEqual([1, 2, 3])
  expect(new Set(receipts.map(({ spool }) => spool)).size).toBe(1)
  const sensors = async () => {
    const { stdout } = await runCommand('sensor', 'list', '--json', ...data)
    return (JSON.parse(stdout) as { sensors: { packet_count: number }[] }).sensors
  }
  await expect.poll(async () => (await sensors())[0]!.packet_count, { timeout: 30_000, interval: 500 }).toBe(70)
  const health = await runCommand('sensor', 'health', ...data)
  expect(health.stdout).toMatch(/^sensor +last upload .*\njp-1 +\d{4}-/)
})

it.each<[string, object, string]>([
  ['no file', {}, 'CONFIG_INVALID'],
  ['watch and follow', { watch: '/a', follow: '/b' }, 'USAGE'],
  ['neither', {}, 'USAGE'],
  ['a hub that is no address', { watch: '/a', hub: 'hub.example' }, 'USAGE'],
  ['an identity of another sensor', { watch: '/a', sensor: 'jp-2' }, 'IDENTITY_INVALID'],
  ['a prefix that is none', { watch: '/a', telescope: ['203.0.113.1/24'] }, 'ADDRESS_INVALID'],
])('refuses a configuration with %s', async (what, members, code) => {
  const folder = newFolder()
  const identity = join(folder, 'identity.json')
  writeFileSync(identity, JSON.stringify({ sensor: 'jp-1', token: '0123456789abcdef' }), { mode: 0o600 })
  const common = { kind: 'sensor', sensor: 'jp-1', telescope: ['203.0.113.0/24'], hub: 'http://127.0.0.1:9', identity }
  const path = join(folder, 'sensor.json')
  if (what !== 'no file') writeFileSync(path, JSON.stringify({ ...common, spool: join(folder, 'spool'), ...members }))
  for (const check of [[], ['--check']]) {
    const { status, stderr } = await runCommand('sensor', 'run', '--config', path, ...check)
    expect([status, stderr]).toEqual([2, expect.stringContaining(`[${code}]`)])
  }
})

it('checks a configuration and makes nothing', async () => {
  const folder = newFolder()
  const common = { kind: 'sensor', sensor: 'jp-1', telescope: ['203.0.113.0/24'], hub: 'http://127.0.0.1:9' }
  const [path, identity] = [join(folder, 'sensor.json'), join(folder, 'identity.json')]
  writeFileSync(identity, JSON.stringify({ sensor: 'jp-1', token: '0123456789abcdef' }), { mode: 0o600 })
  writeFileSync(path, JSON.stringify({ ...common, identity, spool: 'spool', watch: 'captures', key: 'a.key' }))
  const check = () => runCommand('sensor', 'run', '--config', path, '--check')
  expect(await check()).toMatchObject({
    status: 0,
    stdout: `sensor jp-1: would read ${join(folder, 'captures')}, which is not there yet, and send to http://127.0.0.1:9\n`,
  })
  expect(readdirSync(folder).sort()).toEqual(['identity.json', 'sensor.json'])
  writeFileSync(join(folder, 'a.key'), 'no key', { mode: 0o600 })
  expect(await check()).toMatchObject({ status: 2, stderr: expect.stringContaining('[KEY_INVALID]') })
})
