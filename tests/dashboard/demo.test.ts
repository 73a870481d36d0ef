import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Answer, Status } from '../../schemas/api.ts'
import { CommandProcess, processesWith, runCommand } from '../support/hub-process.ts'

// The demo as a process: a short region through the real path, again and again on one folder.

// Each test starts many processes, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

let data: string
const running: CommandProcess[] = []
beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), 'hirundo-demo-'))
})
afterEach(async () => {
  for (const command of running.splice(0)) await command.kill()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

function demo(...more: string[]): CommandProcess {
  const command = new CommandProcess(['demo', '--data', data, '--port', '0', '--days', '3', ...more])
  running.push(command)
  return command
}

const truth = () => JSON.parse(readFileSync(join(data, 'region', 'truth.json'), 'utf8'))
const get = async <T>(url: string) => (await (await fetch(url)).json()) as T

async function allCounted(url: string): Promise<Status> {
  const status = () => get<Status>(`${url}/api/v1/status`)
  await expect.poll(async () => (await status()).demo?.counted, { timeout: 60_000 }).toBe(truth().captures.length)
  return await status()
}

async function packets(url: string): Promise<number> {
  const { start, end } = truth()
  const { rows } = await get<Answer<'sensors'>>(`${url}/api/v1/sensors?since=${start}&until=${end}`)
  return rows.reduce((sum, row) => sum + row.packet_count, 0)
}

/** What a demo says while its page is not there yet. */
const STAGES = /^hirundo: (simulating \d+ days of six sensors; this is done once|counting \d+ captures) …\n/gm

async function stop(command: CommandProcess, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
  command.child.kill(signal)
  const { status, stderr } = await command.finished
  expect([status, stderr.replace(STAGES, '')]).toEqual([0, ''])
  expect(await processesWith(data)).toEqual([])
}

describe('a demo', () => {
  it('stopped while it simulates ends cleanly', async () => {
    const command = demo()
    await expect.poll(() => existsSync(join(data, 'demo.json')), { timeout: 20_000 }).toBe(true)
    await expect.poll(() => processesWith(data).then(list => list.length), { timeout: 20_000 }).toBeGreaterThan(1)
    await stop(command)
  })

  it('killed while it uploads goes on at the next start, and nothing is counted twice', async () => {
    const command = demo()
    const receipts = join(data, 'hub', 'inbox', 'captures')
    await expect.poll(() => existsSync(receipts), { timeout: 60_000, interval: 5 }).toBe(true)
    await command.kill()
    const again = demo()
    const url = await again.url(60)
    const status = await allCounted(url)
    expect(status).toMatchObject({
      role: 'analyst',
      uploads: { quarantined: 0 },
      geography: expect.stringContaining('geography'),
    })
    expect(status.demo!.scale).toBe(truth().scale)
    expect(await packets(url)).toBe(truth().totals.packets)
    expect(again.stdout).toContain('DEMO DATA')
    expect(command.stderr).toMatch(/^hirundo: simulating 3 days of six sensors.* …\nhirundo: counting \d+ captures …\n/)
    expect(again.stderr).toBe(`hirundo: counting ${truth().captures.length} captures …\n`)
    expect(again.stdout.match(/^ {2}http:\/\/127\.0\.0\.1:\d+\/\S+$/gm)!.length).toBeGreaterThanOrEqual(2)
    await stop(again)
  })

  it("is there at once the next time, with a capture of one's own", async () => {
    const command = demo()
    const url = await command.url(30)
    expect((await get<Status>(`${url}/api/v1/status`)).demo).toMatchObject({ counted: truth().captures.length })
    expect(await packets(url)).toBe(truth().totals.packets)
    const hub = join(data, 'hub')
    const added = await runCommand(
      'sensor',
      'add',
      'mine',
      '--economy',
      'JP',
      '--telescope',
      '198.19.1.0/24',
      '--data',
      hub,
    )
    expect(added.status).toBe(0)
    const second = await runCommand('demo', '--data', data, '--port', '0')
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining(`already at ${url}/`)])
    expect(second.stderr).toContain('[DATA_IN_USE]')
    await stop(command, 'SIGTERM')
  })

  it('says when its data has grown old, and takes the next port when one is busy', async () => {
    const path = join(data, 'region', 'truth.json')
    const old = new Date(Date.now() - 10 * 86_400_000).toISOString().slice(0, 10)
    writeFileSync(path, JSON.stringify({ ...truth(), end: old }))
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const command = new CommandProcess(['demo', '--data', data, String(port)])
    running.push(command)
    const url = await command.url(30)
    expect(Number(new URL(url).port)).toBeGreaterThan(port)
    await expect.poll(() => command.stdout).toMatch(/ends 10 days ago; .*demo --reset/)
    await stop(command)
    server.close()
  })

  it('of another version, or a folder of something else, is not touched', async () => {
    const state = readFileSync(join(data, 'demo.json'), 'utf8')
    writeFileSync(join(data, 'demo.json'), JSON.stringify({ ...JSON.parse(state), version: '0.0' }))
    const other = await runCommand('demo', '--data', data, '--port', '0')
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining('[DATA_VERSION_UNSUPPORTED]')])
    expect(other.stderr).toContain('--reset')
    const foreign = join(data, 'foreign')
    mkdirSync(foreign)
    writeFileSync(join(foreign, 'thesis.txt'), 'mine')
    for (const more of [[], ['--reset']]) {
      const refused = await runCommand('demo', '--data', foreign, '--port', '0', ...more)
      expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('[USAGE]')])
    }
    expect(readFileSync(join(foreign, 'thesis.txt'), 'utf8')).toBe('mine')
  })

  it('is made anew by --reset', async () => {
    const command = demo('--reset')
    const url = await command.url(60)
    await allCounted(url)
    expect(await packets(url)).toBe(truth().totals.packets)
    const { rows } = await get<Answer<'sensors'>>(`${url}/api/v1/sensors`)
    expect(rows.map(row => row.sensor)).not.toContain('mine')
    await stop(command)
  })
})
