import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { ParsedUpload, Storage } from '../../analytics/storage.ts'
import type { UploadKind } from '../../schemas/catalog.ts'
import { MICROSECONDS } from '../../schemas/time.ts'
import { type TestFlow, testUpload } from '../support/batch-builder.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY, temporaryStorage } from '../support/storage.ts'

// Goal: traffic that was captured twice waits for the operator, what only meets or interleaves does not, and the
// operator's decisions put numbers, coverage and receipts where a recount would put them.

const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' }
const BETA = { sensor: 'beta', economy: 'TH', organisation: 'B', telescope: '198.51.100.0/28' }
const HOUR = Date.UTC(2026, 10, 20, 9) / 1000

/** One packet of its own every `step` seconds from `from` to `to`, both within the hour. */
function packets(from: number, to: number, step = 5, shift = 0): TestFlow[] {
  const flows: TestFlow[] = []
  for (let second = from; second <= to; second += step) {
    const time = HOUR + second
    flows.push({ time, src: `198.18.${(second >> 8) & 255}.${second & 255}`, dst_index: shift, service_port: 23 })
  }
  return flows
}

async function storageWithSensors(): Promise<Storage> {
  const storage = await temporaryStorage()
  await storage.addSensor(ALPHA)
  await storage.addSensor(BETA)
  return storage
}

const upload = (flows: readonly TestFlow[], sensor = 'alpha') => testUpload(temporaryFolder(), { sensor, flows })

async function count(storage: Storage, uploads: readonly ParsedUpload[], kind: UploadKind = 'batch'): Promise<void> {
  for (const { sensor, sha256 } of uploads) await storage.recordReceived({ sensor, sha256, kind, byte_count: 1 })
  await storage.countGroup(uploads)
}

async function stateOf(storage: Storage, { sensor, sha256 }: ParsedUpload): Promise<string> {
  return (await storage.findReceipt(sensor, sha256))!.state
}

const decision = ({ sensor, sha256 }: ParsedUpload) => ({ sensor, sha256, actor: 'test' })

async function packetCount(storage: Storage): Promise<number> {
  const { rows } = await storage.query('sensors', { since: '2026-11-19', until: '2026-11-23' }, { sensors: 'all' })
  return rows.reduce((sum, row) => sum + row.packet_count, 0)
}

