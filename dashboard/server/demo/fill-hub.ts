import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Status } from '../../../schemas/api.ts'
import type { Receipt } from '../../../schemas/catalog.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import type { NewToken } from '../credentials.ts'
import type { Hub } from '../hub.ts'
import { askHub, hubError } from '../hub-client.ts'
import { commandLine } from '../instructions.ts'
import type { Region } from './region.ts'

/** Uploads at once: enough that the hub commits receipts together. */
const UPLOADS_AT_ONCE = 6
const POLL_MILLISECONDS = 250
/** The page compares a week with the week before: with these days it has something to say. */
const NEWEST_DAYS = 14

/** How far the hub has come with the region's captures. */
export interface Filling {
  readonly captures: number
  readonly counted: number
  /** The days that the page needs first are counted. */
  readonly newestCounted: boolean
}

/**
 * Fills a hub with a region as its sensors would: registers them, gets a token for each, uploads each capture by HTTP,
 * newest day first, and watches the receipts. What an earlier start did is found again and not repeated.
 */
export class HubFiller {
  readonly #hub: Hub
  readonly #region: Region
  readonly #stop: { requested: boolean }
  /** Path of a capture → sensor and digest, once it is on its way. */
  readonly #sent = new Map<string, string>()
  /** Sensor and digest of what is counted. */
  readonly #counted = new Set<string>()
  /** Receipts of what will not be counted by itself, by the same. */
  readonly #stuck = new Map<string, Receipt>()
  readonly #newest: ReadonlySet<string>

  /** @param stop set from outside: no further upload is begun then */
  constructor(hub: Hub, region: Region, stop: { requested: boolean }) {
    this.#hub = hub
    this.#region = region
    this.#stop = stop
    const days = [...new Set(region.captures.map(({ day }) => day))].sort().reverse()
    this.#newest = new Set(days.slice(0, NEWEST_DAYS))
  }

  get filling(): Filling {
    const { captures } = this.#region
    const isCounted = (path: string) => this.#counted.has(this.#sent.get(path) ?? '')
    const counted = captures.filter(({ path }) => isCounted(path)).length
    const newestCounted = captures.every(({ path, day }) => !this.#newest.has(day) || isCounted(path))
    return { captures: captures.length, counted, newestCounted }
  }

  /**
   * Resolves when all is counted, or when it was stopped.
   * @throws UPLOAD_STATE when the hub will not count a capture of the region, and what uploading one throws
   */
  async fill(onProgress: (filling: Filling) => void): Promise<void> {
    const tokens = await this.#register()
    let uploaded = false
    const uploads = this.#uploadAll(tokens).then(() => {
      uploaded = true
    })
    const watching = (async () => {
      for (let settled = -1; !this.#stop.requested; await pause()) {
        // One small question most of the time: the receipts are read only when some have changed.
        const { uploads } = await this.#ask<Status>('GET', '/api/v1/status')
        const { counted, quarantined, held, withdrawn } = uploads
        if (counted + quarantined + held + withdrawn !== settled) {
          settled = counted + quarantined + held + withdrawn
          await this.#readReceipts()
        }
        this.#checkSent()
        onProgress(this.filling)
        if (uploaded && this.filling.counted === this.filling.captures) break
      }
    })()
    await Promise.all([uploads, watching])
    if (this.#stop.requested) return
    for (const { token_id } of tokens.values()) await this.#ask('DELETE', `/api/v1/tokens/${token_id}`)
  }

  async #register(): Promise<Map<string, NewToken>> {
    const tokens = new Map<string, NewToken>()
    for (const { id, name, economy, prefixes } of this.#region.sensors) {
      const sensor = { sensor: id, economy, organisation: name, telescope: prefixes.join(',') }
      await this.#ask('POST', '/api/v1/sensors', sensor).catch(error => {
        if (!(error instanceof TelescopeError) || error.code !== 'SENSOR_EXISTS') throw error
      })
      tokens.set(id, await this.#ask<NewToken>('POST', '/api/v1/tokens', { sensor: id }))
    }
    return tokens
  }

  /** The rest waits for the newest days: it would only slow down what the page needs first. */
  async #uploadAll(tokens: ReadonlyMap<string, NewToken>): Promise<void> {
    const newestFirst = this.#region.captures.toSorted((a, b) => (a.day < b.day ? 1 : a.day > b.day ? -1 : 0))
    await this.#upload(
      newestFirst.filter(({ day }) => this.#newest.has(day)),
      tokens,
    )
    while (!this.filling.newestCounted && !this.#stop.requested) await pause()
    await this.#upload(
      newestFirst.filter(({ day }) => !this.#newest.has(day)),
      tokens,
    )
  }

  async #upload(captures: Region['captures'], tokens: ReadonlyMap<string, NewToken>): Promise<void> {
    const queue = [...captures]
    const worker = async () => {
      for (let capture = queue.shift(); capture && !this.#stop.requested; capture = queue.shift()) {
        const file = join(this.#region.folder, capture.path)
        const sha256 = createHash('sha256')
          .update(await readFile(file))
          .digest('hex')
        this.#sent.set(capture.path, `${capture.sensor}/${sha256}`)
        await uploadFile(`${this.#hub.url}/api/v1/captures/${sha256}`, tokens.get(capture.sensor)!.token, file)
      }
    }
    await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, worker))
  }

  async #readReceipts(): Promise<void> {
    for (const { id } of this.#region.sensors) {
      const { receipts } = await this.#ask<{ receipts: Receipt[] }>('GET', `/api/v1/receipts?sensor=${id}&limit=1000`)
      for (const receipt of receipts) {
        const identity = `${id}/${receipt.sha256}`
        if (receipt.state === 'counted') this.#counted.add(identity)
        else if (receipt.state !== 'received') this.#stuck.set(identity, receipt)
      }
    }
  }

  /** What an earlier start has left in such a state is found when it is sent again. */
  #checkSent(): void {
    for (const [path, identity] of this.#sent) {
      const receipt = this.#stuck.get(identity)
      if (receipt === undefined) continue
      const { sensor, sha256, state, error_message } = receipt
      throw new TelescopeError(
        'UPLOAD_STATE',
        `capture ${path} of the demo, upload ${sensor}/${sha256}: is ${state} and will not be counted${error_message === null ? '' : ` (${error_message})`}; make the region anew with: ${commandLine('demo', '--reset')}`,
        { sensor, sha256, state, path },
      )
    }
  }

  async #ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T> {
    const answer = await askHub<T>(this.#hub.folder, { method, path, ...(body === undefined ? {} : { body }) })
    if (answer === null) throw new TelescopeError('HUB_UNREACHABLE', 'hub of the demo is gone')
    return answer.body
  }
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, POLL_MILLISECONDS))
}

/** One PUT of a file. @throws what the hub answers */
async function uploadFile(url: string, token: string, file: string): Promise<void> {
  const { size } = await stat(file)
  const call = request(url, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-length': size },
  })
  const answered = new Promise<{ status: number; text: string }>((resolve, reject) => {
    call.on('error', reject)
    call.on('response', response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', data => {
        text += data
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    // Without an answer before it, this is the failure.
    call.on('close', () => reject(new TelescopeError('HUB_UNREACHABLE', 'hub of the demo closed the connection')))
  })
  // The hub answers before the end of a body that it has already, and node then closes the connection under the rest.
  const sent = pipeline(createReadStream(file), call).catch(() => call.destroy())
  const { status, text } = await answered
  await sent
  if (status >= 300) throw hubError(JSON.parse(text), status)
}
