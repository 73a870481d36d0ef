import type { Server } from 'node:http'
import type { FastifyBaseLogger, FastifyServerOptions } from 'fastify'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { openGeography } from '../../analytics/geography.ts'
import type { Storage } from '../../analytics/storage.ts'
import type { Status } from '../../schemas/api.ts'
import type { Retention } from '../../schemas/retention.ts'
import type { buildServer as BuildServer } from './build-server.ts'
import { Counter } from './counter.ts'
import { type DataFolder, markSimulated, openDataFolder } from './data-folder.ts'
import { diskSpace } from './disk-reserve.ts'
import { openHubKey } from './hub-key.ts'
import { HubMetrics } from './hub-metrics.ts'
import { Inbox } from './inbox.ts'
import { keepAnswers } from './kept-answers.ts'
import { Listeners } from './listeners.ts'
import { listenForMetrics } from './metrics-listener.ts'
import { observeStorage } from './observed-storage.ts'
import { builtFile } from './package-root.ts'
import { ParsePool } from './parse-pool.ts'
import { Receiver } from './receive.ts'
import { ResumableUploads } from './resumable-uploads.ts'
import { Retainer } from './retain.ts'
import { Sessions } from './sessions.ts'
import { freezeData, removeSnapshots } from './snapshot.ts'
import type { TlsFiles } from './tls-files.ts'
import { Upkeep } from './upkeep.ts'
import { upkeepJobs } from './upkeep-jobs.ts'
import { UploadDecisions } from './upload-decisions.ts'
import { tellUploads } from './upload-events.ts'
import { QuotaKeeper, UPLOAD_QUOTAS, type UploadQuotas } from './upload-quotas.ts'

interface HubOptions {
  /** Data folder; made when missing. */
  readonly data: string
  readonly host: string
  /** Tried in this order until one is free; 0 is any. */
  readonly ports: readonly number[]
  /** Geography table; null is the one that comes with the software. */
  readonly geography: string | null
  /** Host names by which a reverse proxy forwards. */
  readonly names: readonly string[]
  readonly openReading: boolean
  /** Null speaks HTTP. */
  readonly tls: TlsFiles | null
  /** Port on loopback that gives the figures without a token; null for none. */
  readonly metricsPort: number | null
  readonly keepCaptures: boolean
  /** Of each sensor; UPLOAD_QUOTAS unless said. */
  readonly quotas?: UploadQuotas
  readonly retention: Retention
  readonly logger: NonNullable<FastifyServerOptions['logger']>
  demo?(): Status['demo']
}

/** A hub that runs: storage, receiving, counting, HTTP, in one process. */
export interface Hub {
  readonly folder: DataFolder
  /** `http://127.0.0.1:8080` */
  readonly url: string
  /** Good until the hub stops; for a link, not for scripts. */
  readonly signInToken: string
  /** Resolves with the error after which nothing can be trusted any more; the hub has to be stopped then. */
  readonly broken: Promise<unknown>
  readonly log: FastifyBaseLogger
  /** Another certificate for connections to come; for a hub with TLS. */
  renewTls(files: TlsFiles): void
  /** Takes no more, ends what is under way, leaves everything else for the next start. */
  stop(): Promise<void>
}

/**
 * Starts a hub on a data folder. What a former run left on its way is swept or taken up.
 * @throws DATA_IN_USE, PORT_IN_USE, OUTPUT_UNWRITABLE, STORAGE_FAILED
 */
export async function startHub(options: HubOptions): Promise<Hub> {
  const folder = openDataFolder(options.data)
  if (options.demo) markSimulated(folder)
  const pool = new ParsePool(builtFile('collector', 'parse-child.js'), folder.parsed)
  try {
    // Side by side, on threads of their own: the child loads, DuckDB reads the catalog, and the server is loaded here.
    pool.load()
    const opening = openStorage({ data: folder.root, geography: openGeography(options.geography ?? undefined) })
    const [storage, { buildServer }] = await Promise.all([opening, import('./build-server.ts')])
    try {
      return await startOn({ unobserved: storage, folder, pool, buildServer }, options)
    } catch (error) {
      await storage.close()
      throw error
    }
  } catch (error) {
    pool.close()
    throw error
  }
}

