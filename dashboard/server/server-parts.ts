import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { Storage } from '../../analytics/storage.ts'
import type { Status } from '../../schemas/api.ts'
import type { Retention } from '../../schemas/retention.ts'
import type { Action, Subject } from './access.ts'
import type { DataFolder } from './data-folder.ts'
import type { Receiver } from './receive.ts'
import type { Retainer } from './retain.ts'
import type { Sessions } from './sessions.ts'

/** What the server and its routes are made of, handed in by whoever starts it. */

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the caller must be allowed to do; a route without it stops the server from starting. */
    access?: Action
  }
  interface FastifyRequest {
    subject: Subject
  }
}

export interface ServerParts {
  readonly storage: Storage
  readonly folder: DataFolder
  readonly receiver: Receiver
  readonly sessions: Sessions
  readonly retention: Retention
  readonly retainer: Retainer
  /** Host names besides address literals and `localhost`. */
  readonly names: readonly string[]
  readonly openReading: boolean
  /** Folder of the built page; null serves none. */
  readonly web: string | null
  demo(): Status['demo']
  /** False while the hub stops. */
  isReady(): boolean
  /** True for a request through DATA/hub.sock. */
  isLocal(request: FastifyRequest): boolean
  readonly logger: NonNullable<FastifyServerOptions['logger']>
}
