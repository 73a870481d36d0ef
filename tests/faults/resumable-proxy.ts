import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { createServer as createHttpServer, request as httpRequest } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { uploadResumably } from '../../collector/resumable-upload.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { openTestHub, SENSOR_A, type TestHub } from '../support/test-hub.ts'
import { BUILD } from './broken-build.ts'
import type { FaultOptions, FaultReport } from './fault-test.ts'

// R6: uploads through a line that cuts, stalls and trickles. What must hold: all complete, the offset that the hub
// tells never goes back, and after a cut at most one chunk is sent again.

export interface ProxyFigures {
  readonly uploads: number
  readonly complete: number
  readonly cuts: number
  readonly stalls: number
  readonly trickles: number
  /** Bytes that were sent more than once, of all uploads, and the most after one cut. */
  readonly resentBytes: number
  readonly resentMost: number
  readonly chunkBytes: number
  /** Each way in which a promise was broken; empty when all is well. */
  readonly violations: readonly string[]
}

const CHUNK_BYTES = 64 * 1024
const AT_ONCE = 8

/**
 * Runs the uploads against a hub of its own.
 * @param breaks a hub that breaks its word: it tells offsets of bytes that it has not got
 * @param build folder of the built program that the sender is of
 */
export async function run({
  uploads,
  seed,
  log,
  breaks = false,
  build = BUILD,
}: {
  uploads: number
  seed: number
  log: (line: string) => void
  breaks?: boolean
  build?: string
}): Promise<ProxyFigures> {
  const random = seededRandom(seed)
  const sender = pathToFileURL(join(build, 'collector/resumable-upload.js')).href
  const { uploadResumably: send } = (await import(sender)) as { uploadResumably: typeof uploadResumably }
  const hub = await openTestHub()
  await hub.app.listen({ host: '127.0.0.1', port: 0 })
  const servers: { close(): unknown }[] = []
  try {
    let port = (hub.app.server.address() as AddressInfo).port
    if (breaks) port = await listening(lyingHub(port), servers)
    const counts = { cuts: 0, stalls: 0, trickles: 0 }
    port = await listening(badLine(port, random, counts), servers)
    const tally = {
      complete: 0,
      resentBytes: 0,
      resentMost: 0,
      violations: [] as string[],
      sentTo: new Map<string, number>(),
    }
    const jobs = Array.from({ length: uploads }, (_, index) => ({ index, bytes: bytesOf(random) }))
    // A fifth of them twice.
    for (const job of jobs) if (random() < 0.2) job.bytes = jobs[Math.floor(random() * job.index)]?.bytes ?? job.bytes
    const work = async (): Promise<void> => {
      for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await uploadOne(job, port, hub, tally, send)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    const { sentTo: _, ...sums } = tally
    const figures = { uploads, ...sums, ...counts, chunkBytes: CHUNK_BYTES }
    log(JSON.stringify({ seed, ...figures }))
    return figures
  } finally {
    for (const server of servers) server.close()
    hub.app.server.closeAllConnections()
    await hub.close()
  }
}

const UPLOADS = { long: 1000, short: 40 }

/** R6 of `npm run faults`; the sender is of the build, its hub is in this process. */
export async function resumableProxy({ seed, short, build, rounds, print }: FaultOptions): Promise<FaultReport> {
  const uploads = rounds ?? UPLOADS[short ? 'short' : 'long']
  const { violations, ...figures } = await run({ uploads, seed, log: print, build })
  return { violations, figures }
}

interface Tally {
  complete: number
  resentBytes: number
  resentMost: number
  violations: string[]
  /** By digest, since the same bytes may be on their way twice: end of what anybody has sent of them. */
  readonly sentTo: Map<string, number>
}

async function uploadOne(
  { index, bytes }: { index: number; bytes: Buffer },
  port: number,
  hub: TestHub,
  tally: Tally,
  send: typeof uploadResumably,
): Promise<void> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const wrong = (what: string): void => void tally.violations.push(`upload ${index} of ${bytes.length} bytes: ${what}`)
  let told = 0
  /** End of what was handed to the connection so far. */
  let sentTo = 0
  const open = (offset: number, length: number): Readable => {
    const resent = Math.max(0, sentTo - offset)
    if (resent > CHUNK_BYTES) wrong(`${resent} bytes sent again after one cut`)
    const sentByAnyone = tally.sentTo.get(sha256) ?? 0
    if (offset > sentByAnyone) wrong(`asked for byte ${offset}, although only ${sentByAnyone} were sent`)
    tally.resentBytes += resent
    tally.resentMost = Math.max(tally.resentMost, resent)
    return Readable.from(
      (function* () {
        for (let from = offset; from < offset + length; from += 4096) {
          const to = Math.min(from + 4096, offset + length)
          sentTo = Math.max(sentTo, to)
          tally.sentTo.set(sha256, Math.max(tally.sentTo.get(sha256) ?? 0, to))
          yield bytes.subarray(from, to)
        }
      })(),
    )
  }
  try {
    const { status, body } = await send({
      hub: new URL(`http://127.0.0.1:${port}/`),
      identity: { sensor: SENSOR_A.sensor, token: hub.tokens.sensor },
      kind: 'capture',
      sha256,
      byteCount: bytes.length,
      contentType: 'application/octet-stream',
      open,
      chunkBytes: CHUNK_BYTES,
      signal: AbortSignal.timeout(120_000),
      onProgress: offset => {
        if (offset < told) wrong(`offset went back from ${told} to ${offset}`)
        told = offset
      },
      triesMax: 50,
      retryMs: 4,
    })
    const receipt = body as { sha256?: string; byte_count?: number }
    if ((status !== 200 && status !== 201) || receipt.sha256 !== sha256) wrong(`answered ${status}`)
    else if (receipt.byte_count !== bytes.length) wrong(`received as ${receipt.byte_count} bytes`)
    const kept = await stat(join(hub.folder.root, 'inbox', 'captures', SENSOR_A.sensor, sha256)).catch(() => null)
    if (kept?.size !== bytes.length) wrong(`lies at the hub with ${kept?.size ?? 'no'} bytes`)
    else tally.complete++
  } catch (error) {
    wrong(`gave up: ${(error as Error).message}`)
  }
}

