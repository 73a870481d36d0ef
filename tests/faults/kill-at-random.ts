import { seededRandom } from '../support/seeded-random.ts'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { Clients, makeUploads } from './upload-clients.ts'

/**
 * R1: `kill -9` at random moments while clients upload. Every receipt that a client got must be there once at the end,
 * and the packets in the answers must be the generator's, each once.
 */

interface KillPlan {
  readonly kills: number
  readonly contents: number
  readonly bytesMax: number
  /** Of all uploads: the same bytes or the same content again. */
  readonly duplicates: number
  /** Parts of the kills that come while the hub starts, and right behind answers; the others come at any moment. */
  readonly atStart: number
  readonly atAnswer: number
  /** Behind so many answers at most. */
  readonly answersMax: number
  /** Any other kill comes within this time of the hub's readiness. */
  readonly aliveMilliseconds: number
}

const LONG: KillPlan = {
  ...{ kills: 200, contents: 400, bytesMax: 20 * 2 ** 20 },
  ...{ duplicates: 0.2, atStart: 0.15, atAnswer: 0.5, answersMax: 5, aliveMilliseconds: 700 },
}
const SHORT: KillPlan = { ...LONG, kills: 6, contents: 30, bytesMax: 2 ** 18 }
/** Small uploads, and every kill right behind an answer, however long that takes. */
const DIRECTED = { contents: 9, bytesMax: 2 ** 14, atStart: 0, atAnswer: 1, answersMax: 1, aliveMilliseconds: 0 }
const SENSORS = 3
const READY_MILLISECONDS_MAX = 2000
const ANSWER_MILLISECONDS_MAX = 30_000

export async function killAtRandom(options: FaultOptions): Promise<FaultReport> {
  const plan = options.short ? SHORT : LONG
  return await killBy({ ...plan, kills: options.rounds ?? plan.kills }, options)
}

/** Few kills, each right behind an answer: what an answer does not keep shows surely. */
export async function killAtAnswers(options: FaultOptions): Promise<FaultReport> {
  return await killBy({ ...DIRECTED, kills: 3, duplicates: 0 }, options)
}

/** One kill, and most contents more than once: what is counted twice shows surely. */
export async function killBetweenDuplicates(options: FaultOptions): Promise<FaultReport> {
  return await killBy({ ...DIRECTED, kills: 1, duplicates: 0.6 }, options)
}

async function killBy(plan: KillPlan, { seed, short, build, print }: FaultOptions): Promise<FaultReport> {
  const { kills, contents, atStart, atAnswer } = plan
  const random = seededRandom(seed)
  const hub = await FaultyHub.prepare(build, SENSORS)
  const clients = new Clients(hub, await makeUploads(hub.sensors, contents, plan, random))
  const starts: number[] = []
  const violations: string[] = []
  let before = 0
  try {
    for (let kill = 0; kill < kills; kill++) {
      if (random() < atStart) {
        hub.launch()
        await pause(random() * (starts.at(-1) ?? READY_MILLISECONDS_MAX))
        await hub.kill()
        continue
      }
      starts.push(await hub.start())
      // Each life of the hub gets its share of the uploads, so that the last is as busy as the first.
      const working = clients.work(Math.ceil(((kill + 1) * clients.count) / kills))
      if (random() < atAnswer) {
        const answers = clients.answers(1 + Math.floor(random() * plan.answersMax))
        await Promise.race([answers, working, pause(ANSWER_MILLISECONDS_MAX)])
      } else await pause(random() * plan.aliveMilliseconds)
      await hub.kill()
      await working
      if (kill % 20 === 19) print(`${kill + 1} kills, ${clients.acknowledged.length} receipts`)
    }
    before = clients.acknowledged.length
    starts.push(await hub.start())
    await clients.work(clients.count)
    violations.push(...clients.refusals, ...(await checkPromise(hub, clients.acknowledged, clients.sent)))
  } finally {
    await hub.remove()
  }
  starts.sort((a, b) => a - b)
  const slowest = starts.at(-1)!
  const isQuick = slowest <= READY_MILLISECONDS_MAX
  if (!short && !isQuick) violations.push(`a start took ${Math.round(slowest)} ms until ready`)
  return {
    violations,
    figures: {
      kills,
      uploads: clients.count,
      megabytes: Math.round(clients.sent.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6),
      receipts: clients.acknowledged.length,
      'cut off': clients.cutOff,
      'receipts before the last start': before,
      'restart to ready, median, ms': Math.round(starts[starts.length >> 1]!),
      'restart to ready, most, ms': Math.round(slowest),
      [`each at most ${READY_MILLISECONDS_MAX} ms`]: isQuick ? 'yes' : 'NO',
    },
  }
}
