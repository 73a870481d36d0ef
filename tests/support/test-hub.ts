import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { Storage } from '../../analytics/storage.ts'
import { buildServer } from '../../dashboard/server/build-server.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { type DataFolder, openDataFolder } from '../../dashboard/server/data-folder.ts'
import type { DiskSpace } from '../../dashboard/server/disk-reserve.ts'
import { Receiver } from '../../dashboard/server/receive.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import { Retainer } from '../../dashboard/server/retain.ts'
import type { ServerParts } from '../../dashboard/server/server-parts.ts'
import { Sessions } from '../../dashboard/server/sessions.ts'
import type { ErrorBody, ErrorCode } from '../../schemas/errors.ts'
import { KEEP_EVERYTHING } from '../../schemas/retention.ts'

/** A server on a real storage in a folder of its own, with two sensors and a token of each kind; nothing is counted. */
export interface TestHub {
  readonly app: FastifyInstance
  readonly storage: Storage
  readonly folder: DataFolder
  readonly sessions: Sessions
  /** What the receiver gave up on. */
  readonly broken: unknown[]
  readonly tokens: {
    readonly sensor: string
    readonly other: string
    readonly analyst: string
    readonly coordinator: string
  }
  close(): Promise<void>
}

export const SENSOR_A = { sensor: 'jp-1', economy: 'JP', organisation: 'Example', telescope: '203.0.113.0/28' }
export const SENSOR_B = { sensor: 'vn-1', economy: 'VN', organisation: '', telescope: '203.0.113.64/28' }

const PLENTY: DiskSpace = async () => ({ free: 2 ** 40, total: 2 ** 40 })

/** @param wrapStorage lets a test break the storage; the tokens are made before */
export async function openTestHub(
  overrides: Partial<ServerParts> & { space?: DiskSpace; wrapStorage?: (storage: Storage) => Storage } = {},
): Promise<TestHub> {
  const root = mkdtempSync(join(tmpdir(), 'hirundo-test-'))
  const folder = openDataFolder(root)
  const real = await openStorage({ data: root, geography: { name: 'test', economyOf: () => 'ZZ' } })
  await registerSensor(real, folder, SENSOR_A)
  await registerSensor(real, folder, SENSOR_B)
  const token = async (request: { role?: string; sensor?: string }) => (await createToken(real, request)).token
  const tokens = {
    sensor: await token({ sensor: SENSOR_A.sensor }),
    other: await token({ sensor: SENSOR_B.sensor }),
    analyst: await token({ role: 'analyst' }),
    coordinator: await token({ role: 'coordinator' }),
  }
  const broken: unknown[] = []
  const storage = overrides.wrapStorage?.(real) ?? real
  const sessions = overrides.sessions ?? new Sessions(storage)
  const app = buildServer({
    storage,
    folder,
    receiver: new Receiver({
      storage,
      folder,
      space: overrides.space ?? PLENTY,
      onReceived: () => {},
      onBroken: error => broken.push(error),
    }),
    sessions,
    retention: KEEP_EVERYTHING,
    retainer: new Retainer(storage, folder),
    names: [],
    openReading: false,
    web: null,
    demo: () => null,
    isReady: () => true,
    isLocal: () => false,
    logger: false,
    ...overrides,
  })
  return {
    app,
    storage,
    folder,
    sessions,
    broken,
    tokens,
    async close() {
      await app.close()
      await real.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

/** Asserts the one shape of errors and returns the code; nothing of the machine may show in it. */
export function errorCode(response: { body: string; headers: Record<string, unknown> }): ErrorCode {
  const body = JSON.parse(response.body) as ErrorBody
  const shape = Object.keys(body).join() === 'error' && Object.keys(body.error).sort().join() === 'code,details,message'
  if (!shape || body.error.message.includes('\n') || /node_modules|\.ts\b|\.js:\d|\/tmp\//.test(response.body)) {
    throw new Error(`not an error answer: ${response.body}`)
  }
  if (!String(response.headers['content-type']).startsWith('application/json')) throw new Error('not JSON')
  return body.error.code
}
