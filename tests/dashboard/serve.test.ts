import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Receipt } from '../../schemas/catalog.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { CommandProcess, runCommand } from '../support/hub-process.ts'
import { synCapture } from '../support/syn-capture.ts'

// The hub as a process, with its commands, as an operator meets it. Runs what is built.

const CAPTURE = join(ROOT, 'fixtures/captures/masscan-syn-23.pcap')
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

// Each test starts many processes, and the machine may be busy with others.
vi.setConfig({ testTimeout: 300_000 })

let data: string
let running: CommandProcess[]
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'hirundo-serve-'))
  running = []
})
afterEach(async () => {
  for (const command of running) await command.kill()
  rmSync(data, { recursive: true, force: true })
})

async function serve(...more: string[]): Promise<{ hub: CommandProcess; url: string }> {
  const hub = new CommandProcess(['serve', '--data', data, '--port', '0', ...more])
  running.push(hub)
  return { hub, url: await hub.url() }
}

/** Makes the hub's folder, as an operator does: only serve makes one. */
async function makeHub(): Promise<void> {
  const { hub } = await serve()
  hub.child.kill('SIGTERM')
  expect((await hub.finished).status).toBe(0)
}

async function makeToken(...what: string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand('token', 'create', ...what, '--data', data)
  expect([status, stderr]).toEqual([0, ''])
  return stdout.trim()
}

async function addLaboratory(): Promise<string> {
  const added = await runCommand(
    'sensor',
    'add',
    'lab-1',
    '--economy',
    'jp',
    '--telescope',
    '198.19.1.0/24',
    '--data',
    data,
  )
  expect([added.status, added.stderr]).toEqual([0, ''])
  return await makeToken('--sensor', 'lab-1')
}

