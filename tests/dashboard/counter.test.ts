import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Storage } from '../../analytics/storage.ts'
import { Counter } from '../../dashboard/server/counter.ts'
import { inboxPath } from '../../dashboard/server/data-folder.ts'
import { type DiskSpace, diskSpace } from '../../dashboard/server/disk-reserve.ts'
import { Inbox } from '../../dashboard/server/inbox.ts'
import { builtFile } from '../../dashboard/server/package-root.ts'
import { PARSE_LIMITS, type ParseLimits } from '../../dashboard/server/parse-child-process.ts'
import { ParsePool } from '../../dashboard/server/parse-pool.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import type { Receipt, UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { ROOT } from '../support/external.ts'
import { openTestHub, type TestHub } from '../support/test-hub.ts'

// The second promise: what is received is counted exactly once, whatever the uploads beside it do to the child.

const CAPTURE = readFileSync(join(ROOT, 'fixtures/captures/masscan-syn-23.pcap'))
const OTHER = readFileSync(join(ROOT, 'fixtures/captures/zmap-syn-23.pcap'))
/** Where the recorded scanners sent to. */
const SENSOR = { sensor: 'lab-1', economy: 'JP', organisation: 'Laboratory', telescope: '198.19.1.0/24' }
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

// Each test starts processes, and the machine may be busy with others.
vi.setConfig({ testTimeout: 90_000 })

let hub: TestHub
let counters: Counter[]
const errors: unknown[] = []
beforeEach(async () => {
  hub = await openTestHub()
  await registerSensor(hub.storage, hub.folder, SENSOR)
  counters = []
  errors.length = 0
})
afterEach(async () => {
  for (const counter of counters) await counter.stop()
  vi.useRealTimers()
  await hub.close()
})

interface CountOptions {
  storage?: Storage
  module?: string
  limits?: ParseLimits
  keepCaptures?: boolean
  space?: DiskSpace
}

function startCounter({
  storage = hub.storage,
  module,
  limits = PARSE_LIMITS,
  keepCaptures = true,
  space = diskSpace,
}: CountOptions = {}) {
  const pool = new ParsePool(module ?? builtFile('collector', 'parse-child.js'), hub.folder.parsed, limits)
  const counter = new Counter({
    storage,
    folder: hub.folder,
    space,
    inbox: new Inbox(hub.folder, keepCaptures),
    pool,
    onError: error => errors.push(error),
    onBroken: error => errors.push(error),
  })
  counters.push(counter)
  counter.start()
  return { counter, pool }
}

/** The storage of the hub, which cannot count one upload, and how often it was asked to. */
function refusing(sha256: string): { storage: Storage; refusals: () => number } {
  let refusals = 0
  const countGroup: Storage['countGroup'] = async uploads => {
    if (uploads.some(upload => upload.sha256 === sha256)) {
      refusals++
      throw new TelescopeError('STORAGE_FAILED', 'lake: cannot write')
    }
    await hub.storage.countGroup(uploads)
  }
  return { storage: { ...hub.storage, countGroup }, refusals: () => refusals }
}

/** Puts bytes where the receiver would, with their receipt. */
async function receive(
  bytes: Buffer | string,
  kind: UploadKind = 'capture',
  sensor = SENSOR.sensor,
  byteCount = bytes.length,
): Promise<string> {
  const digest = sha256(bytes)
  const path = inboxPath(hub.folder, kind, sensor, digest)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, bytes)
  await hub.storage.recordReceived({ sensor, sha256: digest, kind, byte_count: byteCount })
  return digest
}

async function settled(digest: string, sensor = SENSOR.sensor): Promise<Receipt> {
  const read = async () => (await hub.storage.findReceipt(sensor, digest))!
  await expect.poll(async () => (await read()).state).not.toBe('received')
  return await read()
}

const below = (...path: string[]) => {
  const folder = join(hub.folder.root, ...path)
  return existsSync(folder) ? readdirSync(folder) : []
}

async function packetsCounted(): Promise<number> {
  const { rows } = await hub.storage.query('sensors', { since: '2020-01-01', until: '2030-01-01' }, { sensors: 'all' })
  return rows.reduce((sum, row) => sum + row.packet_count, 0)
}

