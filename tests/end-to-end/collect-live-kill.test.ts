import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { isBatchFileName } from '../../schemas/batch.ts'
import { CommandProcess, runCommand } from '../support/hub-process.ts'
import { addUpFlows, readBatch } from '../support/read-batch.ts'
import { RotatingWriter } from '../support/rotating-writer.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// The promise of `collect --watch`: killed at any moment and started again, it counts each packet once. A writer appends
// in odd pieces, rotates, renames and compresses; a pretend `send` takes batches away; `collect --watch` is killed with
// SIGKILL, sometimes ended by SIGTERM, at moments drawn from a seed. In the end all batches together must hold what
// one `collect` of all files holds.

const newFolder = temporaryFolders()
const started: CommandProcess[] = []
// A failed test must not leave one running.
afterAll(async () => {
  const running = started.filter(({ child }) => child.exitCode === null && child.signalCode === null)
  await Promise.all(running.map(command => command.kill()))
})
const start = (args: readonly string[]): CommandProcess => {
  const command = new CommandProcess(args)
  started.push(command)
  return command
}

const ROUNDS = 30
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

interface Sums {
  packets_read: number
  packets_kept: number
  drops: Record<string, number>
  flows: ReturnType<typeof addUpFlows>
}

function sumsOf(...folders: string[]): Sums {
  const paths = folders.flatMap(folder =>
    readdirSync(folder)
      .filter(isBatchFileName)
      .map(name => join(folder, name)),
  )
  const batches = paths.map(readBatch)
  const sums: Sums = { packets_read: 0, packets_kept: 0, drops: {}, flows: addUpFlows(batches.flatMap(b => b.rows)) }
  for (const { metadata } of batches) {
    sums.packets_read += metadata.packets_read
    sums.packets_kept += metadata.packets_kept
    for (const [reason, count] of Object.entries(metadata.drops)) sums.drops[reason] = (sums.drops[reason] ?? 0) + count
  }
  return sums
}

/** What `send` does with a batch that the hub has received. */
function send(spool: string, hub: string, random: () => number): void {
  mkdirSync(join(spool, 'receipts'), { recursive: true })
  for (const name of readdirSync(spool).filter(isBatchFileName)) {
    if (random() < 0.5) continue
    const sha256 = name.slice(0, 64)
    expect(existsSync(join(hub, name))).toBe(false)
    copyFileSync(join(spool, name), join(hub, name))
    writeFileSync(join(spool, 'receipts', `${sha256}.json`), JSON.stringify({ sha256 }))
    rmSync(join(spool, name))
  }
}

it(`counts each packet once, whenever it is killed (seed ${SEED})`, { timeout: 240_000 }, async () => {
  const random = seededRandom(SEED)
  const [watched, archive, spool, hub, plain] = Array.from({ length: 5 }, newFolder) as [
    string,
    string,
    string,
    string,
    string,
  ]
  const key = join(newFolder(), 'key')
  writeFileSync(key, '07'.repeat(32), { mode: 0o600 })
  const options = ['--sensor', 's', '--telescope', '203.0.113.0/24', '--key', key, '--batch-seconds', '60']
  const state = () => {
    const path = join(spool, 's.state.json')
    if (!existsSync(path)) return { pid: 0, packets: 0 }
    const { owner, captures } = JSON.parse(readFileSync(path, 'utf8')) as {
      owner: { pid: number } | null
      captures: { packets: number }[]
    }
    return { pid: owner?.pid ?? 0, packets: captures.reduce((sum, { packets }) => sum + packets, 0) }
  }
  const writer = new RotatingWriter(watched, archive, random)
  const kills = { starting: 0, reading: 0, ended: 0 }
  let roundsWithBatches = 0
  for (let round = 0; round < ROUNDS; round++) {
    const before = state().packets
    const collect = start(['collect', watched, '--watch', ...options, '--out', spool])
    const isEarly = random() < 0.1
    while (!isEarly && state().pid !== collect.child.pid) {
      expect(collect.child.exitCode, collect.stderr).toBe(null)
      writer.step()
      await delay(10)
    }
    const until = performance.now() + random() * (isEarly ? 300 : 900)
    while (performance.now() < until) {
      for (let step = 0; step < 6; step++) writer.step()
      if (random() < 0.1) send(spool, hub, random)
      await delay(Math.floor(random() * 20))
    }
    const isKilled = isEarly || random() < 0.75
    if (isKilled) await collect.kill()
    else collect.child.kill('SIGTERM')
    const { status } = await collect.finished
    if (!isKilled) expect(status, collect.stderr).toBe(0)
    kills[isEarly ? 'starting' : isKilled ? 'reading' : 'ended']++
    if (state().packets > before) roundsWithBatches++
  }
  writer.finish()
  const last = start(['collect', watched, '--watch', ...options, '--out', spool, '--json'])
  // Compressed files are read when they have been left alone for a while.
  await expect.poll(() => state().packets, { timeout: 30_000, interval: 100 }).toBeGreaterThan(writer.packets - 100)
  await delay(3000)
  last.child.kill('SIGTERM')
  expect((await last.finished).status, last.stderr).toBe(0)

  expect((await runCommand('collect', archive, ...options, '--out', plain)).status).toBe(0)
  const expected = sumsOf(plain)
  expect(expected.packets_read).toBe(writer.packets)
  expect(sumsOf(spool, hub)).toEqual(expected)
  // The test is worth something only when the kills hit work that was under way.
  expect(kills.reading).toBeGreaterThan(12)
  expect(roundsWithBatches).toBeGreaterThan(12)
})
