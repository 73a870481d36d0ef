import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readIdentity } from '../../collector/identity.ts'
import { signRequest } from '../../collector/request-signature.ts'
import { CAPTURE_BYTES_MAX } from '../../schemas/batch.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import type { ErrorBody, ErrorCode } from '../../schemas/errors.ts'
import { SCHEMA_VERSION } from '../../schemas/flow.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { type Ended, hirundo, hirundoSucceeds, type RunningHub, startHirundo } from '../support/hirundo.ts'
import { synCapture } from '../support/syn-capture.ts'
import { bearer, errorCode, openTestHub } from '../support/test-hub.ts'

// Goal: whatever an operator does wrong, the refusal says what was wrong and what to do, in words held here, whether it
// comes to curl or to the program at the sensor.

const NETWORK = [198, 19, 1] as const
const UPLOADS_A_DAY = 5
const run = promisify(execFile)

let folder: string
let data: string
let hub: RunningHub
let token: string
let otherToken: string
let identity: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-refusals-'))
  data = join(folder, 'data')
  const config = join(folder, 'hub.json')
  writeFileSync(config, JSON.stringify({ kind: 'hub', quota_uploads_a_day: UPLOADS_A_DAY }))
  hub = await startHirundo(['serve', '--config', config, '--data', data, '--port', '0'])
  const add = (sensor: string, telescope: string) =>
    hirundoSucceeds(['sensor', 'add', sensor, '--economy', 'JP', '--telescope', telescope, '--data', data])
  const newToken = async (...of: string[]) =>
    (await hirundoSucceeds(['token', 'create', ...of, '--data', data])).stdout.trim()
  await add('jp-1', '198.19.1.0/24')
  await add('vn-1', '198.19.2.0/24')
  token = await newToken('--sensor', 'jp-1')
  otherToken = await newToken('--sensor', 'vn-1')
  const code = (await hirundoSucceeds(['sensor', 'invite', 'jp-1', '--data', data])).stdout.trim()
  await hirundoSucceeds(['sensor', 'init', '--sensor', 'jp-1', '--out', join(folder, 'spool')])
  identity = join(folder, 'spool', 'jp-1.identity.json')
  await hirundoSucceeds(['sensor', 'enrol', '--identity', identity, '--hub', hub.url, '--code', code])
})
afterAll(async () => {
  await hub?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function file(bytes: Uint8Array | string): string {
  const path = join(mkdtempSync(join(folder, 'file-')), 'FILE')
  writeFileSync(path, bytes)
  return path
}

/** What curl prints of an error of the hub. */
async function curl(path: string, ...options: string[]): Promise<ErrorBody['error']> {
  const { stdout } = await run('curl', ['-sS', ...options, `${hub.url}/api/v1/${path}`])
  return (JSON.parse(stdout) as ErrorBody).error
}

const uploading = (path: string, as = token) => ['-H', `Authorization: Bearer ${as}`, '-T', path]

/** Uploads by curl and waits for what becomes of it. */
async function fateOf(kind: 'captures' | 'batches', bytes: Uint8Array, as = token): Promise<Receipt> {
  const headers = ['-H', `Authorization: Bearer ${as}`]
  const digest = digestOf(bytes)
  await run('curl', ['-sSf', ...headers, '-T', file(bytes), `${hub.url}/api/v1/${kind}/${digest}`])
  const { stdout } = await run('curl', ['-sSf', ...headers, `${hub.url}/api/v1/receipts/${digest}?wait=30`])
  return JSON.parse(stdout) as Receipt
}

/** `send` at a sensor whose clock is off by so many seconds. */
async function sendWithClock(seconds: number): Promise<Ended> {
  const clock = `const now = Date.now; Date.now = () => now() + ${seconds * 1000}`
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(clock)}` }
  return await send([file(synCapture(50 + Math.abs(seconds), 5, NETWORK))], env)
}
const send = (captures: string[], env = {}) =>
  hirundo(['send', ...captures, '--hub', hub.url, '--identity', identity], undefined, env)
const refusal = (code: ErrorCode, message: RegExp) => ({ code, message: expect.stringMatching(message) })
const told = (code: ErrorCode, message: RegExp) => ({
  stderr: expect.stringMatching(new RegExp(`^hirundo: .*${message.source}.* \\[${code}\\]\n$`)),
})

describe.skipIf(!requireExternal('curl', hasCommand('curl')))('a refusal says what is wrong and what to do', () => {
  it('of a sensor that nobody has registered', async () => {
    const coordinator = (
      await hirundoSucceeds(['token', 'create', '--role', 'coordinator', '--data', data])
    ).stdout.trim()
    const bytes = synCapture(1, 5, NETWORK)
    const said = await curl(`captures/${digestOf(bytes)}?sensor=xx-9`, ...uploading(file(bytes), coordinator))
    expect(said).toMatchObject(refusal('SENSOR_UNKNOWN', /^sensor "xx-9" is not registered; .*sensor add$/))
    const other = await curl(`captures/${digestOf(bytes)}?sensor=vn-1`, ...uploading(file(bytes)))
    expect(other).toMatchObject(
      refusal('FORBIDDEN', /^token speaks for sensor "jp-1", not for "vn-1"; use that sensor's/),
    )
    const nobody = await curl(`captures/${digestOf(bytes)}`, ...uploading(file(bytes), 'hirundo_0123'))
    expect(nobody).toMatchObject(refusal('UNAUTHENTICATED', /^token is unknown or revoked; ask the coordinator/))
  })

  it('of a clock that is off, of an old and of a repeated signature', async () => {
    // First, while the hub has seen nothing newer of this key than its enrolment.
    expect(await sendWithClock(900)).toMatchObject(
      told('CLOCK_OFF', /clock of the sensor is 9\d\d s ahead of that of the hub, at most 300 s are taken; set it/),
    )
    expect(await sendWithClock(-900)).toMatchObject(
      told('CLOCK_OFF', /clock of the sensor is 9\d\d s behind that of the hub, at most 300 s are taken; set it/),
    )
    const url = new URL('/api/v1/status', hub.url)
    const signed = signRequest({ method: 'GET', url, headers: {} }, readIdentity(identity).key!)
    const fields = Object.entries(signed).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
    await run('curl', ['-sSf', ...fields, url.href])
    expect(await curl('status', ...fields)).toMatchObject(
      refusal(
        'SIGNATURE_REPLAYED',
        /^signature of key \w{32} with nonce \S+ was taken before; sign each request anew$/,
      ),
    )
    expect(await sendWithClock(-900)).toMatchObject(
      told('SIGNATURE_STALE', /signature is 9\d\d s old, at most 300 s are taken; sign the request anew/),
    )
  })

  it('of bytes that are not what they are called, of another type, or too many', async () => {
    const bytes = synCapture(2, 5, NETWORK)
    const [named, sent] = [digestOf(synCapture(3, 5, NETWORK)), digestOf(bytes)]
    expect(await curl(`captures/${named}`, ...uploading(file(bytes)))).toMatchObject(
      refusal('DIGEST_MISMATCH', new RegExp(`^body has SHA-256 ${sent}, the request names ${named}; .*send it again`)),
    )
    const typed = ['-H', 'Content-Type: text/html', ...uploading(file(bytes))]
    expect(await curl(`captures/${sent}`, ...typed)).toMatchObject(
      refusal(
        'CONTENT_TYPE_UNSUPPORTED',
        /^capture comes with content-type "text\/html", expected application\/.* or no/,
      ),
    )
    const form = ['-H', `Authorization: Bearer ${token}`, '-X', 'PUT', '--data-binary', 'x']
    expect(await curl(`captures/${sent}`, ...form)).toMatchObject(
      refusal('CONTENT_TYPE_UNSUPPORTED', /"application\/x-www-form-urlencoded", .*curl --upload-file FILE/),
    )
    const large = ['-H', `Content-Length: ${CAPTURE_BYTES_MAX + 1}`, ...uploading(file(bytes))]
    expect(await curl(`captures/${sent}`, ...large)).toMatchObject(
      refusal(
        'BODY_TOO_LARGE',
        /^capture has 4294967297 bytes or more, at most 4294967296 are taken; split it \(editcap/,
      ),
    )
  })

  it('of a batch of the future, or of another sensor', async () => {
    const out = join(folder, 'spool')
    const capture = file(synCapture(4, 5, NETWORK))
    await hirundoSucceeds(['collect', capture, '--sensor', 'jp-1', '--telescope', '198.19.1.0/24', '--out', out])
    const name = readdirSync(out).find(entry => entry.endsWith('.arrow'))!
    const batch = readFileSync(join(out, name))
    const text = batch.toString('latin1').replace(/("schema_version":)\d/, '$19')
    expect(await fateOf('batches', Buffer.from(text, 'latin1'))).toMatchObject({
      state: 'quarantined',
      error_code: 'BATCH_VERSION_UNSUPPORTED',
      error_message: `batch: schema version 9, this hub reads ${SCHEMA_VERSION}; use the collector of the hub's release`,
    })
    expect(await fateOf('batches', batch, otherToken)).toMatchObject({
      state: 'quarantined',
      error_code: 'BATCH_SENSOR_MISMATCH',
      error_message: 'batch: it is of sensor "jp-1", and "vn-1" sends it; send it with the key or token of "jp-1"',
    })
    const foreign = join(folder, 'foreign')
    const other = join(folder, 'other.json')
    writeFileSync(other, JSON.stringify({ sensor: 'vn-1', token: otherToken }), { mode: 0o600 })
    cpSync(join(out, name), join(foreign, name))
    const ended = await hirundo(['send', '--spool', foreign, '--hub', hub.url, '--identity', other])
    expect(ended.status).toBe(3)
    expect(ended.stderr).toMatch(/it is of sensor "jp-1", and the identity is of "vn-1"; send it with that sensor's/)
  })

  it('of a batch for other addresses than are registered; a corrected registration takes it', async () => {
    const sensor = ['th-1', '--data', data]
    await hirundoSucceeds(['sensor', 'add', ...sensor, '--economy', 'TH', '--telescope', '198.19.3.0/25'])
    const thToken = (await hirundoSucceeds(['token', 'create', '--sensor', ...sensor])).stdout.trim()
    const out = join(folder, 'th-spool')
    const capture = file(synCapture(9, 5, [198, 19, 3]))
    await hirundoSucceeds(['collect', capture, '--sensor', 'th-1', '--telescope', '198.19.3.0/24', '--out', out])
    const batch = readFileSync(join(out, readdirSync(out).find(entry => entry.endsWith('.arrow'))!))
    const { error_message, ...fate } = await fateOf('batches', batch, thToken)
    expect(fate).toMatchObject({ state: 'quarantined', error_code: 'BATCH_TELESCOPE_MISMATCH' })
    expect(error_message).toBe(
      'batch: it was collected for 256 IPv4 addresses, not the 128 that sensor "th-1" is registered with; collect again with the registered prefixes, or have the coordinator correct them (hirundo sensor change) and retry this upload',
    )
    const changed = await hirundoSucceeds(['sensor', 'change', ...sensor, '--telescope', '198.19.3.0/24'])
    expect(changed.stdout).toBe('sensor th-1 in TH with 256 IPv4 addresses is registered now\n')
    await hirundoSucceeds(['upload', 'retry', digestOf(batch), '--sensor', ...sensor])
    expect(await fateOf('batches', batch, thToken)).toMatchObject({ state: 'counted', packet_kept_count: 5 })
  })

  it('of a bomb', async () => {
    const bomb = gzipSync(Buffer.concat([synCapture(5, 5, NETWORK), Buffer.alloc(8 * 2 ** 20)]))
    const { state, error_code, error_message } = await fateOf('captures', bomb)
    expect([state, error_code]).toEqual(['quarantined', 'COMPRESSION_BOMB'])
    expect(error_message).toMatch(/gzip: \d+ bytes expand to \d+ or more, allowed are .*; decompress it yourself/)
  })

  it('of traffic that came before', async () => {
    const first = Buffer.from(synCapture(6, 50, NETWORK))
    const second = first.subarray(0, first.length - 56)
    await fateOf('captures', first)
    expect(await fateOf('captures', second)).toMatchObject({
      state: 'held',
      error_code: 'CAPTURE_OVERLAPS',
      error_message: `upload ${digestOf(second)} holds traffic that ${digestOf(first)} holds, too; accept it to count both, or withdraw one of them`,
    })
  })

  it('of more than the share of a sensor', async () => {
    for (let seed = 100; ; seed++) {
      const bytes = synCapture(seed, 5, [198, 19, 2])
      const { stdout } = await run('curl', [
        ...['-sS', ...uploading(file(bytes), otherToken), `${hub.url}/api/v1/captures/${digestOf(bytes)}`],
      ])
      const { error } = JSON.parse(stdout) as Partial<ErrorBody>
      if (error === undefined && seed < 100 + UPLOADS_A_DAY) continue
      const next = UPLOADS_A_DAY + 1
      const message = `^sensor "vn-1" would have ${next} uploads a day \\(UTC\\), at most ${UPLOADS_A_DAY} are taken; nothing was kept, send it again in \\d+ s$`
      expect(error).toMatchObject(refusal('QUOTA_EXCEEDED', new RegExp(message)))
      break
    }
  })

  it('of a full disk', async () => {
    const full = await openTestHub({ space: async () => ({ free: 20 * 2 ** 20, total: 400 * 2 ** 20 }) })
    try {
      const payload = Buffer.from(synCapture(7, 5, NETWORK))
      const headers = bearer(full.tokens.sensor)
      const response = await full.app.inject({
        ...{ method: 'PUT', url: `/api/v1/captures/${digestOf(payload)}`, headers, payload },
      })
      expect([response.statusCode, errorCode(response)]).toEqual([507, 'DISK_FULL'])
      expect(response.json().error.message).toMatch(
        /^disk of the hub has 20 MiB free, and 21 MiB are needed with the reserve; the upload was not kept, send it again when there is room$/,
      )
    } finally {
      await full.close()
    }
  })

  it('of a key that was revoked', async () => {
    await hirundoSucceeds(['sensor', 'revoke', 'jp-1', '--data', data])
    expect(await send([file(synCapture(8, 5, NETWORK))])).toMatchObject(
      told(
        'SENSOR_KEY_REVOKED',
        /key \w{32} was revoked at \S+; ask the coordinator for a code if the sensor is to go on; then move/,
      ),
    )
  })
})