describe('a disk without room', () => {
  it('lets what was received wait, and it is counted when there is room', async () => {
    const digest = await receive(CAPTURE)
    let free = 4
    startCounter({ space: async () => ({ free: free * 2 ** 20, total: 64 * 2 ** 20 }) })
    await expect.poll(() => errors.length).toBeGreaterThan(0)
    expect(errors[0]).toMatchObject({ code: 'DISK_FULL' })
    expect((await hub.storage.findReceipt(SENSOR.sensor, digest))!.state).toBe('received')
    free = 60
    expect((await settled(digest)).state).toBe('counted')
    expect(await packetsCounted()).toBe(64)
  })

  it('for the parsing child is no fault of the upload', async () => {
    const digest = await receive(CAPTURE)
    const full = join(hub.folder.root, 'full.mjs')
    // What the real child answers on a full file system, in the words of the protocol.
    const error = { code: 'DISK_FULL', message: 'no space left', details: {} }
    writeFileSync(
      full,
      `process.on('message', ({ id }) => process.send({ id, ok: false, error: ${JSON.stringify(error)} }))`,
    )
    const { pool } = startCounter({ module: full })
    await expect.poll(() => errors.length).toBeGreaterThan(0)
    expect(errors[0]).toMatchObject({ code: 'DISK_FULL' })
    expect((await hub.storage.findReceipt(SENSOR.sensor, digest))!.state).toBe('received')
    await counters.pop()!.stop()
    pool.close()
    startCounter()
    expect((await settled(digest)).state).toBe('counted')
  })
})

