import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, test, vi } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { Storage } from '../../analytics/storage.ts'
import { FLOWS_PER_RECORD_BATCH } from '../../schemas/batch.ts'
import { physicalColumns } from '../../schemas/column.ts'
import type { TelescopeError } from '../../schemas/errors.ts'
import { LAKE_FLOW } from '../../schemas/flow.ts'
import type { ParsedBatch } from '../../schemas/parse-job.ts'
import { testUpload } from '../support/batch-builder.ts'
import { pcap } from '../support/capture-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { ethernet, ipv4, tcp } from '../support/frame-builder.ts'
import { readPackets } from '../support/read-packets.ts'
import { TEST_GEOGRAPHY, TEST_NOW, temporaryStorage } from '../support/storage.ts'

const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' }
const DAY = Date.UTC(2026, 10, 20) / 1000

/** Three flows on two UTC days. */
const flows = [
  { time: DAY + 10, src: '198.18.0.1', service_port: 23, packet_count: 2 },
  { time: DAY + 3700, src: '2001:db8::1', service_port: 22 },
  { time: DAY + 86_400, src: '198.18.0.1', service_port: 23 },
]

/** So many that a file of them is worth being one of the lake. */
const MANY = Array.from({ length: FLOWS_PER_RECORD_BATCH + 3 }, (_, index) => ({
  time: DAY + (index % 1000),
  src: `198.18.${(index >> 8) & 255}.${index & 255}`,
  service_port: index >> 16,
}))

/** Opens the catalog of a closed storage and reads rows, so that what is on disk is looked at, not what was answered. */
async function readCatalog(data: string, sql: string): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(join(data, 'catalog.duckdb'))
  const connection = await instance.connect()
  const reader = await connection.runAndReadAll(sql)
  const rows = reader.getRowObjectsJson()
  connection.closeSync()
  instance.closeSync()
  return rows
}

async function closedAfter(data: string, work: (storage: Storage) => Promise<void>): Promise<void> {
  const storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
  try {
    await work(storage)
  } finally {
    await storage.close()
  }
}

/** What is said of an upload with a packet on each of so many days. */
async function refusalOfDays(days: number): Promise<TelescopeError> {
  const storage = await temporaryStorage()
  await storage.addSensor(ALPHA)
  const scattered = Array.from({ length: days }, (_, day) => ({ time: DAY + day * 86_400, src: '198.18.0.1' }))
  const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows: scattered })
  return await receiveAndCount(storage, [upload]).then(
    () => expect.unreachable('it was counted'),
    error => error,
  )
}

