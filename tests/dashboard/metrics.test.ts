import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { HubMetrics } from '../../dashboard/server/hub-metrics.ts'
import { listenForMetrics } from '../../dashboard/server/metrics-listener.ts'
import { observeStorage } from '../../dashboard/server/observed-storage.ts'
import { tellUploads } from '../../dashboard/server/upload-events.ts'
import { readPrometheusText, type Sample } from '../support/prometheus-text.ts'
import { bearer, errorCode, openTestHub, SENSOR_A, type TestHub } from '../support/test-hub.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const readings = {
  waiting: async () => ({ count: 3, oldest: '2026-01-01T00:00:00Z' }),
  disk: async () => ({ free: 7, total: 10 }),
  parseChildRestarts: () => 2,
  damagedLakeFiles: async () => 3,
  unfinishedUploads: () => 0,
}

let hub: TestHub | undefined
afterEach(() => hub?.close())

function value(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number | undefined {
  return samples.find(
    sample => sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
  )?.value
}

describe('/metrics', () => {
  it('tells uploads, refusals, requests and the machine, and names no sensor', async () => {
    const metrics = new HubMetrics(readings)
    let events = 0
    const log = { info: () => events++, warn: () => events++ } as never
    hub = await openTestHub({
      metrics,
      wrapStorage: real =>
        observeStorage(
          real,
          tellUploads(metrics, () => log),
        ),
    })
    const put = (body: string, digest: string) =>
      hub!.app.inject({
        method: 'PUT',
        url: `/api/v1/captures/${digest}`,
        headers: bearer(hub!.tokens.sensor),
        payload: body,
      })
    expect((await put('some bytes', sha256('some bytes'))).statusCode).toBe(201)
    expect((await put('some bytes', sha256('some bytes'))).statusCode).toBe(200)
    expect((await put('other bytes', sha256('some more'))).statusCode).toBe(422)
    await hub.storage.quarantine(SENSOR_A.sensor, sha256('some bytes'), { code: 'CAPTURE_EMPTY', message: 'm' })
    await hub.app.inject({ url: '/nowhere/203.0.113.7' })
    const answer = await hub.app.inject({ url: '/api/v1/metrics', headers: bearer(hub.tokens.coordinator) })
    expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4')
    const samples = readPrometheusText(answer.body)
    const expected: [string, Record<string, string>, number][] = [
      ['hirundo_uploads_received_total', { kind: 'capture' }, 1],
      ['hirundo_upload_bytes_total', { kind: 'capture' }, 10],
      ['hirundo_uploads_refused_total', { kind: 'capture', code: 'DIGEST_MISMATCH' }, 1],
      ['hirundo_uploads_quarantined_total', { code: 'CAPTURE_EMPTY' }, 1],
      ['hirundo_http_request_seconds_count', { method: 'PUT', route: '/api/v1/captures/:sha256', status: '201' }, 1],
      ['hirundo_http_request_seconds_count', { route: 'unmatched' }, 1],
      ['hirundo_uploads_open', {}, 0],
      ['hirundo_uploads_waiting', {}, 3],
      ['hirundo_disk_free_bytes', {}, 7],
      ['hirundo_parse_child_restarts_total', {}, 2],
      ['hirundo_lake_files_damaged', {}, 3],
    ]
    for (const [name, labels, number] of expected) expect([name, value(samples, name, labels)]).toEqual([name, number])
    expect(value(samples, 'hirundo_uploads_waiting_oldest_seconds')).toBeGreaterThan(0)
    expect(value(samples, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(value(samples, 'nodejs_eventloop_lag_seconds')).toBeGreaterThanOrEqual(0)
    expect(events).toBe(2)
    for (const secret of ['jp-1', 'vn-1', '203.0.113', 'Example', sha256('some bytes')]) {
      expect(answer.body).not.toContain(secret)
    }
  })

  it('is for coordinators, or on a port of loopback alone', async () => {
    hub = await openTestHub()
    expect(errorCode(await hub.app.inject({ url: '/api/v1/metrics' }))).toBe('UNAUTHENTICATED')
    expect(errorCode(await hub.app.inject({ url: '/api/v1/metrics', headers: bearer(hub.tokens.sensor) }))).toBe(
      'FORBIDDEN',
    )
    const server = await listenForMetrics(0, new HubMetrics(readings))
    try {
      const { port, address } = server.address() as { port: number; address: string }
      expect(address).toBe('127.0.0.1')
      const open = await fetch(`http://127.0.0.1:${port}/metrics`)
      expect(readPrometheusText(await open.text()).length).toBeGreaterThan(20)
      expect((await fetch(`http://127.0.0.1:${port}/api/v1/status`)).status).toBe(404)
      await expect(listenForMetrics(port, new HubMetrics(readings))).rejects.toMatchObject({ code: 'PORT_IN_USE' })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it.each([
    ['no type', 'a 1\n'],
    ['twice', '# TYPE a gauge\na 1\na 1\n'],
    ['torn apart', '# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# HELP a x\n'],
    ['a counter without its end', '# TYPE a counter\na 1\n'],
    ['an open label', '# TYPE a gauge\na{b="c} 1\n'],
    ['no number', '# TYPE a gauge\na x\n'],
    ['falling buckets', '# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n'],
    ['no end of line', '# TYPE a gauge\na 1'],
  ])('the reader of this test refuses %s', (_, text) => {
    expect(() => readPrometheusText(text)).toThrow(/./)
  })
})