describe('a capture', () => {
  it('is counted once, and its bytes leave the inbox', async () => {
    const digest = await receive(CAPTURE)
    startCounter()
    const receipt = await settled(digest)
    expect(receipt).toMatchObject({
      state: 'counted',
      packet_count: 64,
      packet_kept_count: 64,
      drops: {},
      error_code: null,
    })
    expect(receipt.first_packet! <= receipt.last_packet!).toBe(true)
    expect(await packetsCounted()).toBe(64)
    await expect.poll(() => below('captures', 'lab-1')).toEqual([digest])
    expect(below('inbox', 'captures', 'lab-1')).toEqual([])
    await expect.poll(() => below('inbox', 'parsed')).toEqual([])
  })

  it('is removed when it is not to be kept', async () => {
    const digest = await receive(CAPTURE)
    startCounter({ keepCaptures: false })
    await settled(digest)
    await expect.poll(() => below('inbox', 'captures', 'lab-1')).toEqual([])
    expect(below('captures', 'lab-1')).toEqual([])
  })

  it('adds nothing when its content comes again, in the same group or later', async () => {
    const [plain, packed] = [await receive(CAPTURE), await receive(gzipSync(CAPTURE))]
    const { counter } = startCounter()
    const receipts = [await settled(plain), await settled(packed)]
    const third = await receive(gzipSync(CAPTURE, { level: 1 }))
    counter.notify()
    const later = await settled(third)
    const first = receipts.find(receipt => receipt.duplicate_of === null)!
    expect(receipts.filter(receipt => receipt.duplicate_of === first.sha256)).toHaveLength(1)
    expect(later).toMatchObject({ state: 'counted', duplicate_of: first.sha256, packet_count: 64 })
    expect(await packetsCounted()).toBe(64)
  })

  it('cut short is counted as far as it goes', async () => {
    const digest = await receive(CAPTURE.subarray(0, CAPTURE.length - 10))
    startCounter()
    expect(await settled(digest)).toMatchObject({ state: 'counted', packet_count: 63, error_code: 'CAPTURE_TRUNCATED' })
  })

  it('without a packet for the telescope is counted and says so, without an address', async () => {
    const digest = await receive(CAPTURE, 'capture', 'jp-1')
    startCounter()
    const receipt = await settled(digest, 'jp-1')
    expect(receipt).toMatchObject({
      state: 'counted',
      packet_count: 64,
      packet_kept_count: 0,
      drops: { not_for_telescope: 64 },
      error_code: 'CAPTURE_OFF_TELESCOPE',
    })
    expect(receipt.error_message).not.toMatch(/\d+\.\d+\.\d+|\//)
  })
})

describe('what cannot be read', () => {
  it('is quarantined with its reason, and the next upload is counted', async () => {
    const [text, batch, good] = [
      await receive('hello, hub'),
      await receive('no arrow', 'batch'),
      await receive(CAPTURE),
    ]
    startCounter()
    expect(await settled(text)).toMatchObject({ state: 'quarantined', error_code: 'CAPTURE_FORMAT_UNKNOWN' })
    expect(await settled(batch)).toMatchObject({ state: 'quarantined', error_code: 'BATCH_INVALID' })
    expect((await settled(good)).state).toBe('counted')
    await expect.poll(() => below('inbox', 'quarantine', 'lab-1')).toHaveLength(4)
    const folder = join(hub.folder.quarantine, 'lab-1')
    expect(readFileSync(join(folder, text), 'utf8')).toBe('hello, hub')
    const reason = JSON.parse(readFileSync(join(folder, `${text}.json`), 'utf8'))
    expect(reason).toMatchObject({ sensor: 'lab-1', sha256: text, kind: 'capture', code: 'CAPTURE_FORMAT_UNKNOWN' })
    // Where the hub keeps things is nobody's business outside.
    for (const digest of [text, batch]) expect((await settled(digest)).error_message).not.toContain(hub.folder.root)
  })

  it('kills, hangs or outgrows the child twice, and no other upload', async () => {
    const poison = join(hub.folder.root, 'poison.mjs')
    const tries = join(hub.folder.root, 'tries')
    writeFileSync(
      poison,
      `import { appendFileSync, readFileSync } from 'node:fs'
      const real = await import(${JSON.stringify(builtFile('collector', 'parse-child.js'))})
      const listeners = process.listeners('message')
      process.removeAllListeners('message')
      process.on('message', job => {
        const head = readFileSync(job.input).subarray(0, 6).toString('latin1')
        if (['crash!', 'hangs!', 'grows!', 'lies!!'].includes(head)) appendFileSync(${JSON.stringify(tries)}, head)
        if (head === 'crash!') process.kill(process.pid, 'SIGSEGV')
        if (head === 'hangs!') for (;;);
        if (head === 'lies!!') {
          const batches = [{ path: '/etc/passwd', metadata: {} }]
          return process.send({ id: job.id, ok: true, content_sha256: '', batches, capture: null })
        }
        if (head === 'grows!') {
          const held = []
          const grow = () => { if (held.length < 20) held.push(Buffer.alloc(64 * 2 ** 20, 1)); setTimeout(grow, 5) }
          return grow()
        }
        for (const listener of listeners) listener(job)
      })`,
    )
    const poisons = ['crash!', 'hangs!', 'grows!', 'lies!!']
    const digests: string[] = []
    for (const head of poisons) digests.push(await receive(head.padEnd(head === 'hangs!' ? 20 : 1000)))
    const good = [await receive(CAPTURE), await receive(OTHER)]
    // The clock of the limits jumps while the child hangs, as far as this upload's limit: all others are larger and have
    // much more, so that none of them dies of a busy machine.
    const limits = { ...PARSE_LIMITS, seconds: 10, bytesPerSecond: 1, residentBytes: 300 * 2 ** 20 }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true })
    startCounter({ module: poison, limits })
    const timesTried = (head: string) => (existsSync(tries) ? readFileSync(tries, 'utf8').split(head).length - 1 : 0)
    for (const hung of [1, 2]) {
      await expect.poll(() => timesTried('hangs!')).toBe(hung)
      vi.advanceTimersByTime(30_000)
    }
    const reasons = []
    for (const digest of digests) {
      const receipt = await settled(digest)
      expect(receipt).toMatchObject({ state: 'quarantined', error_code: 'PARSE_FAILED' })
      reasons.push(receipt.error_message)
    }
    expect(reasons[0]).toContain('SIGSEGV')
    expect(reasons[1]).toContain('took longer than 30 s')
    expect(reasons[2]).toContain('MiB of memory')
    expect(reasons[3]).toContain('makes no sense')
    for (const digest of good) expect((await settled(digest)).state).toBe('counted')
    for (const head of poisons) expect([head, timesTried(head)]).toEqual([head, 2])
  })

  it('too large to be parsed beside another is counted after it, though nothing else comes', async () => {
    const large = 600 * 2 ** 20
    const digests = [
      await receive(CAPTURE, 'capture', SENSOR.sensor, large),
      await receive(OTHER, 'capture', SENSOR.sensor, large),
    ]
    const slow = {
      ...hub.storage,
      countGroup: async (uploads: Parameters<Storage['countGroup']>[0]) => {
        await new Promise(resolve => setTimeout(resolve, 1500))
        await hub.storage.countGroup(uploads)
      },
    }
    startCounter({ storage: slow, space: async () => ({ free: 2 ** 40, total: 2 ** 41 }) })
    for (const digest of digests) expect((await settled(digest)).state).toBe('counted')
  })

  it('takes long, and holds up nothing that came with it or later', async () => {
    const slow = join(hub.folder.root, 'slow.mjs')
    const go = join(hub.folder.root, 'go')
    writeFileSync(
      slow,
      `import { existsSync, readFileSync } from 'node:fs'
      await import(${JSON.stringify(builtFile('collector', 'parse-child.js'))})
      const listeners = process.listeners('message')
      process.removeAllListeners('message')
      process.on('message', job => {
        const isSlow = readFileSync(job.input).equals(readFileSync(${JSON.stringify(join(hub.folder.root, 'slow.pcap'))}))
        const look = () => {
          if (!isSlow || existsSync(${JSON.stringify(go)})) for (const listener of listeners) listener(job)
          else setTimeout(look, 50)
        }
        look()
      })`,
    )
    writeFileSync(join(hub.folder.root, 'slow.pcap'), OTHER)
    const waits = await receive(OTHER)
    startCounter({ module: slow })
    // The slow one has a round of its own.
    await new Promise(resolve => setTimeout(resolve, 200))
    const later = await receive(CAPTURE)
    counters[0]!.notify()
    expect((await settled(later)).state).toBe('counted')
    expect((await hub.storage.findReceipt('lab-1', waits))!.state).toBe('received')
    writeFileSync(go, '')
    expect((await settled(waits)).state).toBe('counted')
    expect(errors).toEqual([])
  })

  it('by the storage is set aside after three tries, and the others of its group are counted', async () => {
    const [bad, good] = [await receive(CAPTURE), await receive(OTHER)]
    const { storage, refusals } = refusing(bad)
    const { counter } = startCounter({ storage })
    expect((await settled(good)).state).toBe('counted')
    // On a busy machine that one may have been first: then it takes a later one to tell whose fault it is.
    const later = await receive(gzipSync(OTHER))
    counter.notify()
    expect((await settled(later)).state).toBe('counted')
    expect(await settled(bad)).toMatchObject({ state: 'quarantined', error_code: 'STORAGE_FAILED' })
    expect(refusals()).toBeGreaterThanOrEqual(3)
    expect(errors.length).toBeGreaterThan(0)
  })

  it('by the storage waits while nothing else can be counted either, since the machine may be at fault', async () => {
    const bad = await receive(CAPTURE)
    const { storage, refusals } = refusing(bad)
    const { counter } = startCounter({ storage })
    await vi.waitFor(() => expect(errors.length).toBeGreaterThanOrEqual(4), { timeout: 30_000 })
    expect(refusals()).toBeGreaterThanOrEqual(4)
    expect((await hub.storage.findReceipt('lab-1', bad))!.state).toBe('received')
    const good = await receive(OTHER)
    counter.notify()
    expect((await settled(good)).state).toBe('counted')
    expect(await settled(bad)).toMatchObject({ state: 'quarantined', error_code: 'STORAGE_FAILED' })
  })

  it('by the storage, which names it, is set aside at once', async () => {
    const [bad, good] = [await receive(CAPTURE), await receive(OTHER)]
    let offered = 0
    startCounter({
      storage: {
        ...hub.storage,
        countGroup: async uploads => {
          if (uploads.some(upload => upload.sha256 === bad)) offered++
          const details = { sensor: 'lab-1', sha256: bad }
          if (uploads.some(upload => upload.sha256 === bad)) throw new TelescopeError('BATCH_INVALID', 'bad', details)
          await hub.storage.countGroup(uploads)
        },
      },
    })
    expect((await settled(good)).state).toBe('counted')
    expect(await settled(bad)).toMatchObject({ state: 'quarantined', error_code: 'BATCH_INVALID' })
    expect(offered).toBe(1)
  })

  it('for want of disk waits until there is room', async () => {
    const digest = await receive(CAPTURE)
    let refusals = 0
    startCounter({
      storage: {
        ...hub.storage,
        countGroup: async uploads => {
          if (refusals++ < 1) throw new TelescopeError('DISK_FULL', 'lake: disk is full')
          await hub.storage.countGroup(uploads)
        },
      },
    })
    expect((await settled(digest)).state).toBe('counted')
  })
})

