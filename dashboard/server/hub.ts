import type { FastifyServerOptions } from 'fastify'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { openGeography } from '../../analytics/geography.ts'
import type { Storage } from '../../analytics/storage.ts'
import type { Status } from '../../schemas/api.ts'
import type { Retention } from '../../schemas/retention.ts'
import { buildServer } from './build-server.ts'
import { Counter } from './counter.ts'
import { type DataFolder, markSimulated, openDataFolder } from './data-folder.ts'
import { diskSpace } from './disk-reserve.ts'
import { Inbox } from './inbox.ts'
import { Listeners } from './listeners.ts'
import { builtFile } from './package-root.ts'
import { ParsePool } from './parse-pool.ts'
import { Receiver } from './receive.ts'
import { Retainer } from './retain.ts'
import { Sessions } from './sessions.ts'
import { Upkeep } from './upkeep.ts'
import { upkeepJobs } from './upkeep-jobs.ts'

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
  readonly keepCaptures: boolean
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
  const storage = await openStorage({ data: folder.root, geography: openGeography(options.geography ?? undefined) })
  try {
    return await startOn(storage, folder, options)
  } catch (error) {
    await storage.close()
    throw error
  }
}

async function startOn(storage: Storage, folder: DataFolder, options: HubOptions): Promise<Hub> {
  const inbox = new Inbox(folder, options.keepCaptures)
  await inbox.sweep(storage)
  const { promise: broken, resolve: onBroken } = resolvable<unknown>()
  let ready = true
  const pool = new ParsePool(builtFile('collector', 'parse-child.js'), folder.parsed)
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
  const sessions = new Sessions(storage)
  const listeners: Listeners = new Listeners(isLocal =>
    buildServer({
      storage,
      folder,
      receiver,
      sessions,
      retention: options.retention,
      retainer,
      names: options.names,
      openReading: options.openReading,
      web: builtFile('web'),
      demo: options.demo ?? (() => null),
      isReady: () => ready,
      isLocal,
      logger: options.logger,
    }),
  )
  let url: string
  try {
    ;[, url] = await Promise.all([pool.check(), listeners.listen(options.host, options.ports, folder.socket)])
  } catch (error) {
    pool.close()
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
    async stop() {
      ready = false
      await listeners.close()
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
