import { type FaultOptions, type FaultReport, pause, randomNumbers } from './fault-test.ts'
import { type Acknowledged, FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { asBatch, compressed, type FaultSensor, type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * R1: `kill -9` at random moments while clients upload. Every receipt that a client got must be there once at the end,
 * and the packets in the answers must be the generator's, each once.
 */

const CLIENTS = 8
const LONG = { kills: 200, contents: 400, bytesMax: 20 * 2 ** 20 }
const SHORT = { kills: 12, contents: 48, bytesMax: 2 ** 20 }
const BYTES_MIN = 1024
/** Of all uploads: the same bytes or the same content again. */
const DUPLICATES = 0.2
const BATCHES = 0.3
const SENSORS = 3
/** Some kills come while the hub starts. */
const KILLS_AT_START = 0.15
/** A kill comes within this time of the hub's readiness, or right behind an answer. */
const ALIVE_MILLISECONDS_MAX = 700
const KILLS_AT_ANSWER = 0.4
const READY_MILLISECONDS_MAX = 2000

export async function killAtRandom({ seed, short, build, print }: FaultOptions): Promise<FaultReport> {
  const { kills, contents, bytesMax } = short ? SHORT : LONG
  const random = randomNumbers(seed)
  const hub = await FaultyHub.prepare(build, SENSORS)
  const clients = new Clients(hub, await makeUploads(hub.sensors, contents, bytesMax, random))
  const starts: number[] = []
  const violations: string[] = []
  try {
    for (let kill = 0; kill < kills; kill++) {
      if (random() < KILLS_AT_START) {
        hub.launch()
        await pause(random() * (starts.at(-1) ?? READY_MILLISECONDS_MAX))
        await hub.kill()
        continue
      }
      starts.push(await hub.start())
      // Each life of the hub gets its share of the uploads, so that the last is as busy as the first.
      const working = clients.work(Math.ceil(((kill + 1) * clients.count) / kills))
      const moment = pause(random() * ALIVE_MILLISECONDS_MAX)
      await (random() < KILLS_AT_ANSWER ? Promise.race([clients.nextAnswer(), moment]) : moment)
      await hub.kill()
      await working
      if (kill % 20 === 19) print(`${kill + 1} kills, ${clients.acknowledged.length} receipts`)
    }
    starts.push(await hub.start())
    await clients.work(clients.count)
    violations.push(...clients.refusals, ...(await checkPromise(hub, clients.acknowledged, clients.sent)))
  } finally {
    await hub.remove()
  }
  const slowest = Math.max(...starts)
  if (!short && slowest > READY_MILLISECONDS_MAX) violations.push(`a start took ${Math.round(slowest)} ms until ready`)
  return {
    violations,
    figures: {
      kills,
      uploads: clients.count,
      megabytes: Math.round(clients.sent.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6),
      receipts: clients.acknowledged.length,
      'cut off': clients.cutOff,
      'slowest start, ms': Math.round(slowest),
    },
  }
}

async function makeUploads(
  sensors: readonly FaultSensor[],
  contents: number,
  bytesMax: number,
  random: () => number,
): Promise<MadeUpload[]> {
  const uploads: MadeUpload[] = []
  for (let content = 0; content < contents; content++) {
    const sensor = sensors[content % sensors.length]!
    const capture = makeCapture(sensor, content, BYTES_MIN * (bytesMax / BYTES_MIN) ** random())
    const upload = random() < BATCHES ? await asBatch(capture, sensor) : capture
    uploads.push(upload)
    if (random() < DUPLICATES / (1 - DUPLICATES)) {
      uploads.push(random() < 0.5 || upload.kind === 'batch' ? upload : compressed(upload))
    }
  }
  return uploads
}

/** Clients that send one upload after the other until each is acknowledged, as sensors do. */
class Clients {
  readonly acknowledged: Acknowledged[] = []
  /** In the order of the first try. */
  readonly sent: MadeUpload[] = []
  readonly refusals: string[] = []
  cutOff = 0
  readonly #hub: FaultyHub
  readonly #uploads: readonly MadeUpload[]
  #next = 0
  #again: MadeUpload[] = []
  #onAnswer: () => void = () => {}

  constructor(hub: FaultyHub, uploads: readonly MadeUpload[]) {
    this.#hub = hub
    this.#uploads = uploads
  }

  get count(): number {
    return this.#uploads.length
  }

  nextAnswer(): Promise<void> {
    return new Promise(resolve => {
      this.#onAnswer = resolve
    })
  }

  /** Sends what was cut off and the uploads up to a number; ends early when the hub dies. */
  async work(until: number): Promise<void> {
    await Promise.all(Array.from({ length: CLIENTS }, () => this.#client(until)))
  }

  async #client(until: number): Promise<void> {
    for (;;) {
      const upload = this.#again.pop() ?? (this.#next < until ? this.#uploads[this.#next++] : undefined)
      if (upload === undefined) return
      this.sent.push(upload)
      const answer = await this.#hub.put(upload)
      if (answer === null) {
        this.cutOff++
        this.#again.push(upload)
        return
      }
      if (answer.status === 201 || answer.status === 200) {
        this.acknowledged.push({ upload, receivedAt: answer.body?.received_at ?? null })
        this.#onAnswer()
      } else if (answer.status === 503) this.#again.push(upload)
      else this.refusals.push(`an upload was answered with ${answer.status} ${answer.body?.error?.code}`)
    }
  }
}