/** A kilobyte to ten chunks, most of them small. */
function bytesOf(random: () => number): Buffer {
  const length = 1024 + Math.floor(random() ** 2 * 10 * CHUNK_BYTES)
  const bytes = Buffer.alloc(length)
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
  return bytes
}

/** A TCP proxy; each connection is drawn to be cut sooner or later, to stall before that, or to trickle meanwhile. */
function badLine(
  port: number,
  random: () => number,
  counts: { cuts: number; stalls: number; trickles: number },
): Server {
  return createServer(client => {
    const server = connect(port, '127.0.0.1')
    const fate = random()
    const stalls = fate < 0.15
    const isSlow = fate > 0.8
    if (isSlow) counts.trickles++
    // Clients use a connection again, so every one has an end.
    let left = Math.floor(random() * (fate < 0.6 ? 2.5 : 12) * CHUNK_BYTES)
    const cut = (): void => {
      client.destroy()
      server.destroy()
    }
    const forward = (from: Socket, to: Socket): void => {
      from.on('error', cut)
      from.on('close', () => to.destroy())
      from.on('data', data => {
        const piece = data.subarray(0, Math.min(left, data.length))
        left -= data.length
        to.write(piece)
        if (left <= 0) {
          from.pause()
          to.pause()
          if (stalls) counts.stalls++
          else counts.cuts++
          // What was forwarded arrives before the line goes dead.
          setTimeout(cut, stalls ? 60 : 2)
        } else if (isSlow) {
          from.pause()
          setTimeout(() => from.resume(), 3)
        }
      })
    }
    forward(client, server)
    forward(server, client)
  })
}

/** A hub in front of a hub, which answers HEAD with bytes that are only on their way. */
function lyingHub(port: number) {
  return createHttpServer((request, response) => {
    const { method, url, headers } = request
    const call = httpRequest({ host: '127.0.0.1', port, method, path: url, headers }, answer => {
      const offset = Number(answer.headers['upload-offset'])
      const length = Number(answer.headers['upload-length'])
      const lie =
        method === 'HEAD' && offset < length ? { 'upload-offset': String(Math.min(offset + 1000, length)) } : {}
      response.writeHead(answer.statusCode!, { ...answer.headers, ...lie })
      answer.pipe(response)
    })
    call.on('error', () => response.destroy())
    request.on('error', () => call.destroy())
    request.on('aborted', () => call.destroy())
    request.pipe(call)
  })
}

async function listening(
  server: { listen(port: number, host: string, done: () => void): unknown; address(): unknown; close(): unknown },
  servers: { close(): unknown }[],
): Promise<number> {
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
