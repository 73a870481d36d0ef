import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { QuotaKeeper, UPLOAD_QUOTAS, type UploadQuotas } from '../../dashboard/server/upload-quotas.ts'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

// One sensor that sends too much is told so, and only that one.

let hub: TestHub
let quotas: UploadQuotas
let now: number
beforeEach(async () => {
  quotas = UPLOAD_QUOTAS
  now = Date.now()
  hub = await openTestHub()
})
afterEach(() => hub.close())

const keeper = (limits: Partial<UploadQuotas>) =>
  new QuotaKeeper(
    { ...quotas, ...limits },
    since => hub.storage.uploadUsage(since),
    () => now,
  )

/** A hub of its own with these limits, in place of the one before. */
async function limited(limits: Partial<UploadQuotas>): Promise<void> {
  await hub.close()
  const made: { keeper?: QuotaKeeper } = {}
  const entrance = { enter: (...call: Parameters<QuotaKeeper['enter']>) => made.keeper!.enter(...call) }
  hub = await openTestHub({ quotas: entrance as QuotaKeeper })
  made.keeper = keeper(limits)
}

const put = (body: string, token: string) =>
  hub.app.inject({
    method: 'PUT',
    url: `/api/v1/captures/${createHash('sha256').update(body).digest('hex')}`,
    headers: { ...bearer(token), 'content-length': String(body.length) },
    payload: body,
  })

describe('an upload beyond the quota', () => {
  it.each<[string, Partial<UploadQuotas>]>([
    ['of uploads a day', { uploadsPerDay: 2 }],
    ['of bytes a day', { bytesPerDay: 'one'.length * 2 }],
    ['of uploads that wait', { pending: 2 }],
  ])('%s is refused with the time to wait; repetitions and other sensors are not', async (_what, limits) => {
    await limited(limits)
    const { sensor, other } = hub.tokens
    expect([(await put('one', sensor)).statusCode, (await put('two', sensor)).statusCode]).toEqual([201, 201])
    const refused = await put('six', sensor)
    expect([refused.statusCode, errorCode(refused)]).toEqual([429, 'QUOTA_EXCEEDED'])
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(refused.json().error.details).toMatchObject({ sensor: 'jp-1', limit: Object.values(limits)[0] })
    expect((await put('one', sensor)).statusCode).toBe(200)
    expect((await put('six', other)).statusCode).toBe(201)
    expect(await hub.storage.uploadUsage(0)).toEqual([
      { sensor: 'jp-1', upload_count: 2, byte_count: 6, pending_count: 2 },
      { sensor: 'vn-1', upload_count: 1, byte_count: 3, pending_count: 1 },
    ])
  })

  it('is told by what the catalog knows, also after a restart', async () => {
    await put('one', hub.tokens.sensor)
    const entering = keeper({ uploadsPerDay: 1 }).enter('jp-1', 3)
    await expect(entering).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  })

  it('is taken on the next day, and when what waited was counted', async () => {
    const day = keeper({ uploadsPerDay: 1 })
    ;(await day.enter('jp-1', 3))(3)
    await expect(day.enter('jp-1', 3)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    now += 24 * 3600 * 1000
    ;(await day.enter('jp-1', 3))(null)
    const waiting = keeper({ pending: 1 })
    ;(await waiting.enter('jp-1', 3))(3)
    await expect(waiting.enter('jp-1', 3)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    // The catalog is asked again by then, and nothing waits in it.
    now += 11_000
    ;(await waiting.enter('jp-1', 3))(null)
  })
})

it('uploads at once are limited for each sensor, and a refused one gives its place back', async () => {
  const entrance = keeper({ connections: 2, bytesPerDay: 10 })
  const leave = [await entrance.enter('jp-1', null), await entrance.enter('jp-1', 3)]
  await expect(entrance.enter('jp-1', 3)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED', details: { limit: 2 } })
  await entrance.enter('vn-1', 3)
  leave[0]!(null)
  await expect(entrance.enter('jp-1', 11)).rejects.toMatchObject({ details: { limit: 10 } })
  await entrance.enter('jp-1', 3)
})
