import { connect, type Socket } from 'node:net'
import { type FaultOptions, type FaultReport, pause } from './fault-test.ts'
import { type Acknowledged, FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * H5: connections that trickle. Most never end their headers; the others are uploads of one sensor that never end their
 * bodies. Another sensor must be served as before, the uploads beyond the quota are refused at once, and the limits of
 * time cut what has no whole header.
 */

const CONNECTIONS = { long: 1000, short: 200 }
/** Uploads of one sensor that the hub takes at once. */
const QUOTA = 64
/** Beyond the quota, and beside the connections that stay. */
const REFUSED = 16
const TRICKLE_MILLISECONDS = 1000
const OPEN_SECONDS_MAX = 60
/** Uploads of the other sensor, before, meanwhile and afterwards. */
const PROBES = { long: 200, short: 16 }
/** Fewer say nothing of one in a hundred. */
const PROBES_MIN = 50
/** The limit for headers is a minute: what is sent meanwhile has to be answered before, on a slow machine fewer. */
const PROBE_SECONDS_MAX = 40
const CLIENTS = 4
const PROBE_BYTES = 20_000
/** What is over the limit for headers is looked for every half minute. */
const CUT_SECONDS_MAX = 120
const TOO_MANY_REQUESTS = 429

export async function slowConnections({ short, build, rounds, print }: FaultOptions): Promise<FaultReport> {
  const form = short ? 'short' : 'long'
  const count = rounds ?? CONNECTIONS[form]
  const hub = await FaultyHub.prepare(build, 2)
  const violations: string[] = []
  const acknowledged: Acknowledged[] = []
  const sent: MadeUpload[] = []
  const probe = async (): Promise<number[]> => {
    const times: number[] = []
    let left = PROBES[form]
    const end = performance.now() + PROBE_SECONDS_MAX * 1000
    const client = async (): Promise<void> => {
      while (left > 0 && performance.now() < end) {
        left--
        const upload = makeCapture(hub.sensors[0]!, sent.length, PROBE_BYTES)
        sent.push(upload)
        const asked = performance.now()
        const answer = await hub.put(upload)
        times.push(performance.now() - asked)
        if (answer?.status === 201) acknowledged.push({ upload, receivedAt: answer.body?.received_at ?? null })
        else violations.push(`an upload beside slow connections was answered with ${answer?.status}`)
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))
    return times.sort((a, b) => a - b)
  }
  let slow: SlowConnections | null = null
  try {
    await hub.start()
    await probe()
    const before = await probe()
    const headers = count - QUOTA
    slow = new SlowConnections(hub, { bodies: QUOTA + REFUSED, headers })
    await slow.opened()
    print(`${count} connections are open`)
    const during = await probe()
    const openMeanwhile = slow.open
    const refused = slow.answers.filter(status => status === TOO_MANY_REQUESTS).length
    const others = slow.answers.filter(status => status !== TOO_MANY_REQUESTS)
    if (others.length > 0) violations.push(`slow connections were answered with ${[...new Set(others)].join(', ')}`)
    if (refused !== REFUSED) violations.push(`${refused} slow uploads beyond the quota were refused, not ${REFUSED}`)
    if (openMeanwhile < count) violations.push(`only ${openMeanwhile} of ${count} slow connections were open meanwhile`)
    const neighbours = [before]
    if (!short) {
      const cut = await slow.headersCut()
      if (cut < headers) violations.push(`${cut} of ${headers} slow headers were cut`)
      slow.close()
      // Other work on the machine comes and goes: what was slow on either side is no doing of the connections.
      neighbours.push(await probe())
      const [limit, p99During] = [2 * Math.max(...neighbours.map(p99)), p99(during)]
      if (p99During > limit) violations.push(`p99 is ${p99During.toFixed(0)} ms, at most ${limit.toFixed(0)} expected`)
      const fewest = Math.min(during.length, ...neighbours.map(times => times.length))
      if (fewest < PROBES_MIN) violations.push(`only ${fewest} uploads were answered in ${PROBE_SECONDS_MAX} s`)
    }
    slow.close()
    violations.push(...(await checkPromise(hub, acknowledged, sent)))
    return {
      violations,
      figures: {
        connections: count,
        'uploads refused by quota': refused,
        'connections open': openMeanwhile,
        'uploads measured': during.length,
        'p99 before, after, ms': neighbours.map(times => p99(times).toFixed(0)).join(' '),
        'p99 during, ms': p99(during).toFixed(0),
        'median before, after, ms': neighbours.map(times => median(times).toFixed(0)).join(' '),
        'median during, ms': median(during).toFixed(0),
        'headers cut': slow.cutHeaders,
      },
    }
  } finally {
    slow?.close()
    await hub.remove()
  }
}

function p99(sorted: readonly number[]): number {
  return sorted[Math.ceil(sorted.length * 0.99) - 1]!
}

function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1]!
}

class SlowConnections {
  /** Statuses of the answers that came. */
  readonly answers: number[] = []
  cutHeaders = 0
  readonly #sockets = new Set<Socket>()
  readonly #headers: number
  #connected = 0
  readonly #all: number
  readonly #timer: NodeJS.Timeout

  constructor(hub: FaultyHub, { bodies, headers }: { bodies: number; headers: number }) {
    this.#headers = headers
    this.#all = bodies + headers
    const { hostname, port } = new URL(hub.url)
    const host = `Host: ${hostname}:${port}\r\n`
    const sensor = hub.sensors[1]!
    for (let index = 0; index < headers; index++) {
      this.#open(hub, `GET /api/v1/receipts HTTP/1.1\r\n${host}X-Slow: `, () => this.cutHeaders++)
    }
    for (let index = 0; index < bodies; index++) {
      const path = `/api/v1/captures/${String(index).padStart(64, '0')}`
      const authorization = `Authorization: Bearer ${hub.token(sensor.sensor)}\r\n`
      this.#open(hub, `PUT ${path} HTTP/1.1\r\n${host}${authorization}Content-Length: 1000000\r\n\r\n`, () => {})
    }
    this.#timer = setInterval(() => {
      for (const socket of this.#sockets) if (socket.writable) socket.write('x')
    }, TRICKLE_MILLISECONDS)
  }

  #open(hub: FaultyHub, head: string, onCut: () => void): void {
    const { hostname, port } = new URL(hub.url)
    const socket = connect(Number(port), hostname, () => this.#connected++)
    // At once, and not when it is connected: else the first byte that trickles may come before it.
    socket.write(head)
    this.#sockets.add(socket)
    socket.on('data', data => {
      const status = /^HTTP\/1\.1 (\d+)/.exec(data.toString('latin1'))?.[1]
      if (status !== undefined) this.answers.push(Number(status))
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#sockets.delete(socket)) onCut()
    })
  }

  get open(): number {
    return this.#sockets.size
  }

  /** Until all are connected and what is beyond the quota is answered. */
  async opened(): Promise<void> {
    const isOpen = () => this.#connected === this.#all && this.answers.length >= REFUSED
    for (const end = Date.now() + OPEN_SECONDS_MAX * 1000; !isOpen() && Date.now() < end; ) await pause(50)
  }

  /** Waits until the hub has cut all that trickle headers, or should have. @returns how many it has */
  async headersCut(): Promise<number> {
    const end = Date.now() + CUT_SECONDS_MAX * 1000
    while (this.cutHeaders < this.#headers && Date.now() < end) await pause(200)
    return this.cutHeaders
  }

  close(): void {
    clearInterval(this.#timer)
    const sockets = [...this.#sockets]
    this.#sockets.clear()
    for (const socket of sockets) socket.destroy()
  }
}