describe('an overlap', () => {
  const first = packets(0, 1800)

  test.each([
    ['the same packets cut elsewhere', packets(600, 2400), 'batch'],
    ['a short part', packets(300, 320), 'batch'],
    ['packets of a second process whose clock is a second ahead', packets(0, 1800).map(later(1)), 'batch'],
    ['a raw capture of the same time, whose indices have another key', packets(600, 2400, 5, 7), 'capture'],
  ] as const)('is held with its reason: %s', async (_, flows, kind) => {
    const storage = await storageWithSensors()
    const [one, other] = [upload(first), upload(flows)]
    await count(storage, [one])
    await count(storage, [other], kind)
    expect(await stateOf(storage, one)).toBe('counted')
    const receipt = (await storage.findReceipt('alpha', other.sha256))!
    expect(receipt).toMatchObject({
      state: 'held',
      error_code: 'CAPTURE_OVERLAPS',
      overlaps_with: one.sha256,
      counted_at: null,
      packet_count: flows.length,
    })
    expect(receipt.error_message).toContain(one.sha256)
    expect(receipt.error_message).toContain(other.sha256)
    expect(await packetCount(storage)).toBe(first.length)
    expect(await storage.pending(10)).toEqual([])
  })

  test('with many names eight of them and says how many more, and what was damaged', async () => {
    const storage = await storageWithSensors()
    const parts = Array.from({ length: 10 }, (_, part) => upload(packets(part * 180, part * 180 + 175)))
    await count(storage, parts)
    const whole = {
      ...upload(first),
      error: { code: 'CAPTURE_TRUNCATED', message: 'the capture ends within a record' },
    }
    await count(storage, [whole])
    const receipt = (await storage.findReceipt('alpha', whole.sha256))!
    expect(receipt.overlaps_with!.split(',')).toHaveLength(8)
    expect(receipt.error_message).toMatch(/ and 2 more hold, too; .*; besides, the capture ends within a record$/)
  })

  test('is found within a group, and a duplicate of what is held waits with it', async () => {
    const storage = await storageWithSensors()
    const [one, other] = [upload(first), upload(packets(600, 2400))]
    const packed = { ...other, sha256: 'c'.repeat(64) }
    await count(storage, [one, other, packed])
    expect([await stateOf(storage, one), await stateOf(storage, other), await stateOf(storage, packed)]).toEqual([
      'counted',
      'held',
      'held',
    ])
    expect(await storage.findReceipt('alpha', packed.sha256)).toMatchObject({ duplicate_of: null })
    expect(await packetCount(storage)).toBe(first.length)
  })

  test.each([
    ['meets it within a second, as rotated files do', packets(1800, 3600, 5, 1)],
    ['comes a little late, as packets out of order do', packets(1760, 3500)],
    ['is another part of the same time, as with two interfaces', packets(0, 1800, 5, 1)],
    ['holds the packets between, as with packets in any order', packets(2, 1800)],
    ['follows', packets(1805, 3600)],
  ])('is not: %s', async (_, flows) => {
    const storage = await storageWithSensors()
    const [one, other] = [upload(first), upload(flows)]
    await count(storage, [one])
    await count(storage, [other])
    expect(await stateOf(storage, other)).toBe('counted')
    expect(await packetCount(storage)).toBe(first.length + flows.length)
  })

  test('is found in batches whose destinations another key has numbered, as when a sensor has lost its key', async () => {
    const of = (flows: readonly TestFlow[], keyCheck: string) =>
      testUpload(temporaryFolder(), { sensor: 'alpha', flows, keyCheck: keyCheck.repeat(16) })
    const storage = await storageWithSensors()
    const [one, again, part] = [of(first, 'a'), of(packets(0, 1800, 5, 7), 'b'), of(packets(2, 1800, 5, 1), 'a')]
    await count(storage, [one])
    await count(storage, [again])
    expect(await storage.findReceipt('alpha', again.sha256)).toMatchObject({ state: 'held', overlaps_with: one.sha256 })
    // With the same key other destinations are other traffic, in the same group, too.
    await count(storage, [part, of(packets(0, 1800, 5, 3), 'a'), of(packets(0, 1800, 5, 9), 'c')])
    expect((await storage.listReceipts({ limit: 10 })).map(({ state }) => state).sort()).toEqual([
      'counted',
      'counted',
      'counted',
      'held',
      'held',
    ])
  })

  test('is decided by the operator when there are no flows left to compare with', async () => {
    const storage = await storageWithSensors()
    const one = upload(first)
    await count(storage, [one])
    await storage.dropExpired({ flows: HOUR + 86_400, rollups: null })
    const part = upload(packets(300, 1500))
    await count(storage, [part])
    expect(await storage.findReceipt('alpha', part.sha256)).toMatchObject({ state: 'held', overlaps_with: one.sha256 })
    const later = upload(packets(7200, 7300))
    await count(storage, [later])
    expect(await stateOf(storage, later)).toBe('counted')
    expect(await packetCount(storage)).toBe(first.length + 21)
  })

  test('is none of declared time without packets, nor of another sensor', async () => {
    const storage = await storageWithSensors()
    const span = { from: HOUR * MICROSECONDS, to: (HOUR + 3600) * MICROSECONDS, basis: 'declared', packets: 0 } as const
    const silent = testUpload(temporaryFolder(), { sensor: 'alpha', flows: [], spans: [span] })
    const theirs = upload(first, 'beta')
    await count(storage, [upload(first), silent, theirs])
    expect([await stateOf(storage, silent), await stateOf(storage, theirs)]).toEqual(['counted', 'counted'])
  })
})

function later(seconds: number): (flow: TestFlow) => TestFlow {
  return flow => ({ ...flow, time: flow.time + seconds })
}

