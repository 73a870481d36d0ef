import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { afterAll, expect, it } from 'vitest'
import { isBatchFileName } from '../../schemas/batch.ts'
import type { SensorHealth } from '../../schemas/sensor-health.ts'
import type { SensorKey } from '../../schemas/sensor-key.ts'
import { CommandProcess, runCommand } from '../support/hub-process.ts'
import { addUpFlows, type FlowRow, readBatch } from '../support/read-batch.ts'
import { RotatingWriter } from '../support/rotating-writer.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// The promise of `sensor run`, from the packets to the numbers of a real hub: killed with SIGKILL at moments drawn from a
// seed, while a writer rotates, renames and compresses and the sensor's key is changed, each packet is counted once and
// no number of an upload is missed.

const newFolder = temporaryFolders()
const started: CommandProcess[] = []
afterAll(() => Promise.all(started.map(command => command.kill())))
const start = (...args: string[]): CommandProcess => {
  const command = new CommandProcess(args)
  started.push(command)
  return command
}

const ROUNDS = 8
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const TELESCOPE = '203.0.113.0/24'

async function succeed(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(...args)
  expect(status, `${args.join(' ')}: ${stderr}`).toBe(0)
  return stdout
}

it(`counts each packet once at the hub, whenever it is killed (seed ${SEED})`, { timeout: 300_000 }, async () => {
  const random = seededRandom(SEED)
  const folder = newFolder()
  const at = (name: string): string => join(folder, name)
  for (const name of ['captures', 'archive', 'plain', 'unpacked']) mkdirSync(at(name))
  const url = await start('serve', '--data', at('data'), '--port', '0').url()
  const data = ['--data', at('data')]
  await succeed('sensor', 'init', '--sensor', 'jp-1', '--out', at('spool'))
  await succeed('sensor', 'add', 'jp-1', '--economy', 'JP', '--telescope', TELESCOPE, ...data)
  const code = (await succeed('sensor', 'invite', 'jp-1', ...data)).trim()
  const identity = at('spool/jp-1.identity.json')
  await succeed('sensor', 'enrol', '--identity', identity, '--hub', url, '--code', code)
  const config = {
    ...{ kind: 'sensor', sensor: 'jp-1', telescope: [TELESCOPE], hub: url, identity },
    ...{ spool: at('spool'), watch: at('captures'), batch_seconds: 60 },
  }
  writeFileSync(at('sensor.json'), JSON.stringify(config))
  const state = () => {
    const path = at('spool/jp-1.state.json')
    if (!existsSync(path)) return { pid: 0, packets: 0 }
    const { owner, captures } = JSON.parse(readFileSync(path, 'utf8')) as {
      owner: { pid: number } | null
      captures: { packets: number }[]
    }
    return { pid: owner?.pid ?? 0, packets: captures.reduce((sum, { packets }) => sum + packets, 0) }
  }
  const receipts = () => (existsSync(at('spool/receipts')) ? readdirSync(at('spool/receipts')).length : 0)

  const writer = new RotatingWriter(at('captures'), at('archive'), random)
  let killsAtWork = 0
  let roundsWithReceipts = 0
  for (let round = 0; round < ROUNDS; round++) {
    const before = receipts()
    const sensor = start('sensor', 'run', '--config', at('sensor.json'))
    const isEarly = random() < 0.15
    while (!isEarly && state().pid !== sensor.child.pid) {
      expect(sensor.child.exitCode, sensor.stderr).toBe(null)
      writer.step()
      await delay(20)
    }
    const rotation = round === ROUNDS / 2 ? succeed('sensor', 'rotate', '--identity', identity, '--hub', url) : null
    const until = performance.now() + random() * (isEarly ? 400 : 1500)
    while (performance.now() < until) {
      for (let step = 0; step < 4; step++) writer.step()
      await delay(Math.floor(random() * 20))
    }
    await rotation
    expect(sensor.child.exitCode, sensor.stderr).toBe(null)
    await sensor.kill()
    if (!isEarly) killsAtWork++
    if (receipts() > before) roundsWithReceipts++
  }
  writer.finish()
  const last = start('sensor', 'run', '--config', at('sensor.json'))
  // Compressed files are read when they have been left alone for a while, and packets that came late with one of them are in
  // a batch when nothing has come for a minute.
  await expect.poll(() => state().packets, { timeout: 100_000, interval: 100 }).toBeGreaterThan(writer.packets - 100)
  await delay(3000)
  last.child.kill('SIGTERM')
  expect((await last.finished).status, last.stderr).toBe(0)
  // What a busy machine did not send within the last seconds.
  await succeed('send', '--spool', at('spool'), '--hub', url, '--identity', identity)
  expect(readdirSync(at('spool')).filter(isBatchFileName)).toEqual([])

  const plain = ['--sensor', 'jp-1', '--telescope', TELESCOPE, '--key', at('spool/jp-1.key'), '--out', at('plain')]
  await succeed('collect', at('archive'), ...plain)
  const expected = flowsOf(at('plain'))
  const sensors = async () => {
    const { sensors } = JSON.parse(await succeed('sensor', 'list', '--json', ...data)) as {
      sensors: { packet_count: number }[]
    }
    return sensors[0]!.packet_count
  }
  await expect.poll(sensors, { timeout: 60_000, interval: 500 }).toBe(packetsOf(expected.values()))
  // The bytes follow the commit.
  const waiting = () => readdirSync(at('data/inbox/batches/jp-1'))
  await expect.poll(waiting, { timeout: 30_000, interval: 100 }).toEqual([])
  // Sums could hide a packet that is lost behind one that is there twice; what the hub has kept is compared flow by flow.
  for (const name of readdirSync(at('data/batches/jp-1'))) {
    writeFileSync(at(`unpacked/${name}.arrow`), gunzipSync(readFileSync(at(`data/batches/jp-1/${name}`))))
  }
  expect(flowsOf(at('unpacked'))).toEqual(expected)

  const health = JSON.parse(await succeed('sensor', 'health', '--json', ...data)) as { sensors: SensorHealth[] }
  expect(health.sensors).toMatchObject([{ missing_sequence_count: 0, quarantined_count: 0, held_count: 0 }])
  const { keys } = JSON.parse(await succeed('sensor', 'keys', 'jp-1', '--json', ...data)) as { keys: SensorKey[] }
  expect(keys.filter(({ first_used_at }) => first_used_at !== null)).toHaveLength(2)
  // The test is worth something only when the kills hit work that was under way.
  expect(killsAtWork).toBeGreaterThan(3)
  expect(roundsWithReceipts).toBeGreaterThan(2)
})

function flowsOf(folder: string): ReturnType<typeof addUpFlows> {
  const names = readdirSync(folder).filter(isBatchFileName)
  return addUpFlows(names.flatMap(name => readBatch(join(folder, name)).rows))
}

function packetsOf(flows: Iterable<FlowRow>): number {
  return [...flows].reduce((sum, flow) => sum + Number(flow['packet_count']), 0)
}