describe('an upload that the hub ended with', () => {
  it('is parsed later and alone, and forgotten when the hub has survived it', async () => {
    const [suspect, other] = [await receive(CAPTURE), await receive(OTHER)]
    writeFileSync(hub.folder.tries, `1 lab-1/${other}\n2 lab-1/${suspect}\n0 lab-1/${other}\n3 lab-1/${'f'.repeat(60)}`)
    startCounter()
    expect((await settled(other)).state).toBe('counted')
    expect((await hub.storage.findReceipt('lab-1', suspect))!.state).toBe('received')
    expect(readFileSync(hub.folder.tries, 'utf8')).toContain(`2 lab-1/${suspect}\n`)
    expect((await settled(suspect)).state).toBe('counted')
    const lines = readFileSync(hub.folder.tries, 'utf8').split('\n')
    expect(lines.filter(line => line.endsWith(suspect)).at(-2)).toBe(`3 lab-1/${suspect}`)
    expect(lines.findLast(line => line.endsWith(suspect))).toBe(`0 lab-1/${suspect}`)
  })

  it('three times is set aside without another try, and counted when it is tried again', async () => {
    const [poison, other] = [await receive(CAPTURE), await receive(OTHER)]
    writeFileSync(hub.folder.tries, `3 lab-1/${poison}\n`)
    const { counter } = startCounter()
    const receipt = await settled(poison)
    expect(receipt).toMatchObject({ state: 'quarantined', error_code: 'PARSE_FAILED' })
    expect(receipt.error_message).toContain('the hub ended 3 times')
    expect((await settled(other)).state).toBe('counted')
    await new Inbox(hub.folder, true).fetch(receipt)
    await hub.storage.reopenUpload('retry', { sensor: 'lab-1', sha256: poison, actor: 'test' })
    counter.notify()
    expect((await settled(poison)).state).toBe('counted')
  })

  it('is not blamed for an orderly stop', async () => {
    const hang = join(hub.folder.root, 'hang.mjs')
    writeFileSync(hang, "process.on('message', () => {})")
    const digest = await receive(CAPTURE)
    const { counter } = startCounter({ module: hang })
    await expect.poll(() => readFileSync(hub.folder.tries, 'utf8')).toContain(`1 lab-1/${digest}\n`)
    await counter.stop()
    expect(readFileSync(hub.folder.tries, 'utf8')).toMatch(new RegExp(`0 lab-1/${digest}\n$`))
  })
})

