import { pause } from './fault-test.ts'
import type { Acknowledged, FaultyHub } from './faulty-hub.ts'
import { asBatch, compressed, type FaultSensor, type MadeUpload, makeCapture } from './upload-maker.ts'

const CLIENTS = 8
const BYTES_MIN = 1024
const BATCHES = 0.3
/** After a hub has said that it is stopping. */
const RETRY_MILLISECONDS = 20

/**
 * Captures and batches of many sizes, each with packets of its own.
 * @param duplicates part of all uploads that is the same bytes or the same content again
 */
export async function makeUploads(
  sensors: readonly FaultSensor[],
  contents: number,
  { bytesMax, duplicates }: { bytesMax: number; duplicates: number },
  random: () => number,
): Promise<MadeUpload[]> {
  const uploads: MadeUpload[] = []
  for (let content = 0; content < contents; content++) {
    const sensor = sensors[content % sensors.length]!
    const capture = makeCapture(sensor, content, BYTES_MIN * (bytesMax / BYTES_MIN) ** random())
    const upload = random() < BATCHES ? await asBatch(capture, sensor) : capture
    uploads.push(upload)
    for (let share = duplicates / (1 - duplicates); random() < share; share--) {
      uploads.push(random() < 0.5 || upload.kind === 'batch' ? upload : compressed(upload))
    }
  }
  return uploads
}

/** Clients that send one upload after the other until each is acknowledged, as sensors do. */
export class Clients {
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

  /** Resolves with so many answers from now on. */
  async answers(count: number): Promise<void> {
    for (let left = count; left > 0; left--) await this.nextAnswer()
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
      } else if (answer.status === 503) {
        this.#again.push(upload)
        await pause(RETRY_MILLISECONDS)
      } else this.refusals.push(`an upload was answered with ${answer.status} ${answer.body?.error?.code}`)
    }
  }
}
