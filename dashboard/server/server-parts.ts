import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { Storage } from '../../analytics/storage.ts'
import type { Status } from '../../schemas/api.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import type { Retention } from '../../schemas/retention.ts'
import type { Action, Subject } from './access.ts'
import type { DataFolder } from './data-folder.ts'
import type { HubSigningKey } from './hub-key.ts'
import type { HubMetrics } from './hub-metrics.ts'
import type { Receiver } from './receive.ts'
import type { ResumableUploads } from './resumable-uploads.ts'
import type { Retainer } from './retain.ts'
import type { Sessions } from './sessions.ts'
import type { TlsFiles } from './tls-files.ts'
import type { UploadDecisions } from './upload-decisions.ts'
import type { QuotaKeeper } from './upload-quotas.ts'

/** What the server and its routes are made of, handed in by whoever starts it. */

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the caller must be allowed to do; a route without it stops the server from starting. */
    access?: Action
    /** The handler verifies the signature of the request itself. */
    ownSignature?: boolean
    /** The handler holds the body against a digest that the signature covers; elsewhere Content-Digest is needed. */
    boundBody?: boolean
  }
  interface FastifyRequest {
    subject: Subject
    /** SHA-256 that the body must have by the signed Content-Digest; null when the request has none. */
    signedSha256: string | null
    /** The code of the error that was answered; null while there is none. */
    refusal: ErrorCode | null
  }
}

export interface ServerParts {
  readonly storage: Storage
  readonly folder: DataFolder
  readonly receiver: Receiver
  readonly decisions: UploadDecisions
  readonly resumable: ResumableUploads
  readonly quotas: QuotaKeeper
  readonly sessions: Sessions
  readonly hubKey: HubSigningKey
  readonly retention: Retention
  readonly retainer: Retainer
  /** Host names besides address literals and `localhost`. */
  readonly names: readonly string[]
  readonly openReading: boolean
  /** Null speaks HTTP: on loopback, or behind a proxy. */
  readonly tls: TlsFiles | null
  /** Folder of the built page; null serves none. */
  readonly web: string | null
  readonly metrics: HubMetrics
  /** Freezes the data; see snapshot.ts. */
  freeze(): Promise<string>
  demo(): Status['demo']
  /** False while the hub stops. */
  isReady(): boolean
  /** True for a request through DATA/hub.sock. */
  isLocal(request: FastifyRequest): boolean
  readonly logger: NonNullable<FastifyServerOptions['logger']>
}
