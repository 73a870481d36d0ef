import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SensorHealth } from '../../schemas/sensor-health.ts'
import { bearer, errorCode, openTestHub, type TestHub } from '../support/test-hub.ts'

// What a sensor says of an upload in headers, from the request to the answer about its health.

let hub: TestHub
beforeAll(async () => {
  hub = await openTestHub()
})
afterAll(() => hub.close())

async function put(text: string, headers: Record<string, string>, token = hub.tokens.sensor) {
  const sha256 = createHash('sha256').update(text).digest('hex')
  const url = `/api/v1/batches/${sha256}`
  return await hub.app.inject({ method: 'PUT', url, headers: { ...bearer(token), ...headers }, payload: text })
}

async function health(token: string): Promise<SensorHealth[]> {
  const response = await hub.app.inject({ url: '/api/v1/sensor-health', headers: bearer(token) })
  expect(response.statusCode).toBe(200)
  return (response.json() as { sensors: SensorHealth[] }).sensors
}

describe('upload headers', () => {
  it('give the receipt its number and the skew of the clock', async () => {
    const date = new Date(Date.now() - 90_000).toUTCString()
    const response = await put('first', { 'hirundo-sequence': '1;spool="0f3a9c21";oldest=1', date })
    expect(response.statusCode).toBe(201)
    const receipt = response.json()
    expect(receipt).toMatchObject({ spool: '0f3a9c21', sequence: 1 })
    expect(receipt.clock_skew_seconds).toBeLessThan(-85)
    expect(receipt.clock_skew_seconds).toBeGreaterThan(-600)
  })

  it('are optional, and a date that is none is no skew', async () => {
    const response = await put('second', { date: 'yesterday' })
    expect(response.json()).toMatchObject({ spool: null, sequence: null, clock_skew_seconds: null })
  })

  it('that are wrong are refused before the bytes are taken', async () => {
    const response = await put('third', { 'hirundo-sequence': 'two;spool="0f3a9c21"' })
    expect([response.statusCode, errorCode(response)]).toEqual([400, 'QUERY_INVALID'])
    expect(await hub.storage.findReceipt('jp-1', createHash('sha256').update('third').digest('hex'))).toBe(null)
  })

  it('show what is missing and why, also on bytes that the hub has already', async () => {
    const gone = '2;last=3;reason=evicted'
    const headers = { 'hirundo-sequence': '5;spool="0f3a9c21";oldest=5', 'hirundo-gone': gone }
    expect((await put('first', headers)).statusCode).toBe(200)
    expect(await health(hub.tokens.sensor)).toMatchObject([
      {
        sensor: 'jp-1',
        missing_sequence_count: 3,
        missing_sequences: [
          { spool: '0f3a9c21', first_sequence: 4, last_sequence: 4, reason: 'unknown' },
          { spool: '0f3a9c21', first_sequence: 2, last_sequence: 3, reason: 'evicted' },
        ],
      },
    ])
  })
})

describe('health of sensors', () => {
  it('shows a sensor itself, and readers all', async () => {
    expect((await health(hub.tokens.other)).map(({ sensor }) => sensor)).toEqual(['vn-1'])
    for (const token of [hub.tokens.analyst, hub.tokens.coordinator]) {
      expect((await health(token)).map(({ sensor }) => sensor)).toEqual(['jp-1', 'vn-1'])
    }
    const [, quiet] = await health(hub.tokens.analyst)
    expect(quiet).toMatchObject({ last_upload_at: null, silent_since: null, missing_sequences: [], coverage_7d: 0 })
  })

  it('takes no parameter', async () => {
    const response = await hub.app.inject({
      url: '/api/v1/sensor-health?sensor=jp-1',
      headers: bearer(hub.tokens.analyst),
    })
    expect(errorCode(response)).toBe('QUERY_INVALID')
  })
})
