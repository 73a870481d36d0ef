import { describe, expect, it } from 'vitest'
import type { ParsedUpload, Scope, Storage } from '../../analytics/storage.ts'
import { answerAge, keepAnswers } from '../../dashboard/server/kept-answers.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { bearer, openTestHub } from '../support/test-hub.ts'

const ROWS_MIN = 1000
const STEADY_ROWS_MIN = 100
const ALL: Scope = { sensors: 'all' }

/** A storage that numbers its answers, with as many rows and at the time that a test says. */
function makeStorage() {
  const state = { rows: ROWS_MIN, now: 0, answers: 0, fails: false, held: null as Promise<void> | null }
  const storage = {
    sourceRows: async () => state.rows,
    async query() {
      const number = ++state.answers
      await state.held
      if (state.fails) throw new TelescopeError('STORAGE_FAILED', 'storage: broken for the test')
      return { meta: { total_rows: number }, rows: [] }
    },
    async withdrawUpload() {},
    async countGroup() {},
  } as unknown as Storage
  const kept = keepAnswers(storage, { now: () => state.now }, { rowsMin: ROWS_MIN, steadyRowsMin: STEADY_ROWS_MIN })
  const ask = async (parameters = {}, scope = ALL, name: 'ports' | 'flows' = 'ports') => {
    const answer = await kept.query(name, parameters, scope)
    return { number: answer.meta.total_rows, age: answerAge(answer) }
  }
  return { state, kept, ask }
}

/** Lets everything run that waits for nothing but its turn. */
const turns = () => new Promise(resolve => setImmediate(resolve))

describe('an answer', () => {
  it('is made anew each time as long as there are few rows', async () => {
    const { state, ask } = makeStorage()
    state.rows = ROWS_MIN - 1
    expect([await ask(), await ask()]).toEqual([
      { number: 1, age: 0 },
      { number: 2, age: 0 },
    ])
  })

  it('of few rows is given again only while groups have been counted for a minute without a pause', async () => {
    const { state, kept, ask } = makeStorage()
    state.rows = STEADY_ROWS_MIN
    const numbers = async () => [(await ask()).number, (await ask()).number]
    const count = (now: number) => {
      state.now = now
      return kept.countGroup([{} as ParsedUpload])
    }
    for (let now = 0; now < 60_000; now += 9_000) await count(now)
    expect(await numbers()).toEqual([1, 2])
    await count(63_000)
    expect(await numbers()).toEqual([3, 3])
    state.now = 73_000
    expect(await numbers()).toEqual([4, 5])
    await count(73_000)
    expect(await numbers()).toEqual([6, 7])
    // Much less is always counted anew.
    for (let now = 80_000; now <= 160_000; now += 8_000) await count(now)
    state.rows = STEADY_ROWS_MIN - 1
    state.now += 5000
    expect(await numbers()).toEqual([8, 9])
  })

  it('is given again while it is young, and says its age', async () => {
    const { state, ask } = makeStorage()
    await ask()
    state.now = 9999
    expect(await ask()).toEqual({ number: 1, age: 9 })
    await turns()
    expect(state.answers).toBe(1)
  })

  it('is made anew beside, once, when it is asked for later', async () => {
    const { state, ask } = makeStorage()
    await ask()
    state.now = 10_000
    expect(await Promise.all([ask(), ask()])).toEqual([
      { number: 1, age: 10 },
      { number: 1, age: 10 },
    ])
    await turns()
    expect(await ask()).toEqual({ number: 2, age: 0 })
    expect(state.answers).toBe(2)
  })

  it('that is too old is not given any more', async () => {
    const { state, ask } = makeStorage()
    await ask()
    state.now = 60_000
    expect(await ask()).toEqual({ number: 2, age: 0 })
  })

  it('is made once for all who ask at once', async () => {
    const { state, ask } = makeStorage()
    let release = () => {}
    state.held = new Promise(resolve => {
      release = resolve
    })
    const asks = [ask(), ask()]
    await turns()
    release()
    expect((await Promise.all(asks)).map(({ number }) => number)).toEqual([1, 1])
  })

  it('is that of the same parameters and the same scope', async () => {
    const { ask } = makeStorage()
    const own: Scope = { sensors: ['jp-1'] }
    const first = await Promise.all([ask({ limit: '1', port: '23' }), ask({ limit: '2' }), ask({}, own)])
    expect(first.map(({ number }) => number)).toEqual([1, 2, 3])
    expect((await ask({ port: '23', limit: '1' })).number).toBe(1)
    expect((await ask({}, own)).number).toBe(3)
  })

  it('of flows is never kept', async () => {
    const { ask } = makeStorage()
    expect([(await ask({}, ALL, 'flows')).number, (await ask({}, ALL, 'flows')).number]).toEqual([1, 2])
  })

  it('is forgotten when rows are taken away, also one that is being made', async () => {
    const { state, kept, ask } = makeStorage()
    await ask()
    let release = () => {}
    state.held = new Promise(resolve => {
      release = resolve
    })
    const before = ask({ limit: '1' })
    await turns()
    await kept.withdrawUpload({ sensor: 'jp-1', sha256: 'a'.repeat(64), actor: 'test' })
    release()
    expect((await before).number).toBe(2)
    expect([(await ask()).number, (await ask({ limit: '1' })).number]).toEqual([3, 4])
  })

  it('that cannot be made is an error for who waits for it, and nothing that is kept', async () => {
    const { state, ask } = makeStorage()
    state.fails = true
    await expect(ask()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    state.fails = false
    expect((await ask()).number).toBe(2)
    state.now = 10_000
    state.fails = true
    expect((await ask()).number).toBe(2)
    await turns()
    state.now = 60_000
    await expect(ask()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
  })

  it('has its age in the header Age', async () => {
    let now = 0
    const hub = await openTestHub({ wrapStorage: storage => keepAnswers(storage, { now: () => now }, { rowsMin: 0 }) })
    try {
      const get = () => hub.app.inject({ url: '/api/v1/sensors', headers: bearer(hub.tokens.analyst) })
      const first = await get()
      expect(first.headers).not.toHaveProperty('age')
      now = 7500
      const second = await get()
      expect(second.headers).toMatchObject({ age: '7', 'cache-control': 'no-store' })
      expect(second.body).toBe(first.body)
      const csv = await hub.app.inject({ url: '/api/v1/sensors.csv', headers: bearer(hub.tokens.analyst) })
      expect(csv.headers).toMatchObject({ age: '7' })
    } finally {
      await hub.close()
    }
  })

  it('goes when nobody has asked for it longest', async () => {
    const { ask } = makeStorage()
    for (let port = 0; port < 64; port++) await ask({ port: String(port) })
    await ask({ port: '0' })
    await ask({ port: '64' })
    expect((await ask({ port: '0' })).number).toBe(1)
    expect((await ask({ port: '1' })).number).toBe(66)
  })
})
