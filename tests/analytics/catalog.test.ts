import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY, temporaryStorage } from '../support/storage.ts'

const sha = (text: string) => createHash('sha256').update(text).digest('hex')
const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28, 2001:db8:1::/64' }

describe('sensors', () => {
  test('what was registered comes back, prefixes in order and counted', async () => {
    const storage = await temporaryStorage()
    const added = await storage.addSensor(ALPHA)
    expect(added).toEqual({
      ...ALPHA,
      telescope: '192.0.2.0/28,2001:db8:1::/64',
      telescope_epoch: 1,
      ipv4_addr_count: 16,
      has_ipv6: true,
      created_at: '2026-11-22T12:00:00Z',
    })
    expect(await storage.findSensor('alpha')).toEqual(added)
    expect(await storage.listSensors()).toEqual([added])
    expect(await storage.findSensor('beta')).toBeNull()
  })

  test.each([
    ['SENSOR_EXISTS', { ...ALPHA, telescope: '198.51.100.0/24' }, 'same name'],
    ['PREFIX_OVERLAPS', { ...ALPHA, sensor: 'beta', telescope: '192.0.2.8/29' }, 'inside a prefix of another sensor'],
    ['SENSOR_ID_INVALID', { ...ALPHA, sensor: '../x' }, 'a name that could be a path'],
    ['ADDRESS_INVALID', { ...ALPHA, sensor: 'beta', telescope: '10.0.0.0/33' }, 'no prefix'],
    ['QUERY_INVALID', { ...ALPHA, sensor: 'beta', economy: 'Japan' }, 'no economy code'],
    ['TELESCOPE_TOO_LARGE', { ...ALPHA, sensor: 'beta', telescope: '0.0.0.0/0' }, 'all of IPv4'],
  ])('%s: %o (%s)', async (code, sensor) => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    await expect(storage.addSensor(sensor)).rejects.toMatchObject({ code })
    expect(await storage.listSensors()).toHaveLength(1)
  })

  test('an overlap is told without naming an address of another sensor', async () => {
    const storage = await temporaryStorage()
    await storage.addSensor(ALPHA)
    const error = await storage.addSensor({ ...ALPHA, sensor: 'beta', telescope: '192.0.0.0/16' }).catch(e => e)
    expect(JSON.stringify([error.message, error.details])).not.toMatch(/192\.0\.2|2001:db8/)
  })
})

describe('tokens', () => {
  test('a token is found until it is revoked', async () => {
    const storage = await temporaryStorage()
    await storage.addToken({ sha256: sha('t1'), id: 'abc', role: 'sensor', sensor: 'alpha' })
    await storage.addToken({ sha256: sha('t2'), id: 'def', role: 'analyst', sensor: null })
    expect(await storage.findToken(sha('t1'))).toEqual({ token_id: 'abc', role: 'sensor', sensor: 'alpha' })
    expect(await storage.findToken(sha('t3'))).toBeNull()
    expect(await storage.revokeToken('abc')).toBe(true)
    expect(await storage.findToken(sha('t1'))).toBeNull()
    expect(await storage.revokeToken('abc')).toBe(false)
    expect(await storage.listTokens()).toEqual([
      {
        token_id: 'abc',
        role: 'sensor',
        sensor: 'alpha',
        created_at: '2026-11-22T12:00:00Z',
        revoked_at: '2026-11-22T12:00:00Z',
      },
      { token_id: 'def', role: 'analyst', sensor: null, created_at: '2026-11-22T12:00:00Z', revoked_at: null },
    ])
  })
})

describe('receipts', () => {
  const upload = (text: string, sensor = 'alpha') => ({
    sensor,
    sha256: sha(text),
    kind: 'capture' as const,
    byte_count: text.length,
  })

  test('fifty calls at once with one identity make one receipt', async () => {
    const storage = await temporaryStorage()
    const answers = await Promise.all(Array.from({ length: 50 }, () => storage.recordReceived(upload('same'))))
    expect(answers.filter(answer => answer.created)).toHaveLength(1)
    expect(new Set(answers.map(answer => JSON.stringify(answer.receipt))).size).toBe(1)
    expect(await storage.listReceipts({ limit: 100 })).toEqual([answers[0]!.receipt])
  })

  test('identity is sensor and hash: many at once all stand, the same bytes of two sensors are two', async () => {
    const storage = await temporaryStorage()
    const uploads = Array.from({ length: 600 }, (_, index) => upload(`${index >> 1}`, index & 1 ? 'alpha' : 'beta'))
    const answers = await Promise.all(uploads.map(storage.recordReceived))
    expect(answers.every(answer => answer.created)).toBe(true)
    expect(await storage.pending(1000)).toHaveLength(600)
    expect(await storage.listReceipts({ sensor: 'beta', limit: 1000 })).toHaveLength(300)
    expect(await storage.findReceipt('beta', sha('7'))).toMatchObject({ sensor: 'beta', state: 'received' })
  })

  test('a receipt outlives the process, and a quarantined upload leaves the queue with its reason', async () => {
    const data = temporaryFolder()
    const first = await openStorage({ data, geography: TEST_GEOGRAPHY })
    const { receipt } = await first.recordReceived(upload('kept'))
    await first.recordReceived(upload('poison'))
    await first.close()
    const second = await temporaryStorage({ data })
    expect(await second.findReceipt('alpha', sha('kept'))).toEqual(receipt)
    await second.quarantine('alpha', sha('poison'), { code: 'CAPTURE_EMPTY', message: 'capture: no bytes' })
    expect(await second.pending(10)).toEqual([{ ...receipt, upload_id: 1 }])
    expect(await second.findReceipt('alpha', sha('poison'))).toMatchObject({
      state: 'quarantined',
      error_code: 'CAPTURE_EMPTY',
      error_message: 'capture: no bytes',
    })
  })
})
