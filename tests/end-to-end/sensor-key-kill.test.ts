import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFile } from '../../collector/durable-file.ts'
import { makePrivateKey } from '../../collector/ed25519-key.ts'
import { enrol } from '../../collector/enrol.ts'
import { askHub } from '../../collector/hub-request.ts'
import { identityText, readIdentity } from '../../collector/identity.ts'
import { parseKey } from '../../collector/key-file.ts'
import { inviteSensor } from '../../dashboard/server/sensor-access.ts'
import { readStraceLog } from '../faults/strace-log.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { openTestHub, SENSOR_A, type TestHub } from '../support/test-hub.ts'

// sensor init, enrol and rotate die before each system call by which they change their files, the first of those behind
// an answer of the hub among them. Each time what is there is whole and of use, and the same command again ends well.

const { sensor } = SENSOR_A
const CALLS = ['write', 'fsync', 'link', 'rename', 'unlink']

let root: string
let hub: TestHub
let url: URL
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'hirundo-key-kill-'))
  hub = await openTestHub()
  await hub.app.listen({ host: '127.0.0.1', port: 0 })
  url = new URL(`http://127.0.0.1:${(hub.app.server.address() as AddressInfo).port}/`)
})
afterAll(async () => {
  await hub.close()
  rmSync(root, { recursive: true, force: true })
})

/** A command on files of its own. */
interface Step {
  readonly folder: string
  readonly args: readonly string[]
}

const identityIn = (folder: string) => join(folder, `${sensor}.identity.json`)

function emptyFolder(): string {
  return mkdtempSync(join(root, 'sensor-'))
}

async function toInit(): Promise<Step> {
  const folder = emptyFolder()
  return { folder, args: ['sensor', 'init', '--sensor', sensor, '--out', folder] }
}

async function toEnrol(): Promise<Step & { code: string }> {
  const folder = emptyFolder()
  createFile(identityIn(folder), identityText({ sensor, private_key: makePrivateKey() }))
  const { code } = await inviteSensor(hub.storage, sensor, 1)
  const args = ['sensor', 'enrol', '--identity', identityIn(folder), '--hub', url.href, '--code', code]
  return { folder, args, code }
}

async function toRotate(): Promise<Step> {
  const { folder, code } = await toEnrol()
  await enrol(identityIn(folder), url, code)
  return { folder, args: ['sensor', 'rotate', '--identity', identityIn(folder), '--hub', url.href] }
}

async function traced(args: readonly string[], inject: readonly string[]) {
  const log = join(emptyFolder(), 'strace.log')
  const wrapper = ['strace', '-f', '-y', '-qq', '-o', log, '-e', `trace=${CALLS.join(',')}`, ...inject]
  const { status, stderr } = await new CommandProcess(args, { wrapper }).finished
  return { status, stderr, log }
}

/** The calls of a whole run that change what is in its folder, each as the nth of its kind in the main thread. */
async function callsOf({ folder, args }: Step): Promise<{ name: string; nth: number }[]> {
  const { status, stderr, log } = await traced(args, [])
  expect([status, stderr]).toEqual([0, expect.not.stringContaining('[')])
  const calls = readStraceLog(log).sort((a, b) => a.begin - b.begin)
  const times = new Map<string, number>()
  return calls.flatMap(({ thread, name, text }) => {
    if (thread !== calls[0]!.thread) return []
    const nth = (times.get(name) ?? 0) + 1
    times.set(name, nth)
    return text.includes(folder) ? [{ name, nth }] : []
  })
}

/** Names and bytes of what lies under its own name; each of it has to be whole, and for its owner only. */
function whole(folder: string): Record<string, string> {
  const names = readdirSync(folder).filter(name => !name.endsWith('.tmp'))
  for (const name of names) {
    const path = join(folder, name)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    if (name.endsWith('.key')) parseKey(readFileSync(path, 'utf8'), name)
    else expect(readIdentity(path).key).toBeDefined()
  }
  return Object.fromEntries(names.map(name => [name, readFileSync(join(folder, name), 'utf8')]))
}

