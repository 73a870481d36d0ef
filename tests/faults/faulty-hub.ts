import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { openDataFolder } from '../../dashboard/server/data-folder.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { pause } from './fault-test.ts'
import type { FaultSensor, MadeUpload } from './upload-maker.ts'

const START_SECONDS_MAX = 120
const SETTLE_SECONDS_MAX = 180
const RECEIPTS_MAX = 1000
const PUT_AWAY_SECONDS_MAX = 10

/** What a client knows of an upload that was answered with 200 or 201. */
export interface Acknowledged {
  readonly upload: MadeUpload
  /** From the answer, when all of it arrived. */
  readonly receivedAt: string | null
}

export interface Answer {
  readonly status: number
  /** Null when the connection broke behind the head of the answer. */
  readonly body: { readonly received_at?: string; readonly error?: { code: string } } | null
}

interface StartOptions {
  /** A command before the hub's, such as strace with its options. */
  readonly wrapper?: string[]
  readonly env?: Record<string, string>
}

/** A hub that is made to suffer: a data folder of its own, sensors with tokens, and a process that comes and goes. */
export class FaultyHub {
  readonly data: string
  readonly sensors: readonly FaultSensor[]
  readonly #build: string
  readonly #tokens = new Map<string, string>()
  readonly #owned: boolean
  #agent = new Agent({ keepAlive: true })
  #process: CommandProcess | null = null
  #url = ''

  private constructor(build: string, data: string, owned: boolean, sensors: readonly FaultSensor[]) {
    this.#build = build
    this.data = data
    this.#owned = owned
    this.sensors = sensors
  }

  /** @param data an existing folder; null makes one, which `remove` takes away */
  static async prepare(build: string, sensorCount: number, data: string | null = null): Promise<FaultyHub> {
    const folder = data ?? mkdtempSync(join(tmpdir(), 'hirundo-faults-'))
    const sensors = Array.from({ length: sensorCount }, (_, index): FaultSensor => {
      return { sensor: `lab-${index + 1}`, network: [198, 19, index + 1] }
    })
    const hub = new FaultyHub(build, folder, data === null, sensors)
    const storage = await openStorage({ data: folder, geography: null })
    const dataFolder = openDataFolder(folder)
    for (const { sensor, network } of sensors) {
      const telescope = `${network.join('.')}.0/24`
      await registerSensor(storage, dataFolder, { sensor, economy: 'JP', organisation: '', telescope })
      hub.#tokens.set(sensor, (await createToken(storage, { sensor })).token)
    }
    await storage.close()
    return hub
  }

  /** `http://127.0.0.1:8080` of the last start. */
  get url(): string {
    return this.#url
  }

  token(sensor: string): string {
    return this.#tokens.get(sensor)!
  }