interface Opened {
  readonly unobserved: Storage
  readonly folder: DataFolder
  readonly pool: ParsePool
  readonly buildServer: typeof BuildServer
}

async function startOn({ unobserved, folder, pool, buildServer }: Opened, options: HubOptions): Promise<Hub> {
  const inbox = new Inbox(folder, options.keepCaptures)
  await removeSnapshots(folder)
  const { promise: broken, resolve: onBroken } = resolvable<unknown>()
  let ready = true
  const metrics = new HubMetrics({
    waiting: () => unobserved.waiting(),
    disk: () => diskSpace(folder.root),
    parseChildRestarts: () => pool.restarts,
    damagedLakeFiles: () => unobserved.damagedLakeFiles(),
    unfinishedUploads: () => resumable.openCount,
  })
  const storage = keepAnswers(
    observeStorage(
      unobserved,
      tellUploads(metrics, () => listeners.app.log),
    ),
  )
  const counter = new Counter({
    storage,
    folder,
    space: diskSpace,
    inbox,
    pool,
    onError: (error, what) => listeners.app.log.error({ err: error }, what),
    onBroken,
  })
  const retainer = new Retainer(storage, folder)
  const upkeep = new Upkeep({
    jobs: upkeepJobs({ storage, folder, space: diskSpace, retainer, retention: options.retention }),
    onError: (error, what) => listeners.app.log.error({ err: error }, what),
    onBroken,
  })
  const receiver = new Receiver({ storage, folder, space: diskSpace, onReceived: () => counter.notify(), onBroken })
  const decisions = new UploadDecisions({ storage, inbox, onReceived: () => counter.notify() })
  const resumable = new ResumableUploads({ folder, space: diskSpace, receiver, onBroken, now: Date.now })
  // First of all: a sweep would take bytes for orphans that belong to an upload that is not finished.
  await resumable.recover()
  await inbox.sweep(storage)
  const quotas = new QuotaKeeper(options.quotas ?? UPLOAD_QUOTAS, since => storage.uploadUsage(since))
  const sessions = new Sessions(storage)
  const hubKey = openHubKey(folder)
  const listeners: Listeners = new Listeners(isLocal =>
    buildServer({
      storage,
      folder,
      receiver,
      decisions,
      resumable,
      quotas,
      sessions,
      hubKey,
      retention: options.retention,
      retainer,
      names: options.names,
      openReading: options.openReading,
      web: builtFile('web'),
      tls: options.tls,
      metrics,
      freeze: () => freezeData({ storage, folder, inbox, space: diskSpace }),
      demo: options.demo ?? (() => null),
      isReady: () => ready,
      isLocal,
      logger: options.logger,
    }),
  )
  let url: string
  let metricsServer: Server | null = null
  try {
    if (options.metricsPort !== null) metricsServer = await listenForMetrics(options.metricsPort, metrics)
    ;[, url] = await Promise.all([pool.check(), listeners.listen(options.host, options.ports, folder.socket)])
  } catch (error) {
    metricsServer?.close()
    await listeners.close()
    throw error
  }
  counter.start()
  upkeep.start()
  return {
    folder,
    url,
    signInToken: sessions.signInToken,
    broken,
    log: listeners.app.log,
    renewTls: files => listeners.renewTls(files),
    async stop() {
      ready = false
      await listeners.close()
      await resumable.stop()
      metricsServer?.closeAllConnections()
      metricsServer?.close()
      await Promise.all([counter.stop(), upkeep.stop()])
      await storage.close()
    },
  }
}

function resolvable<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}
