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
import { openHubKey } from '../../dashboard/server/hub-key.ts'
import { HubMetrics } from '../../dashboard/server/hub-metrics.ts'
import { Inbox } from '../../dashboard/server/inbox.ts'
import { Receiver } from '../../dashboard/server/receive.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import { ResumableUploads } from '../../dashboard/server/resumable-uploads.ts'
import { Retainer } from '../../dashboard/server/retain.ts'
import type { ServerParts } from '../../dashboard/server/server-parts.ts'
import { Sessions } from '../../dashboard/server/sessions.ts'
import { freezeData } from '../../dashboard/server/snapshot.ts'
import { UploadDecisions } from '../../dashboard/server/upload-decisions.ts'
import { QuotaKeeper, UPLOAD_QUOTAS } from '../../dashboard/server/upload-quotas.ts'
import type { ErrorBody, ErrorCode } from '../../schemas/errors.ts'
import { KEEP_EVERYTHING } from '../../schemas/retention.ts'

/** A server on a real storage in a folder of its own, with two sensors and a token of each kind; nothing is counted. */
export interface TestHub {
  readonly app: FastifyInstance
  readonly storage: Storage
  readonly folder: DataFolder
  readonly resumable: ResumableUploads
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

/**
 * @param wrapStorage lets a test break the storage; the tokens are made before
 * @param now Unix milliseconds, for what expires
 * @param on a hub whose app is closed: the new one has its storage, folder and tokens, and closes them
 */
export async function openTestHub({
  on,
  now = Date.now,
  space = PLENTY,
  wrapStorage = storage => storage,
  ...overrides
}: Partial<ServerParts> & {
  space?: DiskSpace
  wrapStorage?: (storage: Storage) => Storage
  now?: () => number
  on?: TestHub
} = {}): Promise<TestHub> {
  const root = on?.folder.root ?? mkdtempSync(join(tmpdir(), 'hirundo-test-'))
  const folder = openDataFolder(root)
  const real = on?.storage ?? (await openStorage({ data: root, geography: { name: 'test', economyOf: () => 'ZZ' } }))
  const tokens = on?.tokens ?? (await populate(real, folder))
  const broken: unknown[] = []
  const storage = wrapStorage(real)
  const sessions = overrides.sessions ?? new Sessions(storage)
  const inbox = new Inbox(folder, true)
  const onBroken = (error: unknown) => broken.push(error)
  const receiver = new Receiver({ storage, folder, space, onReceived: () => {}, onBroken })
  const resumable = new ResumableUploads({ folder, space, receiver, onBroken, now })
  await resumable.recover()
  const app = buildServer({
    storage,
    folder,
    receiver,
    resumable,
    decisions: new UploadDecisions({ storage, inbox, onReceived: () => {} }),
    quotas: new QuotaKeeper(UPLOAD_QUOTAS, since => storage.uploadUsage(since)),
    sessions,
    hubKey: openHubKey(folder),
    retention: KEEP_EVERYTHING,
    retainer: new Retainer(storage, folder),
    names: [],
    openReading: false,
    web: null,
    demo: () => null,
    isReady: () => true,
    isLocal: () => false,
    tls: null,
    freeze: () => freezeData({ storage, folder, inbox: new Inbox(folder, true), space: space }),
    metrics: new HubMetrics({
      waiting: () => storage.waiting(),
      disk: async () => ({ free: 2 ** 40, total: 2 ** 40 }),
      parseChildRestarts: () => 0,
      damagedLakeFiles: async () => 0,
      unfinishedUploads: () => 0,
    }),
    logger: false,
    ...overrides,
  })
  return {
    app,
    storage,
    folder,
    resumable,
    sessions,
    broken,
    tokens,
    async close() {
      await app.close()
      await resumable.stop()
      await real.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

async function populate(storage: Storage, folder: DataFolder): Promise<TestHub['tokens']> {
  await registerSensor(storage, folder, SENSOR_A)
  await registerSensor(storage, folder, SENSOR_B)
  const token = async (request: { role?: string; sensor?: string }) => (await createToken(storage, request)).token
  return {
    sensor: await token({ sensor: SENSOR_A.sensor }),
    other: await token({ sensor: SENSOR_B.sensor }),
    analyst: await token({ role: 'analyst' }),
    coordinator: await token({ role: 'coordinator' }),
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