describe('a restart', () => {
  it('takes up what was received, and sweeps what nobody was promised', async () => {
    const counted = await receive(CAPTURE)
    const first = startCounter()
    await settled(counted)
    await first.counter.stop()
    // As a crash leaves things: counted and quarantined bytes still in the inbox, a half body, bytes without receipt.
    writeFileSync(inboxPath(hub.folder, 'capture', 'lab-1', counted), CAPTURE)
    const refused = await receive('hello')
    await hub.storage.quarantine('lab-1', refused, { code: 'CAPTURE_FORMAT_UNKNOWN', message: 'capture: not one' })
    writeFileSync(join(hub.folder.arriving, 'half'), 'half')
    writeFileSync(inboxPath(hub.folder, 'capture', 'lab-1', 'f'.repeat(64)), 'no receipt')
    const pending = await receive(OTHER)
    const inbox = new Inbox(hub.folder, true)
    await inbox.sweep(hub.storage)
    expect(below('inbox', 'captures', 'lab-1')).toEqual([pending])
    expect(below('inbox', 'tmp')).toEqual([])
    expect(below('inbox', 'quarantine', 'lab-1').sort()).toEqual([refused, `${refused}.json`])
    const second = startCounter()
    expect((await settled(pending)).state).toBe('counted')
    await second.counter.stop()
    expect(await packetsCounted()).toBe(64 + (await settled(pending)).packet_kept_count!)
  })

  it('finds a group that was parsed and not committed as it was before', async () => {
    const digest = await receive(CAPTURE)
    const stuck = startCounter({
      storage: { ...hub.storage, countGroup: () => Promise.reject(new TelescopeError('DISK_FULL', 'full')) },
    })
    await expect.poll(() => errors.length).toBeGreaterThan(0)
    await stuck.counter.stop()
    expect((await hub.storage.findReceipt('lab-1', digest))!.state).toBe('received')
    startCounter()
    expect((await settled(digest)).state).toBe('counted')
    expect(await packetsCounted()).toBe(64)
  })

  it('stops at once even when the child is busy, and quarantines nothing', async () => {
    const hang = join(hub.folder.root, 'hang.mjs')
    writeFileSync(hang, "process.on('message', () => {})")
    const digest = await receive(CAPTURE)
    const { counter, pool } = startCounter({ module: hang })
    await expect.poll(() => pool.pids.length).toBeGreaterThan(0)
    const [pid] = pool.pids
    await counter.stop()
    expect((await hub.storage.findReceipt('lab-1', digest))!.state).toBe('received')
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false)
  })
})