const put = (url: string, token: string, bytes: Uint8Array) =>
  fetch(`${url}/api/v1/captures/${sha256(bytes)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: bytes as Uint8Array<ArrayBuffer>,
  })

const read = async (url: string, token: string) => {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  return { status: response.status, body: (await response.json()) as Record<string, never> }
}

async function receipts(url: string, token: string): Promise<Receipt[]> {
  const { body } = await read(`${url}/api/v1/receipts?limit=1000`, token)
  return body['receipts']!
}

describe('the way of an operator', () => {
  it('from an empty folder to a capture on the page', async () => {
    const { hub, url } = await serve()
    expect(statSync(data).mode & 0o777).toBe(0o700)
    expect(statSync(join(data, 'hub.sock')).mode & 0o777).toBe(0o600)
    const token = await addLaboratory()
    expect(statSync(join(data, 'keys', 'lab-1.key')).mode & 0o777).toBe(0o600)
    const received = await put(url, token, readFileSync(CAPTURE))
    expect(received.status).toBe(201)
    expect(((await received.json()) as Receipt).state).toBe('received')
    // The lines that serve prints, as a script follows them.
    const asked = /^what became of it: +curl .* "(http\S+\/receipts\/)\$\(.*\)(\?wait=30)"$/m.exec(hub.stdout)!
    const end = await read(`${asked[1]}${sha256(readFileSync(CAPTURE))}${asked[2]}`, token)
    expect(end).toMatchObject({ status: 200, body: { state: 'counted' } })
    const analyst = await makeToken('--role', 'analyst')
    const { body } = await read(`${url}/api/v1/ports?since=2026-01-01&until=2027-01-01&compare=none`, analyst)
    expect(body['rows']).toMatchObject([{ protocol: 'tcp', service_port: 23, packet_count: 64 }])
    const list = await runCommand('sensor', 'list', '--data', data, '--json')
    expect(JSON.parse(list.stdout).sensors).toMatchObject([{ sensor: 'lab-1', economy: 'JP', pending_count: 0 }])
    const again = await runCommand(
      'sensor',
      'add',
      'lab-1',
      '--economy',
      'JP',
      '--telescope',
      '192.0.2.0/24',
      '--data',
      data,
    )
    expect([again.status, again.stderr]).toEqual([2, expect.stringContaining('[SENSOR_EXISTS]')])

    // The link that serve printed signs a browser in.
    const link = /\/sign-in#(\S+)/.exec(hub.stdout)![1]!
    const signedIn = await fetch(`${url}/api/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: link }),
    })
    expect(await signedIn.json()).toEqual({ role: 'coordinator' })

    const tokens = JSON.parse((await runCommand('token', 'list', '--data', data, '--json')).stdout).tokens
    const { token_id } = tokens.find((row: { role: string }) => row.role === 'analyst')
    expect((await runCommand('token', 'revoke', token_id, '--data', data)).status).toBe(0)
    expect((await read(`${url}/api/v1/ports`, analyst)).status).toBe(401)
    const log = JSON.parse((await runCommand('audit', '--limit', '2', '--data', data, '--json')).stdout)
    expect(log.broken_sequence).toBeNull()
    expect(log.entries).toMatchObject([
      { actor: 'local', action: 'token revoke', subject: `token ${token_id}` },
      { actor: 'local', action: 'token create', subject: `token ${token_id}` },
    ])

    // The catalog is on disk before the answer, so nothing but the hub's own files may hold a token.
    hub.child.kill('SIGTERM')
    const { status, stderr } = await hub.finished
    expect(status).toBe(0)
    // What happened, in words, and nothing that went wrong.
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as { level: string; msg: string })
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([])
    const said = lines.map(({ msg }) => msg).join('\n')
    expect(said).toMatch(/^received capture of lab-1: \d+ bytes \([0-9a-f]{12}\)$/m)
    expect(said).toMatch(/^counted lab-1: 64 of 64 packets/m)
    expect(said).toContain('[UNAUTHENTICATED]')
    expect(existsSync(join(data, 'hub.sock'))).toBe(false)
    expect(readdirSync(join(data, 'inbox', 'tmp'))).toEqual([])
  })

  it('works without a running hub, too', async () => {
    await makeHub()
    const token = await addLaboratory()
    const list = await runCommand('sensor', 'list', '--data', data)
    expect(list.stdout).toMatch(/^sensor +economy +addresses .*\nlab-1 +JP +256 +- +never( +0){4}\n$/)
    const { url } = await serve()
    expect((await read(`${url}/api/v1/receipts`, token)).status).toBe(200)
  })

  it('a wrong data folder is named, and no hub is made there', async () => {
    const wrong = join(data, 'wrong')
    const add = ['sensor', 'add', 'x-1', '--economy', 'JP', '--telescope', '192.0.2.0/24']
    const report = ['report', '--week', '2026-W46', '--out', join(data, 'out')]
    for (const args of [add, ['sensor', 'list'], ['token', 'create', '--role', 'analyst'], ['token', 'list'], report]) {
      const { status, stdout, stderr } = await runCommand(...args, '--data', wrong)
      expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining('[NOT_FOUND]')])
      expect(stderr).toContain(`data folder ${wrong} holds no hub's data; start hirundo serve --data ${wrong} first`)
      expect(existsSync(wrong)).toBe(false)
    }
  })

  it('meets clear errors', async () => {
    const { url } = await serve()
    const second = await runCommand('serve', '--data', data, '--port', '0')
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining('[DATA_IN_USE]')])
    const busy = await runCommand('serve', '--data', join(data, 'other'), '--port', new URL(url).port)
    expect([busy.status, busy.stderr]).toEqual([1, expect.stringContaining('[PORT_IN_USE]')])
    const slips = [
      ['serve', '--data', data, '--port', 'http'],
      ['serve', '--data', data, '--host', '0.0.0.0', '--open-reading'],
      ['serve', '--data', data, '--log', 'loud'],
      ['serve', 'now'],
      ['sensor', 'add'],
      ['sensor', 'add', 'x-1', '--data', data],
      ['token', 'create', '--data', data],
      ['token'],
    ]
    const answers = await Promise.all(slips.map(args => runCommand(...args)))
    expect(answers.map(({ status, stdout }) => [status, stdout])).toEqual(slips.map(() => [2, '']))
    const unknown = await runCommand('token', 'revoke', 'nothing', '--data', data)
    expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining('[NOT_FOUND]')])
    const long = await runCommand('serve', '--data', join(data, 'x'.repeat(120)), '--port', '0')
    expect([long.status, long.stderr]).toEqual([1, expect.stringContaining('[OUTPUT_UNWRITABLE]')])
  })

  it('told to stop during a slow upload it ends soon, and nothing of the upload stays', async () => {
    await makeHub()
    const token = await addLaboratory()
    const { hub, url } = await serve()
    const call = request(`${url}/api/v1/captures/${'a'.repeat(64)}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-length': '1000000' },
    })
    call.on('error', () => {})
    call.write('the beginning')
    await expect.poll(() => readdirSync(join(data, 'inbox', 'tmp')).length).toBe(1)
    const asked = performance.now()
    hub.child.kill('SIGTERM')
    expect((await hub.finished).status).toBe(0)
    expect(performance.now() - asked).toBeLessThan(15_000)
    expect(readdirSync(join(data, 'inbox', 'tmp'))).toEqual([])
    call.destroy()
  })

  it('a second hub takes over a socket that a killed one left', async () => {
    const { hub } = await serve()
    await hub.kill()
    expect(existsSync(join(data, 'hub.sock'))).toBe(true)
    expect((await runCommand('sensor', 'list', '--data', data)).status).toBe(0)
    await serve()
    expect((await runCommand('sensor', 'list', '--data', data)).status).toBe(0)
  })
})

describe('kill -9', () => {
  it('at any moment loses no upload that has a receipt, and counts none twice', async () => {
    let { hub, url } = await serve()
    const token = await addLaboratory()
    const captures = Array.from({ length: 60 }, (_, seed) => synCapture(seed, 50 + seed * 20, [198, 19, 1]))
    const acknowledged = new Set<string>()
    /** @param killAfter receipts of this round after which the hub is killed, with the other uploads under way */
    const uploadAll = async (killAfter = Infinity) => {
      let count = 0
      const queue = [...captures, ...captures.slice(0, 12)]
      const worker = async () => {
        for (let capture = queue.shift(); capture; capture = queue.shift()) {
          const response = await put(url, token, capture).catch(() => null)
          if (response === null) return
          // The status is the promise, even when the hub dies before it has sent the rest.
          await response.text().catch(() => '')
          if (response.status !== 201 && response.status !== 200) continue
          acknowledged.add(sha256(capture))
          if (++count === killAfter) await hub.kill()
        }
      }
      await Promise.all(Array.from({ length: 8 }, worker))
    }
    // By receipts, not by the clock: a busy machine would have given none yet.
    for (const count of [1, 20, 45]) {
      await uploadAll(count)
      expect(hub.child.signalCode).toBe('SIGKILL')
      const restarted = performance.now()
      ;({ hub, url } = await serve())
      expect(performance.now() - restarted - hub.heldUpMilliseconds).toBeLessThan(10_000)
      const known = new Set((await receipts(url, token)).map(receipt => receipt.sha256))
      expect([...acknowledged].filter(digest => !known.has(digest))).toEqual([])
    }
    await uploadAll()
    expect(acknowledged.size).toBe(captures.length)
    await expect
      .poll(async () => (await receipts(url, token)).filter(({ state }) => state !== 'counted').length)
      .toBe(0)
    const { body } = await read(`${url}/api/v1/sensors?since=2025-11-01&until=2025-12-01`, token)
    const packets = captures.reduce((sum, _, seed) => sum + 50 + seed * 20, 0)
    expect(body['rows']).toMatchObject([{ sensor: 'lab-1', packet_count: packets }])
    await expect.poll(() => readdirSync(join(data, 'captures', 'lab-1')).length).toBe(captures.length)
    expect(readdirSync(join(data, 'inbox', 'captures', 'lab-1'))).toEqual([])
  })
})

/** A hub below strace, with one thread of libuv, since strace counts in each. */
function serveTraced(log: string, what: readonly string[]): CommandProcess {
  const wrapper = ['strace', '-f', '-qq', '-y', '-o', log, ...what]
  const env = { UV_THREADPOOL_SIZE: '1' }
  const hub = new CommandProcess(['serve', '--data', data, '--port', '0'], { wrapper, env })
  running.push(hub)
  return hub
}

describe.skipIf(!requireExternal('strace', hasCommand('strace')))('the order of a receipt', () => {
  it('is file, rename, folder, catalog, answer', async () => {
    await makeHub()
    const token = await addLaboratory()
    const log = join(data, 'strace.log')
    const calls = 'trace=fsync,fdatasync,rename,renameat,renameat2,write,writev'
    const hub = serveTraced(log, ['-s', '64', '-e', calls])
    const url = await hub.url(60)
    const before = readFileSync(log, 'utf8').length
    expect((await put(url, token, readFileSync(CAPTURE))).status).toBe(201)
    await expect.poll(() => readFileSync(log, 'utf8').slice(before)).toContain('HTTP/1.1 201')
    const lines = readFileSync(log, 'utf8').slice(before).split('\n')
    const find = (pattern: RegExp, from = 0) => lines.findIndex((line, index) => index >= from && pattern.test(line))
    const file = find(/f(data)?sync\(\d+<[^>]*inbox\/tmp\//)
    const rename = find(/rename.*inbox\/tmp\/.*inbox\/captures\/lab-1\//, file)
    const folder = find(/fsync\(\d+<[^>]*inbox\/captures\/lab-1>/, rename)
    const catalog = find(/f(data)?sync\(\d+<[^>]*catalog\.duckdb/, folder)
    const answer = find(/HTTP\/1\.1 201/, catalog)
    const order = { file, rename, folder, catalog, answer }
    expect(Object.values(order).every(line => line >= 0)).toBe(true)
    expect(Object.values(order)).toEqual(Object.values(order).sort((a, b) => a - b))
    // No answer went out before.
    expect(find(/HTTP\/1\.1 201/)).toBe(answer)
  })

  it.each(['EIO', 'ENOSPC'])('a failed fsync (%s) gives no receipt and stops the hub', async error => {
    await makeHub()
    const token = await addLaboratory()
    const log = join(data, 'strace.log')
    // From the first fsync after the start on; the catalog's own, at the start, use fdatasync or came before.
    const folder = join(data, 'inbox', 'captures', 'lab-1')
    const hub = serveTraced(log, ['-e', 'trace=fsync', '-P', folder, '-e', `inject=fsync:error=${error}`])
    const url = await hub.url(60)
    const response = await put(url, token, readFileSync(CAPTURE)).catch(() => null)
    if (response) expect(response.status).toBe(503)
    expect((await hub.finished).status).toBe(1)
    expect(hub.stderr).toContain('[STORAGE_FAILED]')
    expect(readFileSync(log, 'utf8')).toContain('INJECTED')
    const restarted = await serve()
    expect(await receipts(restarted.url, token)).toEqual([])
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('a busy port', () => {
  it('is told apart from a hub', async () => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const busy = await runCommand('serve', '--data', data, '--port', String(port))
    expect([busy.status, busy.stderr]).toEqual([1, expect.stringContaining(`port ${port} is taken`)])
    server.close()
    writeFileSync(join(data, 'still-writable'), '')
  })
})