describe('a decision', () => {
  test('to accept counts what was held, once', async () => {
    const storage = await storageWithSensors()
    const [one, other] = [upload(packets(0, 600)), upload(packets(300, 900))]
    await count(storage, [one, other])
    expect(await storage.reopenUpload('accept', decision(other))).toMatchObject({
      state: 'received',
      overlaps_with: null,
    })
    await storage.countGroup([other])
    expect(await storage.findReceipt('alpha', other.sha256)).toMatchObject({ state: 'counted', error_code: null })
    expect(await packetCount(storage)).toBe(121 + 121)
    await expect(storage.reopenUpload('accept', decision(other))).rejects.toMatchObject({ code: 'UPLOAD_STATE' })
    const [entry] = await storage.listAudit(1)
    expect(entry).toMatchObject({ actor: 'test', action: 'upload accept', subject: `upload alpha/${other.sha256}` })
  })

  test('to withdraw leaves what a recount without it gives, to the last row', async () => {
    const kept = [upload(packets(0, 600)), upload(packets(0, 3000, 7, 3)), upload(packets(0, 600), 'beta')]
    const gone = upload([...packets(400, 3600, 5, 9), { time: HOUR + 86_400, src: '198.18.0.1' }])
    const rows: unknown[] = []
    for (const uploads of [[kept[0]!, gone, kept[1]!, kept[2]!], kept]) {
      const data = temporaryFolder()
      const storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
      await storage.addSensor(ALPHA)
      await storage.addSensor(BETA)
      for (const one of uploads) await count(storage, [one])
      if (uploads.includes(gone)) {
        expect(await storage.withdrawUpload(decision(gone))).toMatchObject({ state: 'withdrawn', packet_count: 642 })
        await expect(storage.withdrawUpload(decision(gone))).rejects.toMatchObject({ code: 'UPLOAD_STATE' })
      }
      await storage.close()
      rows.push(await readNumbers(data))
    }
    expect(rows[0]).toEqual(rows[1])
  })

  test('to withdraw is refused once flows of its hours are dropped, since only sums are left', async () => {
    const storage = await storageWithSensors()
    const [early, late] = [upload(packets(0, 600)), upload(packets(700, 900))]
    await count(storage, [early])
    await storage.dropExpired({ flows: HOUR + 86_400, rollups: null })
    await expect(storage.withdrawUpload(decision(early))).rejects.toMatchObject({ code: 'UPLOAD_FLOWS_GONE' })
    // Its own flows are there, those of the other upload of the hour are not.
    await count(storage, [late])
    await expect(storage.withdrawUpload(decision(late))).rejects.toMatchObject({ code: 'UPLOAD_FLOWS_GONE' })
    expect([await stateOf(storage, early), await stateOf(storage, late)]).toEqual(['counted', 'counted'])
    expect(await packetCount(storage)).toBe(121 + 41)
    // In an hour that has all of its flows it can be.
    const other = upload(packets(7200, 7300))
    await count(storage, [other])
    await storage.withdrawUpload(decision(other))
    expect(await packetCount(storage)).toBe(121 + 41)
    await expect(storage.changeSensor('alpha', { telescope: '192.0.2.0/29' })).rejects.toMatchObject({
      code: 'SENSOR_HAS_UPLOADS',
    })
  })

  test('to withdraw lets what was held for it wait again, and nothing else', async () => {
    const storage = await storageWithSensors()
    const [one, other, else_] = [upload(packets(0, 1800)), upload(packets(600, 2400)), upload(packets(7200, 9000))]
    const elseAgain = upload(packets(7800, 9600))
    await count(storage, [one, else_])
    await count(storage, [other, elseAgain])
    expect([await stateOf(storage, other), await stateOf(storage, elseAgain)]).toEqual(['held', 'held'])
    await storage.withdrawUpload(decision(one))
    expect(await storage.findReceipt('alpha', other.sha256)).toMatchObject({
      state: 'received',
      overlaps_with: null,
      error_message: null,
    })
    expect(await stateOf(storage, elseAgain)).toBe('held')
    await storage.countGroup([other])
    expect(await stateOf(storage, other)).toBe('counted')
    expect(await packetCount(storage)).toBe(361 + 361)
  })

  test('to try again is for what held nothing for the telescope, too', async () => {
    const storage = await storageWithSensors()
    const error = { code: 'CAPTURE_OFF_TELESCOPE', message: 'no packet is for the telescope' }
    const none = { ...upload([]), packets_read: 7, drops: { not_for_telescope: 7 }, error }
    await count(storage, [none], 'capture')
    expect(await stateOf(storage, none)).toBe('counted')
    await storage.changeSensor('alpha', { telescope: '192.0.2.16/28' })
    expect(await storage.reopenUpload('retry', decision(none))).toMatchObject({ state: 'received', error_code: null })
  })

  test('to withdraw what another upload repeats leaves the content to that one', async () => {
    const storage = await storageWithSensors()
    const one = upload(packets(0, 600))
    const [second, third] = [
      { ...one, sha256: 'a'.repeat(64) },
      { ...one, sha256: 'b'.repeat(64) },
    ]
    await count(storage, [one, second, third])
    await storage.withdrawUpload(decision(one))
    expect(await storage.findReceipt('alpha', second.sha256)).toMatchObject({ state: 'counted', duplicate_of: null })
    expect(await storage.findReceipt('alpha', third.sha256)).toMatchObject({ duplicate_of: second.sha256 })
    expect(await packetCount(storage)).toBe(121)
    expect((await storage.listAudit(1))[0]!.details).toEqual({ state: 'counted', content_stays_in: second.sha256 })
    await storage.withdrawUpload(decision(third))
    expect(await packetCount(storage)).toBe(121)
    await storage.withdrawUpload(decision(second))
    expect(await packetCount(storage)).toBe(0)
    const { rows } = await storage.query('coverage', { since: '2026-11-20', until: '2026-11-21' }, { sensors: 'all' })
    expect(rows).toEqual([])
  })

  test('is refused for an upload that is not there, or in no state for it', async () => {
    const storage = await storageWithSensors()
    const one = upload(packets(0, 600))
    await storage.recordReceived({ sensor: 'alpha', sha256: one.sha256, kind: 'batch', byte_count: 1 })
    await expect(storage.withdrawUpload(decision(one))).rejects.toMatchObject({ code: 'UPLOAD_STATE' })
    await expect(storage.reopenUpload('retry', decision(one))).rejects.toMatchObject({ code: 'UPLOAD_STATE' })
    const elsewhere = { ...decision(one), sensor: 'beta' }
    await expect(storage.withdrawUpload(elsewhere)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await storage.quarantine('alpha', one.sha256, { code: 'PARSE_FAILED', message: 'no' })
    expect(await storage.reopenUpload('retry', decision(one))).toMatchObject({ state: 'received', error_code: null })
  })

  test('about an upload of a version without numbers says why it cannot be', async () => {
    const data = temporaryFolder()
    const one = upload(packets(0, 600))
    let storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
    await storage.addSensor(ALPHA)
    await count(storage, [one])
    await storage.close()
    await onCatalog(data, 'UPDATE receipt SET upload_id = 0')
    storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
    await expect(storage.withdrawUpload(decision(one))).rejects.toMatchObject({ code: 'UPLOAD_STATE' })
    expect(await storage.uploadsOfDay(Date.UTC(2026, 10, 20) / 1000)).toMatchObject({ numbered: false })
    await storage.close()
  })
})

async function onCatalog(data: string, ...statements: string[]): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(join(data, 'catalog.duckdb'))
  const connection = await instance.connect()
  const rows: unknown[] = []
  for (const statement of statements) rows.push((await connection.runAndReadAll(statement)).getRowObjectsJson())
  connection.closeSync()
  instance.closeSync()
  return rows
}

