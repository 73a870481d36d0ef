import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isBatchFileName } from '../../schemas/batch.ts'
import type { SensorHealth } from '../../schemas/sensor-health.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { BUILD } from './broken-build.ts'
import type { FaultOptions, FaultReport } from './fault-test.ts'

interface GapFigures {
  readonly kills: number
  readonly batches: number
  /** Missing numbers after the kills; must be 0. */
  readonly falseGaps: number
  /** Missing ranges after a number was dropped and a batch was taken away; must be one of each. */
  readonly gaps: readonly string[]
}

/**
 * R11: a real sender is killed with SIGKILL at moments drawn from the seed while it empties a spool to a real hub, which
 * must then miss nothing; then one number is dropped and one batch taken away, which it must miss.
 */
export async function run(options: {
  rounds: number
  seed: number
  log: (line: string) => void
  build?: string
}): Promise<GapFigures> {
  const { rounds, seed, log, build = BUILD } = options
  const random = seededRandom(seed)
  const folder = await mkdtemp(join(tmpdir(), 'hirundo-gaps-'))
  const [data, spool, identity] = ['data', 'spool', 'identity.json'].map(name => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const hub = new CommandProcess(['serve', '--data', data, '--port', '0'], { build })
  try {
    const url = await hub.url()
    await succeeds(build, 'sensor', 'add', 'jp-1', '--economy', 'JP', '--telescope', '203.0.113.0/24', '--data', data)
    const { stdout } = await succeeds(build, 'token', 'create', '--sensor', 'jp-1', '--json', '--data', data)
    writeFileSync(identity, stdout, { mode: 0o600 })
    mkdirSync(spool)
    const sending = ['send', '--spool', spool, '--hub', url, '--identity', identity]
    let batches = 0
    const add = (count: number): void => {
      for (let index = 0; index < count; index++) {
        const bytes = randomBytes(20_000)
        writeFileSync(join(spool, `${createHash('sha256').update(bytes).digest('hex')}.arrow`), bytes)
      }
      batches += count
    }
    for (let round = 0; round < rounds; round++) {
      add(1 + Math.floor(random() * 12))
      const sender = new CommandProcess([...sending, '--watch'], { build })
      const before = receipts(spool)
      // Some die while they start, most while they send.
      const isEarly = random() < 0.15
      while (!isEarly && receipts(spool) === before && sender.child.exitCode === null) await delay(5)
      await delay(random() * (isEarly ? 400 : 60))
      await sender.kill()
      if ((round + 1) % 20 === 0) log(`R11: ${round + 1} kills, ${receipts(spool)} of ${batches} batches received`)
    }
    await sendAll(build, sending)
    const health = async (): Promise<SensorHealth> => {
      const { stdout: text } = await succeeds(build, 'sensor', 'health', '--json', '--data', data)
      return (JSON.parse(text) as { sensors: SensorHealth[] }).sensors[0]!
    }
    if (receipts(spool) !== batches) throw new Error(`${receipts(spool)} receipts of ${batches} batches`)
    const falseGaps = (await health()).missing_sequence_count
    const path = join(spool, 'sequence.json')
    const ledger = JSON.parse(readFileSync(path, 'utf8')) as { next: number; numbers: Record<string, number> }
    const taken = { ...ledger, next: ledger.next + 2, numbers: { ['0'.repeat(64)]: ledger.next + 1 } }
    writeFileSync(path, JSON.stringify(taken))
    add(1)
    await sendAll(build, sending)
    const gaps = (await health()).missing_sequences.map(gap => {
      const offset = gap.first_sequence - ledger.next
      return `${offset}-${gap.last_sequence - ledger.next} ${gap.reason}`
    })
    return { kills: rounds, batches, falseGaps, gaps: gaps.sort() }
  } finally {
    await hub.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

const KILLS = { long: 200, short: 10 }

/** R11 of `npm run faults`. */
export async function sequenceGaps({ seed, short, build, rounds, print }: FaultOptions): Promise<FaultReport> {
  const { gaps, ...figures } = await run({ rounds: rounds ?? KILLS[short ? 'short' : 'long'], seed, log: print, build })
  const violations = figures.falseGaps === 0 ? [] : [`${figures.falseGaps} numbers are missing that came`]
  if (gaps.join() !== '0-0 unknown,1-1 removed') violations.push(`the gaps that were made are told as ${gaps.join()}`)
  return { violations, figures: { ...figures, 'gaps that were made': gaps.length } }
}

function receipts(spool: string): number {
  try {
    return readdirSync(join(spool, 'receipts')).filter(name => name.endsWith('.json') && !name.startsWith('.')).length
  } catch {
    return 0
  }
}

/** Random bytes are no batches: the hub takes them and then sets them aside, which is status 3. */
async function sendAll(build: string, sending: readonly string[]): Promise<void> {
  const { status, stderr } = await new CommandProcess(sending, { build }).finished
  if (status !== 0 && status !== 3) throw new Error(`send ended with ${status}: ${stderr}`)
  const spool = sending[2]!
  const left = readdirSync(spool).filter(isBatchFileName).length
  if (left > 0) throw new Error(`${left} batches are left: ${stderr}`)
}

async function succeeds(build: string, ...args: string[]) {
  const finished = await new CommandProcess(args, { build }).finished
  if (finished.status !== 0)
    throw new Error(`hirundo ${args.join(' ')} ended with ${finished.status}: ${finished.stderr}`)
  return finished
}