const lakeFiles = (data: string) =>
  readdirSync(join(data, 'lake'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.parquet'))

describe('counting a group', () => {
  test('files by day, manifest, sums, sources, coverage and receipts follow together', async () => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
      await receiveAndCount(storage, [upload])
      expect(await storage.findReceipt('alpha', upload.sha256)).toMatchObject({
        state: 'counted',
        packet_count: 4,
        packet_kept_count: 4,
        drops: {},
        content_sha256: upload.content_sha256,
        first_packet: '2026-11-20T00:00:10Z',
        last_packet: '2026-11-21T00:00:00Z',
      })
      expect(await storage.pending(10)).toEqual([])
      expect(await storage.findContent('alpha', upload.content_sha256)).toMatchObject({ sha256: upload.sha256 })
    })
    expect(lakeFiles(data)).toHaveLength(2)
    expect(await readCatalog(data, 'SELECT day, row_count, packet_count FROM lake_file ORDER BY day')).toEqual([
      { day: '2026-11-20 00:00:00', row_count: '2', packet_count: '3' },
      { day: '2026-11-21 00:00:00', row_count: '1', packet_count: '1' },
    ])
    expect(
      await readCatalog(
        data,
        'SELECT bucket_start, ip_version, service_port, packet_count, byte_count FROM traffic_hour ORDER BY ALL',
      ),
    ).toEqual([
      { bucket_start: '2026-11-20 00:00:00', ip_version: 4, service_port: 23, packet_count: '2', byte_count: '80' },
      { bucket_start: '2026-11-20 01:00:00', ip_version: 6, service_port: 22, packet_count: '1', byte_count: '40' },
      { bucket_start: '2026-11-21 00:00:00', ip_version: 4, service_port: 23, packet_count: '1', byte_count: '40' },
    ])
    expect(await readCatalog(data, 'SELECT economy, geography FROM source_economy ORDER BY ALL')).toEqual([
      { economy: 'JP', geography: TEST_GEOGRAPHY.name },
      { economy: 'ZZ', geography: TEST_GEOGRAPHY.name },
    ])
    expect(await readCatalog(data, 'SELECT listened_from, listened_to, packet_count FROM coverage_span')).toEqual([
      { listened_from: '2026-11-20 00:00:10', listened_to: '2026-11-21 00:00:00.000001', packet_count: '4' },
    ])
  })

  test('many flows of one day are taken in as the parsing child wrote them, and the rest is gathered beside them', async () => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      const small = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
      const large = testUpload(temporaryFolder(), { sensor: 'alpha', flows: MANY, uploadId: 2 })
      await receiveAndCount(storage, [small, large])
      expect(await storage.findReceipt('alpha', large.sha256)).toMatchObject({
        state: 'counted',
        packet_kept_count: MANY.length,
      })
      const sums = await storage.query('traffic', { by: 'none', bucket: '86400' }, { sensors: 'all' })
      expect(sums.rows).toMatchObject([{ packet_count: MANY.length + 3 }, { packet_count: 1 }])
      expect(readdirSync(join(data, 'lake', 'staging'))).toEqual([])
    })
    expect(
      await readCatalog(data, 'SELECT day, row_count, packet_count, is_sorted FROM lake_file ORDER BY day, row_count'),
    ).toEqual([
      { day: '2026-11-20 00:00:00', row_count: '2', packet_count: '3', is_sorted: false },
      { day: '2026-11-20 00:00:00', row_count: `${MANY.length}`, packet_count: `${MANY.length}`, is_sorted: false },
      { day: '2026-11-21 00:00:00', row_count: '1', packet_count: '1', is_sorted: false },
    ])
    expect(lakeFiles(data)).toHaveLength(3)
    const columns = physicalColumns(LAKE_FLOW).map(({ name }) => name)
    const files = lakeFiles(data).map(name => `'${join(data, 'lake', name)}'`)
    expect(
      await readCatalog(
        data,
        `SELECT count(DISTINCT (${columns.join(', ')}))::INTEGER AS flows, sensor, telescope_epoch, upload_id
          FROM read_parquet([${files.join(', ')}], union_by_name = true) GROUP BY ALL ORDER BY upload_id`,
      ),
    ).toEqual([
      { flows: 3, sensor: 'alpha', telescope_epoch: 1, upload_id: 1 },
      { flows: MANY.length, sensor: 'alpha', telescope_epoch: 1, upload_id: 2 },
    ])
  })

  test.each([
    ['another upload', (batch: ParsedBatch) => batch, 9],
    [
      'another day',
      (batch: ParsedBatch) => {
        const [first_packet, last_packet] = [(DAY + 86_400) * 1e6, (DAY + 86_401) * 1e6]
        return { ...batch, metadata: { ...batch.metadata, first_packet, last_packet } }
      },
      1,
    ],
  ])('many flows that the child says are of %s are refused by name, and nothing stays', async (_, change, uploadId) => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows: MANY, uploadId })
      const changed = { ...upload, batches: upload.batches.map(change) }
      await expect(receiveAndCount(storage, [changed])).rejects.toMatchObject({
        code: 'BATCH_INVALID',
        details: { sensor: 'alpha', sha256: upload.sha256 },
        message: expect.stringContaining('of another sensor, upload or day'),
      })
    })
    expect(lakeFiles(data)).toEqual([])
  })

  test('content is known however it was sent, by the sensor that sent it, and not by its head alone', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
    const sent = { ...upload, sha256: 'ab'.repeat(32) }
    await receiveAndCount(storage, [sent])
    expect(await storage.findContent('alpha', upload.content_sha256)).toMatchObject({ sha256: sent.sha256 })
    expect(await storage.findContent('beta', upload.content_sha256)).toBeNull()
    expect(await storage.findContent('alpha', `${upload.content_sha256.slice(0, 16)}${'0'.repeat(48)}`)).toBeNull()
    const again = { ...upload, sha256: 'cd'.repeat(32) }
    await receiveAndCount(storage, [again])
    expect(await storage.findReceipt('alpha', again.sha256)).toMatchObject({ duplicate_of: sent.sha256 })
  })

  test('a group with one upload that is counted already changes nothing at all', async () => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      const folder = temporaryFolder()
      const first = testUpload(folder, { sensor: 'alpha', flows: flows.slice(0, 1) })
      const second = testUpload(folder, { sensor: 'alpha', flows: flows.slice(1) })
      await receiveAndCount(storage, [first])
      await storage.recordReceived({ sensor: 'alpha', sha256: second.sha256, kind: 'batch', byte_count: 1 })
      // Another content hash, or it would be taken for a duplicate before that.
      const again = { ...first, content_sha256: 'f'.repeat(64) }
      await expect(storage.countGroup([second, again])).rejects.toMatchObject({ code: 'INTERNAL' })
      expect((await storage.pending(10)).map(receipt => receipt.sha256)).toEqual([second.sha256])
    })
    expect(lakeFiles(data)).toHaveLength(1)
    expect(await readCatalog(data, 'SELECT sum(packet_count)::INTEGER AS packets FROM sensor_hour')).toEqual([
      { packets: 2 },
    ])
  })

  test('the same content under another hash is counted once, in one group or in two', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const first = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
    const zipped = { ...first, sha256: 'a'.repeat(64) }
    const zippedAgain = { ...first, sha256: 'b'.repeat(64) }
    await receiveAndCount(storage, [first, zipped])
    await receiveAndCount(storage, [zippedAgain])
    for (const { sha256 } of [zipped, zippedAgain]) {
      expect(await storage.findReceipt('alpha', sha256)).toMatchObject({ state: 'counted', duplicate_of: first.sha256 })
    }
    expect((await storage.query('traffic', { by: 'none', bucket: '86400' }, { sensors: 'all' })).rows).toMatchObject([
      { packet_count: 3 },
      { packet_count: 1 },
    ])
  })

  test.each([
    ['flows', { flows: 2 }],
    ['packets', { packets_kept: 5 }],
  ])('a batch that does not hold the %s it names is refused by name, and nothing is counted', async (_, lie) => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
      const [batch] = upload.batches
      const lying = { ...upload, batches: [{ ...batch!, metadata: { ...batch!.metadata, ...lie } }] }
      await expect(receiveAndCount(storage, [lying])).rejects.toMatchObject({
        code: 'BATCH_INVALID',
        details: { sensor: 'alpha', sha256: upload.sha256 },
      })
    })
    expect(lakeFiles(data)).toEqual([])
  })

  test.each([
    ['ends before it begins', { from: 2_000_000, to: 1_000_000 }],
    ['is no number', { from: Number.NaN, to: 1_000_000 }],
    ['begins before 1970', { from: -1, to: 1_000_000 }],
    ['lasts for all time', { from: 0, to: Number.MAX_SAFE_INTEGER }],
    ['ends in two days', { from: TEST_NOW * 1000, to: (TEST_NOW + 2 * 86_400_000) * 1000 }],
  ])('a listened span that %s is refused', async (_, times) => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const spans = [{ ...times, basis: 'declared' as const, packets: 0 }]
    const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows, spans })
    await expect(receiveAndCount(storage, [upload])).rejects.toMatchObject({ code: 'BATCH_INVALID' })
  })

  test('a batch that is cut short, or no batch, is refused by name', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
    const path = join(temporaryFolder(), 'x.arrow')
    writeFileSync(path, 'no flows at all')
    const broken = { ...upload, batches: [{ ...upload.batches[0]!, path }] }
    await expect(receiveAndCount(storage, [broken])).rejects.toMatchObject({
      code: 'BATCH_INVALID',
      details: { sha256: upload.sha256 },
    })
  })

  test('a file that cannot be opened is no fault of the upload', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
    const gone = { ...upload, batches: [{ ...upload.batches[0]!, sources: join(temporaryFolder(), 'gone') }] }
    await expect(receiveAndCount(storage, [gone])).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      details: { fatal: false },
    })
  })

  test('a broken clock does not make a file a packet', async () => {
    expect(await refusalOfDays(401)).toMatchObject({
      code: 'UPLOAD_DAYS_TOO_MANY',
      details: { sensor: 'alpha', days: 401, days_max: 400 },
      message: expect.stringContaining('packets of 401 days (2026-11-20 to 2027-12-25), at most 400'),
    })
  })

  test.skipIf(!requireExternal('editcap', hasCommand('editcap')))(
    'what is refused for its many days says how to split the capture',
    async () => {
      const days = 700
      const { message } = await refusalOfDays(days)
      const folder = temporaryFolder()
      const frame = ethernet(0x0800, ipv4({}, tcp()))
      const records = Array.from({ length: days }, (_, day) => ({ frame, seconds: DAY + day * 86_400 }))
      writeFileSync(join(folder, 'FILE'), pcap(records))
      const commands = message.match(/editcap [^;]+/g)!
      // Times of the commands are UTC, wherever they are run.
      const env = { ...process.env, TZ: 'Asia/Tokyo' }
      for (const command of commands) execFileSync('sh', ['-c', command], { cwd: folder, stdio: 'ignore', env })
      const parts = ['first.pcap', 'rest.pcap'].map(name => readFileSync(join(folder, name)))
      const read = await Promise.all(parts.map(part => readPackets(part)))
      expect(read.map(({ packets }) => packets.length)).toEqual([400, 300])
    },
  )

  test('an upload without packets is counted, and has no rows', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows: [] })
    await receiveAndCount(storage, [upload])
    expect(await storage.findReceipt('alpha', upload.sha256)).toMatchObject({
      state: 'counted',
      packet_count: 0,
      first_packet: null,
    })
  })
})

