import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { walkFiles } from '../../dashboard/server/walk-files.ts'
import { flipBit } from '../support/flip-bit.ts'
import { CommandProcess, runCommand } from '../support/hub-process.ts'
import { lakeFilesInUse } from '../support/lake-files.ts'
import { synCapture } from '../support/syn-capture.ts'

// A hub is backed up while it runs, wiped, and restored; and every bit that is flipped anywhere is found.

const CAPTURES = 12
let root: string
let data: string
let backup: string
let token: string
let hub: CommandProcess

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const json = (text: string) => JSON.parse(text) as Record<string, never>

async function upload(url: string, capture: Uint8Array): Promise<void> {
  const response = await fetch(`${url}/api/v1/captures/${sha256(capture)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: capture as Uint8Array<ArrayBuffer>,
  })
  expect(response.status).toBe(201)
}

async function receipts(url: string): Promise<{ sha256: string; state: string }[]> {
  const response = await fetch(`${url}/api/v1/receipts?limit=1000`, { headers: { authorization: `Bearer ${token}` } })
  return ((await response.json()) as { receipts: { sha256: string; state: string }[] }).receipts
}

/** Until all is counted or set aside and its bytes are where they stay. `expect.poll` is for tests alone. */
async function allSettled(url: string): Promise<void> {
  const check = async () => {
    expect((await receipts(url)).filter(({ state }) => state === 'received')).toEqual([])
    expect(walkFiles(data, 'inbox/captures')).toEqual([])
  }
  await vi.waitFor(check, { timeout: 60_000, interval: 100 })
}

const packets = async (url: string) => {
  const question = `${url}/api/v1/sensors?since=2025-11-01&until=2025-12-01`
  const { rows } = (await (await fetch(question, { headers: { authorization: `Bearer ${token}` } })).json()) as {
    rows: { packet_count: number }[]
  }
  return rows[0]!.packet_count
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'hirundo-backup-'))
  data = join(root, 'data')
  backup = join(root, 'backup')
  hub = new CommandProcess(['serve', '--data', data, '--port', '0'])
  const url = await hub.url()
  const sensor = ['lab-1', '--economy', 'JP', '--telescope', '198.19.1.0/24', '--data', data]
  expect((await runCommand('sensor', 'add', ...sensor)).status).toBe(0)
  token = (await runCommand('token', 'create', '--sensor', 'lab-1', '--data', data)).stdout.trim()
  // A day of its own each would make more lake files; groups make one or two.
  for (let seed = 0; seed < CAPTURES; seed++) await upload(url, synCapture(seed, 20, [198, 19, 1]))
  await upload(url, Buffer.from('no capture at all'))
  await allSettled(url)
})
afterAll(async () => {
  await hub.kill()
  rmSync(root, { recursive: true, force: true })
})

describe('backup, restore, verify', () => {
  it('copies a running hub, and only what is new the second time', async () => {
    const first = await runCommand('backup', backup, '--data', data, '--json')
    expect([first.status, first.stderr]).toEqual([0, ''])
    expect(json(first.stdout)).toMatchObject({ files_removed: 0 })
    expect(json(first.stdout)['files']).toBe(json(first.stdout)['files_copied'])
    const copies = () => walkFiles(backup, 'captures').map(path => [path, statSync(join(backup, path)).ino] as const)
    const earlier = copies()
    const url = await hub.url()
    await upload(url, synCapture(CAPTURES, 20, [198, 19, 1]))
    await allSettled(url)
    const second = await runCommand('backup', backup, '--data', data, '--json')
    // A capture, the catalog, keys, the reason of the quarantine, lake files that may have been merged meanwhile.
    expect(json(second.stdout)['files_copied']).toBeLessThan(CAPTURES)
    expect(json(second.stdout)['files_removed']).toBeGreaterThan(0)
    expect(earlier).toHaveLength(CAPTURES)
    expect(copies()).toEqual(expect.arrayContaining(earlier))
    expect(copies()).toHaveLength(CAPTURES + 1)
    // Nothing of it stays in the data folder, and copies share no bytes with it.
    expect(readdirSync(join(data, 'tmp')).filter(name => name.startsWith('snapshot-'))).toEqual([])
    const capture = walkFiles(data, 'captures')[0]!
    expect(statSync(join(backup, capture)).ino).not.toBe(statSync(join(data, capture)).ino)
    expect(statSync(join(backup, capture)).mode & 0o777).toBe(0o600)
    for (const target of [
      ['--backup', backup],
      ['--data', data],
    ]) {
      const { status, stdout } = await runCommand('verify', ...target)
      expect([status, stdout]).toEqual([0, expect.stringMatching(/^\d+ files are as they were written\n$/)])
    }
  })

  it('restores what was there: the same receipts, numbers and keys', async () => {
    const url = await hub.url()
    const before = { receipts: await receipts(url), packets: await packets(url) }
    const restored = join(root, 'restored')
    const { status, stderr } = await runCommand('restore', backup, '--data', restored)
    expect([status, stderr]).toEqual([0, ''])
    expect(readFileSync(join(restored, 'keys/lab-1.key'))).toEqual(readFileSync(join(data, 'keys/lab-1.key')))
    expect((await runCommand('verify', '--data', restored)).status).toBe(0)
    const second = new CommandProcess(['serve', '--data', restored, '--port', '0'])
    try {
      const its = await second.url()
      expect({ receipts: await receipts(its), packets: await packets(its) }).toEqual(before)
    } finally {
      await second.kill()
    }
    const again = await runCommand('restore', backup, '--data', restored)
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('[OUTPUT_UNWRITABLE]')])
    const other = await runCommand('backup', root, '--data', data)
    expect([other.status, other.stderr]).toEqual([3, expect.stringContaining('[BACKUP_INVALID]')])
    const inside = await runCommand('backup', join(data, 'backup'), '--data', data)
    expect([inside.status, inside.stderr]).toEqual([
      3,
      expect.stringMatching(/lies in the data folder.*BACKUP_INVALID/),
    ])
    expect(existsSync(join(data, 'backup'))).toBe(false)
    // By another name of the folder, and by a name that begins with two dots.
    symlinkSync(data, join(root, 'other-name'))
    for (const target of [join(root, 'other-name', 'captures', 'backup'), join(data, '..backup')]) {
      expect((await runCommand('backup', target, '--data', data)).stderr).toContain('[BACKUP_INVALID]')
    }
  })

  it('finds one bit in every file of a backup, and restores none of them', async () => {
    const files = walkFiles(backup).filter(path => path !== 'hirundo-backup')
    expect(files.length).toBeGreaterThan(CAPTURES + 3)
    for (const [index, path] of files.entries()) flipBit(join(backup, path), index)
    // With a manifest that cannot be trusted there is nothing to hold the others against: it alone is named.
    const blind = json((await runCommand('verify', '--backup', backup, '--json')).stdout)
    expect(blind['findings']).toMatchObject([{ path: 'manifest.json', problem: 'damaged' }])
    flipBit(join(backup, 'manifest.json'), files.indexOf('manifest.json'))
    const { status, stdout } = await runCommand('verify', '--backup', backup, '--json')
    expect(status).toBe(3)
    const found = (json(stdout)['findings'] as { path: string }[]).map(({ path }) => path).sort()
    expect(found).toEqual(files.filter(path => path !== 'manifest.json').sort())
    const target = join(root, 'never')
    const restored = await runCommand('restore', backup, '--data', target)
    expect([restored.status, restored.stderr]).toEqual([3, expect.stringContaining('[BACKUP_INVALID]')])
    expect(existsSync(target)).toBe(false)
    // The next backup mends a folder whose files it cannot trust only where it copies: so verify says which.
    rmSync(backup, { recursive: true })
    expect((await runCommand('backup', backup, '--data', data)).status).toBe(0)
    expect((await runCommand('verify', '--backup', backup)).status).toBe(0)
  })

  it('finds one bit in every received and every lake file, a lost file and a damaged key of a hub', async () => {
    // A running hub may merge lake files meanwhile.
    process.kill(hub.child.pid!, 'SIGTERM')
    expect((await hub.finished).status).toBe(0)
    const lake = await lakeFilesInUse(data)
    const received = ['captures', 'inbox/quarantine'].flatMap(folder => walkFiles(data, folder))
    const files = [...lake, ...received.filter(path => !path.endsWith('.json'))]
    for (const [index, path] of files.entries()) flipBit(join(data, path), index * 7)
    writeFileSync(join(data, 'keys/lab-1.key'), 'no key\n')
    const { status, stdout } = await runCommand('verify', '--data', data, '--json')
    const findings = json(stdout)['findings'] as { path: string; problem: string }[]
    expect(status).toBe(3)
    expect(findings.map(({ path }) => path).sort()).toEqual([...files, 'keys/lab-1.key'].sort())
    rmSync(join(data, lake[0]!))
    const lost = await runCommand('verify', '--data', data)
    expect([lost.status, lost.stdout]).toEqual([3, expect.stringContaining('missing')])
  })
})