  get process(): CommandProcess {
    if (this.#process === null) throw new Error('the hub was never started')
    return this.#process
  }

  /** False once the process has ended, however. */
  get runs(): boolean {
    const child = this.#process?.child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Begins a process without waiting for it. */
  launch({ wrapper = [], env = {} }: StartOptions = {}): void {
    const command = ['serve', '--data', this.data, '--port', '0']
    this.#process = new CommandProcess(command, { wrapper, env, build: this.#build })
  }

  /** @returns milliseconds from the start of the process to its readiness, less what other programs took from it */
  async start(options: StartOptions = {}): Promise<number> {
    const started = performance.now()
    this.launch(options)
    await this.ready()
    return performance.now() - started - this.process.heldUpMilliseconds
  }

  async ready(): Promise<void> {
    this.#url = await this.process.url(START_SECONDS_MAX)
    this.#agent.destroy()
    this.#agent = new Agent({ keepAlive: true })
  }

  /** Ends the process as a power cut would end it, with all its children. */
  async kill(): Promise<void> {
    if (this.#process !== null) await this.#process.kill()
  }

  /** Asks the process to end, as an operator does. @returns its exit status */
  async stop(): Promise<number | null> {
    if (this.runs) process.kill(-this.process.child.pid!, 'SIGTERM')
    return (await this.process.finished).status
  }

  async remove(): Promise<void> {
    await this.kill()
    this.#agent.destroy()
    if (this.#owned) rmSync(this.data, { recursive: true, force: true })
  }

  /** The answer to an upload; null when there was none. */
  put({ sensor, kind, sha256, bytes }: MadeUpload): Promise<Answer | null> {
    const path = `/api/v1/${kind === 'batch' ? 'batches' : 'captures'}/${sha256}`
    return this.#ask('PUT', path, sensor, bytes)
  }

  async #ask(method: string, path: string, sensor: string, body?: Uint8Array): Promise<Answer | null> {
    return await new Promise(resolve => {
      const headers = {
        authorization: `Bearer ${this.#tokens.get(sensor)}`,
        ...(body && { 'content-length': body.length }),
      }
      const call = request(`${this.#url}${path}`, { method, agent: this.#agent, headers }, response => {
        const pieces: Buffer[] = []
        let answer: Answer = { status: response.statusCode!, body: null }
        response.on('data', piece => pieces.push(piece))
        response.on('end', () => {
          answer = { ...answer, body: JSON.parse(Buffer.concat(pieces).toString() || 'null') }
        })
        response.on('error', () => {})
        response.on('close', () => resolve(answer))
      })
      // The status is the promise, even when the hub dies before it has sent the rest.
      call.on('error', () => resolve(null))
      call.end(body)
    })
  }

  /** An operator tries a quarantined upload again. */
  retry({ sensor, sha256 }: MadeUpload): Promise<Answer | null> {
    return this.#ask('POST', `/api/v1/receipts/${sha256}/retry`, sensor)
  }

  /** The receipt of an upload when it is no longer received, or as it is when the time is over. */
  async settled({ sensor, sha256 }: MadeUpload, secondsMax: number): Promise<Receipt | undefined> {
    for (const end = Date.now() + secondsMax * 1000; ; await pause(50)) {
      const receipt = (await this.receipts(sensor)).find(known => known.sha256 === sha256)
      if ((receipt !== undefined && receipt.state !== 'received') || Date.now() > end) return receipt
    }
  }

  /** Waits while the hub lives until an upload is counted and its bytes have left the inbox; some seconds at most. */
  async putAway({ sensor, kind, sha256 }: MadeUpload): Promise<void> {
    const folder = kind === 'batch' ? 'batches' : 'captures'
    for (const end = Date.now() + PUT_AWAY_SECONDS_MAX * 1000; Date.now() < end && this.runs; await pause(30)) {
      const receipts = await this.receipts(sensor).catch(() => [])
      const isCounted = receipts.some(receipt => receipt.sha256 === sha256 && receipt.state === 'counted')
      if (isCounted && !this.files('inbox', folder, sensor).includes(sha256)) return
    }
  }

  async receipts(sensor: string): Promise<Receipt[]> {
    const answer = await this.#ask('GET', `/api/v1/receipts?limit=${RECEIPTS_MAX}`, sensor)
    if (answer?.status !== 200) throw new Error(`receipts of ${sensor}: answered with ${answer?.status}`)
    return (answer.body as unknown as { receipts: Receipt[] }).receipts
  }

  /** Waits until all that was received is counted or set aside. */
  async settle(): Promise<Receipt[]> {
    for (const end = Date.now() + SETTLE_SECONDS_MAX * 1000; ; ) {
      const all = (await Promise.all(this.sensors.map(({ sensor }) => this.receipts(sensor)))).flat()
      if (all.every(({ state }) => state !== 'received')) return all
      if (Date.now() > end) throw new Error(`uploads still wait to be counted after ${SETTLE_SECONDS_MAX} s`)
      await pause(100)
    }
  }

  /** Packets in the answers for each sensor. */
  async packets(): Promise<Map<string, number>> {
    const answers = await Promise.all(
      this.sensors.map(({ sensor }) => this.#ask('GET', '/api/v1/sensors?since=2025-11-01&until=2025-12-31', sensor)),
    )
    const rows = answers.flatMap(answer => (answer?.body as unknown as { rows: SensorRow[] } | null)?.rows ?? [])
    return new Map(rows.map(({ sensor, packet_count }) => [sensor, packet_count]))
  }

  /** Files below a folder of the data folder. */
  files(...path: string[]): string[] {
    const folder = join(this.data, ...path)
    return existsSync(folder) ? readdirSync(folder) : []
  }
}

interface SensorRow {
  readonly sensor: string
  readonly packet_count: number
}
