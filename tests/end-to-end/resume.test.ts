import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ResumableUpload, uploadResumably } from '../../collector/resumable-upload.ts'
import { walkFiles } from '../../dashboard/server/walk-files.ts'
import { ROOT } from '../support/external.ts'
import { hirundo, hirundoSucceeds, type RunningHub, startHirundo } from '../support/hirundo.ts'

// A hub that is a process of its own, killed or restored in the middle of an upload; and the command that sends captures.

const SENSOR = 'jp-1'
const TELESCOPE = '198.19.1.0/24'
const CHUNK_BYTES = 200_000
const CAPTURE = `${ROOT}fixtures/captures/masscan-syn-23.pcap`

const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let folder: string
let data: string
let identity: string
let token: string
let hub: RunningHub
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-resume-'))
  data = join(folder, 'data')
  hub = await startHirundo(['serve', '--data', data, '--port', '0'])
  await hirundoSucceeds(['sensor', 'add', SENSOR, '--economy', 'JP', '--telescope', TELESCOPE, '--data', data])
  token = (await hirundoSucceeds(['token', 'create', '--sensor', SENSOR, '--data', data])).stdout.trim()
  identity = join(folder, 'identity.json')
  writeFileSync(identity, JSON.stringify({ sensor: SENSOR, token }), { mode: 0o600 })
})
afterAll(async () => {
  await hub?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const send = (...args: string[]) => hirundo(['send', ...args, '--hub', hub.url, '--identity', identity])

async function receipts(): Promise<object[]> {
  const answer = await fetch(`${hub.url}/api/v1/receipts`, { headers: { authorization: `Bearer ${token}` } })
  return ((await answer.json()) as { receipts: object[] }).receipts
}

/** Sends as a sensor does, as often as it takes until the hub is there again. */
function upload(bytes: Buffer, open: ResumableUpload['open'], onProgress: (offset: number) => void) {
  return uploadResumably({
    hub: new URL(`${hub.url}/`),
    identity: { sensor: SENSOR, token },
    kind: 'capture',
    sha256: digestOf(bytes),
    byteCount: bytes.length,
    contentType: 'application/octet-stream',
    open,
    chunkBytes: CHUNK_BYTES,
    signal: AbortSignal.timeout(100_000),
    onProgress,
    triesMax: Number.POSITIVE_INFINITY,
    retryMs: 20,
  })
}

describe('a hub that is killed in the middle of an upload', () => {
  it('asks for no byte again that it had announced, and gives one receipt', async () => {
    const bytes = randomBytes(7 * CHUNK_BYTES)
    const kills = new Set([1, 4, 6])
    let told = 0
    const offsets: number[] = []
    let restarted: Promise<void> = Promise.resolve()
    const restart = async () => {
      await hub.stop('SIGKILL')
      const port = new URL(hub.url).port
      hub = await startHirundo(['serve', '--data', data, '--port', port])
    }
    const open = (offset: number, length: number) =>
      Readable.from(
        (async function* () {
          const half = offset + length / 2
          yield bytes.subarray(offset, half)
          if (kills.delete(offset / CHUNK_BYTES)) {
            // The client may come as far as the next kill before we have heard of the hub that serves it.
            restarted = restarted.then(restart)
            await restarted
          }
          yield bytes.subarray(half, offset + length)
        })(),
      )
    const answer = await upload(bytes, open, offset => {
      offsets.push(offset)
      expect(offset).toBeGreaterThanOrEqual(told)
      told = offset
    })
    expect([answer.status, answer.body]).toMatchObject([201, { sha256: digestOf(bytes), byte_count: bytes.length }])
    await restarted
    expect(kills.size).toBe(0)
    // Asked again after each kill.
    expect(new Set(offsets).size).toBeLessThan(offsets.length)
    expect(await receipts()).toHaveLength(1)
  })
})

describe('a hub that is restored from a backup in the middle of an upload', () => {
  it('has no half uploads, and the client begins anew by itself', async () => {
    const bytes = randomBytes(5 * CHUNK_BYTES)
    const backup = join(folder, 'backup')
    const restored = join(folder, 'restored')
    const begun: number[] = []
    let half: number[] = []
    const offsets: number[] = []
    async function* piece(offset: number, length: number) {
      begun.push(offset)
      if (offset === 3 * CHUNK_BYTES && !existsSync(restored)) {
        await hirundoSucceeds(['backup', backup, '--data', data])
        await hub.stop('SIGKILL')
        await hirundoSucceeds(['restore', backup, '--data', restored])
        half = [data, backup, restored].map(where => walkFiles(where, 'inbox/open').length)
        const port = new URL(hub.url).port
        hub = await startHirundo(['serve', '--data', restored, '--port', port])
      }
      yield bytes.subarray(offset, offset + length)
    }
    const before = (await receipts()).length
    const answer = await upload(
      bytes,
      (offset, length) => Readable.from(piece(offset, length)),
      offset => offsets.push(offset),
    )
    expect([answer.status, answer.body]).toMatchObject([201, { sha256: digestOf(bytes), byte_count: bytes.length }])
    expect(await receipts()).toHaveLength(before + 1)
    // Told of three pieces by the lost hub, and of none by the restored one.
    expect(offsets.slice(0, 5)).toEqual([0, 1, 2, 3, 0].map(pieces => pieces * CHUNK_BYTES))
    expect(begun).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 4].map(pieces => pieces * CHUNK_BYTES))
    // Bytes and state of this one and state of the one before, in the lost hub alone.
    expect(half).toEqual([3, 0, 0])
  })
})

describe('hirundo send CAPTURE', () => {
  it('prints the receipt, and with --wait what became of it', async () => {
    const digest = createHash('sha256').update(readFileSync(CAPTURE)).digest('hex')
    const waited = await send(CAPTURE, '--wait')
    expect([waited.status, waited.stderr]).toEqual([0, ''])
    expect(waited.stdout).toMatch(
      new RegExp(`^masscan-syn-23.pcap: counted, 64 packets, .* bytes, SHA-256 ${digest}\n$`),
    )
    const again = await send(CAPTURE)
    expect([again.status, again.stdout]).toEqual([0, waited.stdout])
  })

  it('ends with 3 when the hub refuses one, and goes on with the others', async () => {
    const bad = join(folder, 'bad.pcap')
    writeFileSync(bad, 'no capture at all')
    const { status, stdout } = await send(bad, CAPTURE, '--wait')
    expect(status).toBe(3)
    expect(stdout).toMatch(/^bad\.pcap: quarantined, .*\[CAPTURE_FORMAT_UNKNOWN\]\nmasscan-syn-23\.pcap: counted/)
  })

  it('takes no options of the spool, and the other way round', async () => {
    for (const args of [
      [CAPTURE, '--spool', folder],
      [CAPTURE, '--watch'],
      ['--spool', folder, '--wait'],
    ]) {
      const { status, stderr } = await send(...args)
      expect([status, stderr.includes('[USAGE]')]).toEqual([2, true])
    }
  })
})
