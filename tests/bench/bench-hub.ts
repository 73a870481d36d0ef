import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { SigningKey } from '../../collector/ed25519-key.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { openDataFolder } from '../../dashboard/server/data-folder.ts'
import { hashCode } from '../../dashboard/server/invitation-code.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import { INVITATION_HOURS, inviteSensor } from '../../dashboard/server/sensor-access.ts'
import type { UploadKind } from '../../schemas/catalog.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { PROGRAM } from './simulated-day.ts'

/** What the processes of a hub used so far, and what they hold now. */
export interface HubUse {
  /** Processor time of all threads, user and system. */
  readonly hubSeconds: number
  readonly childrenSeconds: number
  /** Time in which threads of the hub were ready to run and others had the processors. */
  readonly hubWaitedSeconds: number
  readonly hubMegabytes: number
  readonly childrenMegabytes: number
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

/** An upload of known length, opened when it is sent. */
export interface BenchUpload {
  readonly sensor: string
  readonly kind: UploadKind
  readonly sha256: string
  readonly byteCount: number
  open(): Readable
}

/** Ticks of a second in /proc, on every Linux that Node runs on. */
const TICKS = 100
/** Often enough that what is measured hardly waits for it, and seldom enough that the hub has little to do with it. */
const LOOK_MILLISECONDS = 250

/** The real hub in a process and a data folder of its own, with sensors that may send to it. */
export class BenchHub {
  readonly #data: string
  readonly #process: CommandProcess
  readonly #tokens: ReadonlyMap<string, string>
  readonly #reader: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 })
  readonly #url: URL

  private constructor(parts: {
    data: string
    process: CommandProcess
    tokens: ReadonlyMap<string, string>
    reader: string
    url: string
  }) {
    this.#data = parts.data
    this.#process = parts.process
    this.#tokens = parts.tokens
    this.#reader = parts.reader
    this.#url = new URL(parts.url)
  }

  /**
   * @param telescopes of each sensor by its name
   * @param keys of sensors that sign their requests
   */
  static async start(
    telescopes: ReadonlyMap<string, string>,
    keys: ReadonlyMap<string, SigningKey> = new Map(),
  ): Promise<BenchHub> {
    const data = mkdtempSync(join(tmpdir(), 'hirundo-bench-hub-'))
    const storage = await openStorage({ data, geography: null })
    const folder = openDataFolder(data)
    const tokens = new Map<string, string>()
    for (const [sensor, telescope] of telescopes) {
      await registerSensor(storage, folder, { sensor, economy: 'JP', organisation: '', telescope })
      tokens.set(sensor, (await createToken(storage, { sensor })).token)
      const key = keys.get(sensor)
      if (key === undefined) continue
      const { code } = await inviteSensor(storage, sensor, INVITATION_HOURS.default)
      await storage.enrol(hashCode(code), { sensor, key_id: key.id, public_key: key.publicKey })
    }
    const reader = (await createToken(storage, { role: 'coordinator' })).token
    await storage.close()
    const child = new CommandProcess(['serve', '--data', data, '--port', '0'], { build: dirname(dirname(PROGRAM)) })
    return new BenchHub({ data, process: child, tokens, reader, url: await child.url() })
  }

  get url(): URL {
    return this.#url
  }

  get data(): string {
    return this.#data
  }

  /** Ends it in order, so that a profile is written when one was asked for, and removes its folder. */
  async remove(): Promise<void> {
    this.#process.child.kill('SIGTERM')
    await this.#process.finished
    await this.#process.kill()
    this.#agent.destroy()
    rmSync(this.#data, { recursive: true, force: true })
  }

  /**
   * Sends one upload.
   * @returns milliseconds until the receipt was here
   */
  async put({ sensor, kind, sha256, byteCount, open }: BenchUpload): Promise<number> {
    const path = `/api/v1/${kind === 'batch' ? 'batches' : 'captures'}/${sha256}`
    const started = performance.now()
    const answer = await this.#ask('PUT', path, this.#tokens.get(sensor)!, { byteCount, body: open() })
    if (answer.status !== 201) throw new Error(`upload was answered with ${answer.status}: ${JSON.stringify(answer)}`)
    return performance.now() - started
  }

  /** The body of an answer; anything but 200 is an error. */
  async get<T>(path: string, agent: Agent = this.#agent): Promise<T> {
    const answer = await this.#ask('GET', path, this.#reader, null, agent)
    if (answer.status !== 200) throw new Error(`${path} was answered with ${answer.status}: ${JSON.stringify(answer)}`)
    return answer.body as T
  }

  /** Resolves when nothing that was received waits to be counted. */
  async counted(): Promise<void> {
    for (;;) {
      const { receipts } = await this.get<{ receipts: unknown[] }>('/api/v1/receipts?state=received&limit=1')
      if (receipts.length === 0) return
      await new Promise(resolve => setTimeout(resolve, LOOK_MILLISECONDS))
    }
  }

  /** Packets in the answer for all of time that has data. */
  async packets(): Promise<number> {
    const { rows } = await this.get<{ rows: { packet_count: number }[] }>('/api/v1/traffic?by=none&bucket=86400')
    return rows.reduce((sum, { packet_count }) => sum + packet_count, 0)
  }

  use(): HubUse {
    const { pid } = this.#process.child
    const hub = processUse(pid!)
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
    const uses = children.map(child => processUse(Number(child)))
    return {
      hubSeconds: hub.seconds,
      hubWaitedSeconds: waitedSeconds(pid!),
      childrenSeconds: uses.reduce((sum, { seconds }) => sum + seconds, 0),
      hubMegabytes: hub.megabytes,
      childrenMegabytes: uses.reduce((sum, { megabytes }) => sum + megabytes, 0),
    }
  }

  #ask(
    method: string,
    path: string,
    token: string,
    upload: { byteCount: number; body: Readable } | null = null,
    agent = this.#agent,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(upload && { 'content-length': upload.byteCount, 'content-type': 'application/octet-stream' }),
      }
      const { hostname, port } = this.#url
      const call = request({ hostname, port, path, method, headers, agent }, response => {
        readBody(response).then(text => {
          resolve({ status: response.statusCode!, body: JSON.parse(text || 'null') })
        }, reject)
      })
      call.on('error', error => {
        // The hub ended an idle connection just when it was used again: asked once more, as browsers do.
        if (call.reusedSocket && upload === null) this.#ask(method, path, token, null, agent).then(resolve, reject)
        else reject(error)
      })
      if (upload) upload.body.on('error', reject).pipe(call)
      else call.end()
    })
  }
}

async function readBody(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of response) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

/** Of the threads that there are; 0 where the kernel does not say. */
function waitedSeconds(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[1])
    } catch {
      // It has ended meanwhile.
    }
  }
  return nanoseconds / 1e9
}

/** The name of a process may hold spaces; it ends with the last bracket. */
function processUse(pid: number): { seconds: number; megabytes: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return { seconds: (Number(fields[11]) + Number(fields[12])) / TICKS, megabytes: Number(resident?.[1] ?? 0) / 1024 }
}