async function statusAtHub(folder: string): Promise<number> {
  const { signal } = new AbortController()
  const identity = readIdentity(identityIn(folder))
  return (await askHub({ hub: url, identity, method: 'GET', path: 'api/v1/status', signal })).status
}

/** Kills the command before each call of it that changes files, and runs it again. */
async function killEverywhere(
  prepare: () => Promise<Step>,
  check: (folder: string, left: Record<string, string>) => Promise<void>,
  again: (ended: { status: number | null; stderr: string; folder: string }) => Promise<void>,
): Promise<Record<string, number>> {
  const met: Record<string, number> = {}
  const calls = await callsOf(await prepare())
  for (const { name, nth } of calls) {
    const { folder, args } = await prepare()
    const killed = await traced(args, ['-e', `inject=${name}:signal=KILL:when=${nth}`])
    const point = `killed at ${name} ${nth}`
    // Node also writes to wake its threads, now and then once less: then the last of them is not met.
    if (name === 'write' && killed.status === 0) continue
    expect(killed.status, point).not.toBe(0)
    met[name] = (met[name] ?? 0) + 1
    const left = whole(folder)
    await check(folder, left)
    const ended = await new CommandProcess(args).finished
    await again({ ...ended, folder })
    const now = whole(folder)
    expect(Object.keys(now), point).toContain(`${sensor}.identity.json`)
    expect(readdirSync(folder).sort(), point).toEqual(Object.keys(now).sort())
  }
  return met
}

describe.skipIf(!requireExternal('strace', hasCommand('strace')))('killed between two steps', () => {
  it('sensor init leaves whole keys or none, keeps them, and says how to go on', async () => {
    let left: Record<string, string> = {}
    const met = await killEverywhere(
      toInit,
      async (_folder, files) => {
        left = files
      },
      async ({ status, stderr, folder }) => {
        const now = whole(folder)
        expect(Object.keys(now).sort()).toEqual([`${sensor}.identity.json`, `${sensor}.key`])
        for (const [name, text] of Object.entries(left)) expect(now[name]).toBe(text)
        if (left[`${sensor}.identity.json`] === undefined) expect([status, stderr]).toEqual([0, ''])
        else {
          expect([status, stderr]).toEqual([2, expect.stringContaining('[IDENTITY_EXISTS]')])
          expect(stderr).toContain(`sensor enrol --identity ${identityIn(folder)}`)
        }
      },
    )
    // Two files: each is synced, gets its name, its folder is synced, and the temporary name goes.
    expect(met).toMatchObject({ fsync: 4, link: 2, unlink: 2 })
  })

  it('sensor enrol is run again with the same code', async () => {
    const met = await killEverywhere(
      toEnrol,
      async () => {},
      async ({ status, stderr, folder }) => {
        expect([status, stderr]).toEqual([0, ''])
        expect(readIdentity(identityIn(folder)).hubKey).toBeDefined()
        expect(await statusAtHub(folder)).toBe(200)
      },
    )
    expect(met).toMatchObject({ fsync: 2, rename: 1 })
  })

  it('sensor rotate leaves a key that the hub takes, and goes on with the new one', async () => {
    const keys: string[] = []
    const met = await killEverywhere(
      toRotate,
      async folder => {
        expect(await statusAtHub(folder)).toBe(200)
        keys.push(readIdentity(identityIn(folder)).key!.id)
      },
      async ({ status, stderr, folder }) => {
        expect([status, stderr, await statusAtHub(folder)]).toEqual([0, '', 200])
        keys.push(readIdentity(identityIn(folder)).key!.id)
      },
    )
    expect(met).toMatchObject({ fsync: 4, rename: 2 })
    expect(new Set(keys).size).toBe(keys.length)
  })
})
