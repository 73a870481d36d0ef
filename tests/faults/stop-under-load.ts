import { seededRandom } from '../support/seeded-random.ts'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { Clients, makeUploads } from './upload-clients.ts'

/**
 * O1: SIGTERM at random moments while clients upload. The hub ends by itself with status 0, and everything that it gave
 * a receipt for is there after the next start.
 */

const SENSORS = 3
const STOPS = { long: 50, short: 2 }
const UPLOADS_PER_STOP = 8
const BYTES_MAX = { long: 8 * 2 ** 20, short: 2 ** 18 }
const DUPLICATES = 0.1
const ALIVE_MILLISECONDS_MAX = 700
/** Three seconds for uploads that are under way, and as long for the group that is being counted. */
const STOP_SECONDS_MAX = 10

export async function stopUnderLoad({ seed, short, build, rounds, print }: FaultOptions): Promise<FaultReport> {
  const form = short ? 'short' : 'long'
  const stops = rounds ?? STOPS[form]
  const random = seededRandom(seed)
  const hub = await FaultyHub.prepare(build, SENSORS)
  const sizes = { bytesMax: BYTES_MAX[form], duplicates: DUPLICATES }
  const clients = new Clients(hub, await makeUploads(hub.sensors, stops * UPLOADS_PER_STOP, sizes, random))
  const violations: string[] = []
  let slowest = 0
  try {
    for (let stop = 1; stop <= stops; stop++) {
      await hub.start()
      const working = clients.work(Math.ceil((stop * clients.count) / stops))
      // The hub has begun when there is an answer; the moment is some time behind it.
      await Promise.race([clients.nextAnswer(), working])
      await pause(random() * ALIVE_MILLISECONDS_MAX)
      const asked = performance.now()
      const status = await hub.stop()
      const seconds = (performance.now() - asked) / 1000
      slowest = Math.max(slowest, seconds)
      if (status !== 0) violations.push(`stop ${stop}: the hub ended with status ${status}: ${hub.process.stderr}`)
      if (!short && seconds > STOP_SECONDS_MAX) violations.push(`stop ${stop} took ${seconds.toFixed(1)} s`)
      await working
      if (stop % 10 === 0) print(`${stop} stops, ${clients.acknowledged.length} receipts`)
    }
    await hub.start()
    await clients.work(clients.count)
    violations.push(...clients.refusals, ...(await checkPromise(hub, clients.acknowledged, clients.sent)))
  } finally {
    await hub.remove()
  }
  return {
    violations,
    figures: {
      stops,
      uploads: clients.count,
      receipts: clients.acknowledged.length,
      'cut off': clients.cutOff,
      'slowest stop, s': slowest.toFixed(1),
    },
  }
}