describe('after a crash', () => {
  test('files that no manifest row names are swept at the next start, older ones only', async () => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      await receiveAndCount(storage, [testUpload(temporaryFolder(), { sensor: 'alpha', flows })])
    })
    const named = lakeFiles(data)
    const day = join(data, 'lake/flows/day=2026-11-20')
    mkdirSync(day, { recursive: true })
    const orphans = [join(day, 'orphan.parquet'), join(data, 'lake/staging/half.parquet')]
    for (const path of orphans) writeFileSync(path, 'PAR1')
    const young = join(day, 'young.parquet')
    writeFileSync(young, 'PAR1')
    utimesSync(young, new Date(Date.now() + 60_000), new Date(Date.now() + 60_000))
    await closedAfter(data, async storage => {
      expect(orphans.map(path => existsSync(path))).toEqual([false, false])
      expect(existsSync(young)).toBe(true)
      expect((await storage.query('traffic', { by: 'none' }, { sensors: 'all' })).rows.length).toBeGreaterThan(0)
    })
    for (const path of named) expect(existsSync(join(data, 'lake', path))).toBe(true)
  })

  test('a process that dies between the lake and the commit leaves files but no rows; they are swept', async () => {
    const data = temporaryFolder()
    const upload = testUpload(temporaryFolder(), { sensor: 'alpha', flows })
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      await storage.recordReceived({ sensor: 'alpha', sha256: upload.sha256, kind: 'batch', byte_count: 1 })
      // The transaction of the group is where the process "dies": its files stand, nothing after them happens.
      const { Database } = await import('../../analytics/database.ts')
      const { Lake } = await import('../../analytics/lake.ts')
      const died = new Error('died')
      const transaction = vi.spyOn(Database.prototype, 'transaction').mockRejectedValueOnce(died)
      const unlink = vi.spyOn(Lake.prototype, 'unlink').mockResolvedValue()
      await expect(storage.countGroup([upload])).rejects.toBe(died)
      transaction.mockRestore()
      unlink.mockRestore()
    })
    expect(lakeFiles(data)).toHaveLength(2)
    await closedAfter(data, async storage => {
      expect(lakeFiles(data)).toEqual([])
      expect((await storage.pending(10)).map(receipt => receipt.sha256)).toEqual([upload.sha256])
      await storage.countGroup([upload])
      expect(lakeFiles(data)).toHaveLength(2)
    })
  })
})

describe('upkeep of days', () => {
  test('a day that is dropped leaves lake, sums and coverage, and nothing else does', async () => {
    const data = temporaryFolder()
    await closedAfter(data, async storage => {
      await storage.addSensor(ALPHA)
      await receiveAndCount(storage, [testUpload(temporaryFolder(), { sensor: 'alpha', flows })])
      await storage.dropDay(DAY)
    })
    expect(lakeFiles(data)).toHaveLength(1)
    expect(await readCatalog(data, 'SELECT day FROM lake_file')).toEqual([{ day: '2026-11-21 00:00:00' }])
    for (const rollup of ['traffic_hour', 'source_hour', 'sensor_hour']) {
      expect(await readCatalog(data, `SELECT bucket_start FROM ${rollup}`)).toEqual([
        { bucket_start: '2026-11-21 00:00:00' },
      ])
    }
    expect(await readCatalog(data, 'SELECT listened_from FROM coverage_span')).toEqual([
      { listened_from: '2026-11-21 00:00:00' },
    ])
  })
})