/** All that numbers are made from, by content: rows of one key summed, whichever group added them. */
async function readNumbers(data: string): Promise<unknown[]> {
  const [files] = (await onCatalog(data, `SELECT '${data}/lake/' || path AS path FROM lake_file`)) as [
    { path: string }[],
  ]
  const list = files.map(({ path }) => `'${path}'`).join(', ')
  return await onCatalog(
    data,
    `SELECT * EXCLUDE (upload_id) FROM read_parquet([${list}]) ORDER BY ALL`,
    'SELECT bucket_start, sensor, ip_version, class, protocol, service_port, sum(packet_count) AS p, sum(byte_count) AS b FROM traffic_hour GROUP BY ALL ORDER BY ALL',
    'SELECT bucket_start, sensor, ip_version, class, protocol, service_port, src_addr_high, src_addr_low, sum(packet_count) AS p FROM source_hour GROUP BY ALL ORDER BY ALL',
    'SELECT bucket_start, sensor, ip_version, sum(packet_count) AS p FROM sensor_hour GROUP BY ALL ORDER BY ALL',
    'SELECT * FROM coverage_span ORDER BY ALL',
    'SELECT day, sum(row_count) AS r, sum(packet_count) AS p FROM lake_file GROUP BY ALL ORDER BY ALL',
  )
}

describe('a registration', () => {
  test('keeps its prefixes while anything of the sensor is in the numbers or on its way there', async () => {
    const storage = await storageWithSensors()
    const sent = upload(packets(0, 100))
    const telescope = '192.0.2.0/29'
    await storage.recordReceived({ sensor: 'alpha', sha256: sent.sha256, kind: 'batch', byte_count: 1 })
    await expect(storage.changeSensor('alpha', { telescope })).rejects.toMatchObject({ code: 'SENSOR_HAS_UPLOADS' })
    await storage.countGroup([sent])
    await expect(storage.changeSensor('alpha', { telescope })).rejects.toMatchObject({
      code: 'SENSOR_HAS_UPLOADS',
      details: { sensor: 'alpha', uploads: 1 },
    })
    // What says nothing of addresses may change, and the same prefixes otherwise written are the same.
    await storage.changeSensor('alpha', { economy: 'TH', telescope: '192.0.2.0/28' })
    expect(await storage.findSensor('alpha')).toMatchObject({ economy: 'TH', ipv4_addr_count: 16 })
    await storage.withdrawUpload(decision(sent))
    await storage.changeSensor('alpha', { telescope })
    expect(await storage.findSensor('alpha')).toMatchObject({ economy: 'TH', telescope, ipv4_addr_count: 8 })
  })

  test('that was corrected is what a reopened hub knows', async () => {
    const data = temporaryFolder()
    const storage = await openStorage({ data, geography: TEST_GEOGRAPHY })
    await storage.addSensor(ALPHA)
    await storage.changeSensor('alpha', { telescope: '192.0.2.16/28,2001:db8::/64', organisation: 'C' })
    await storage.close()
    const again = await openStorage({ data, geography: TEST_GEOGRAPHY })
    expect(await again.findSensor('alpha')).toMatchObject({
      economy: 'JP',
      organisation: 'C',
      telescope: '192.0.2.16/28,2001:db8::/64',
      ipv4_addr_count: 16,
      has_ipv6: true,
    })
    await again.close()
  })
})
