import { setTimeout as delay } from 'node:timers/promises'
import { ERROR_CODES, type ErrorCode, TelescopeError } from '../schemas/errors.ts'
import { compressBatch } from './compressed-batch.ts'
import type { HubAnswer } from './hub-request.ts'
import { putBatch } from './hub-upload.ts'
import type { Identity } from './identity.ts'
import { Spool, spoolError } from './spool.ts'

export interface SendRequest {
  readonly spool: string
  readonly hub: URL
  readonly identity: Identity
  /** Go on waiting for new batches, and never give up on the hub. */
  readonly watch: boolean
  readonly signal: AbortSignal
  /** Told about what an operator should know at once. */
  readonly note: (line: string) => void
  /** Shortest wait after a failure; tests make it small. */
  readonly retryMs?: number
  /** How often a watched spool is looked at; tests make it small. */
  readonly watchMs?: number
}

interface SendSummary {
  readonly sent: number
  readonly refused: number
  readonly waiting: number
}

/** Failures in a row after which a run that does not watch gives up: about half a minute with waits of 1, 2, 4 … s. */
const TRIES_MAX = 6
const RETRY_MS = 1000
const RETRY_MS_MAX = 5 * 60_000
const WATCH_MS = 5000

/** Damage on the way, not in the batch: it is sent again. */
const RETRIED_INPUT_CODES: ReadonlySet<ErrorCode> = new Set(['DIGEST_MISMATCH', 'BODY_CUT_SHORT', 'BODY_EMPTY'])

type Outcome =
  | { readonly kind: 'received'; readonly receipt: object }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: 'retry'; readonly why: TelescopeError }
  /** Another process has sent it meanwhile, or this one is to stop. */
  | { readonly kind: 'gone' }

/**
 * Empties a spool: oldest batch first, each until the hub has answered. A batch leaves only when its receipt is on disk,
 * so killing this at any moment loses nothing, and sending twice changes nothing at the hub.
 * @throws HUB_UNREACHABLE, or SPOOL_UNREADABLE of a batch, after TRIES_MAX failures in a row (never while watching);
 *   what the hub says of the request itself (UNAUTHENTICATED, FORBIDDEN …), since no other batch would fare better;
 *   SPOOL_UNREADABLE of the folder, DISK_FULL, OUTPUT_UNWRITABLE. All leave the batches in place.
 */
export async function sendSpool(request: SendRequest): Promise<SendSummary> {
  const spool = new Spool(request.spool)
  const watchMs = request.watchMs ?? WATCH_MS
  if (request.watch && !(await appears(spool, watchMs, request))) return { sent: 0, refused: 0, waiting: 0 }
  const summary = { sent: 0, refused: 0 }
  let failures = 0
  /** Failures of each batch, so that one that the hub stumbles over does not keep the others waiting. */
  const failuresOf = new Map<string, number>()
  for (;;) {
    const sha256 = leastFailed(spool.waiting(), failuresOf)
    if (request.signal.aborted || (sha256 === undefined && !request.watch)) break
    if (sha256 === undefined) {
      await pause(watchMs, request.signal)
      continue
    }
    const outcome = await sendOne(spool, sha256, request)
    if (outcome.kind === 'retry') {
      failures++
      failuresOf.set(sha256, (failuresOf.get(sha256) ?? 0) + 1)
      if (request.signal.aborted) break
      if (failures >= TRIES_MAX && !request.watch) throw giveUp(outcome.why, spool.waiting().length)
      await pause(retryDelay(request.retryMs ?? RETRY_MS, failures), request.signal)
      continue
    }
    failures = 0
    if (outcome.kind === 'received') {
      spool.settle(sha256, outcome.receipt)
      summary.sent++
    } else if (outcome.kind === 'refused') {
      const { code, message } = outcome
      spool.refuse(sha256, { code, message })
      summary.refused++
      request.note(`batch ${sha256}: refused: ${message} [${code}]; it is in ${spool.path}/refused`)
    }
  }
  return { ...summary, waiting: spool.waiting().length }
}

/**
 * Waits for the spool: `collect` makes it, and nothing says that it is started first.
 * @returns false when told to stop before it was there
 */
async function appears(spool: Spool, watchMs: number, { signal, note }: SendRequest): Promise<boolean> {
  if (spool.exists) return true
  note(`spool ${spool.path}: is not there; waiting for hirundo collect to make it`)
  while (!spool.exists && !signal.aborted) await pause(watchMs, signal)
  return spool.exists
}

function leastFailed(waiting: readonly string[], failuresOf: ReadonlyMap<string, number>): string | undefined {
  let chosen = waiting[0]
  for (const sha256 of waiting) if ((failuresOf.get(sha256) ?? 0) < (failuresOf.get(chosen!) ?? 0)) chosen = sha256
  return chosen
}

async function sendOne(spool: Spool, sha256: string, { hub, identity, signal }: SendRequest): Promise<Outcome> {
  let answer: HubAnswer
  let sentSha256: string
  try {
    const batch = await compressBatch(spool.batchPath(sha256), sha256, { signal })
    if (batch === null) return damaged(sha256)
    sentSha256 = batch.sha256
    const { byteCount } = batch
    answer = await putBatch({ hub, identity, sha256: sentSha256, byteCount, body: batch.open(), signal })
  } catch (error) {
    if (signal.aborted || (error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'gone' }
    return { kind: 'retry', why: spoolError(error, spool.path) }
  }
  return judge(answer, sentSha256, hub)
}

/** Never sent: the hub would count what it was made into, if it can be read at all. */
function damaged(sha256: string): Outcome {
  const message = `batch: its bytes no longer have the SHA-256 ${sha256} that it is named by; the disk has damaged it`
  return { kind: 'refused', code: 'DIGEST_MISMATCH', message }
}

function judge({ status, body }: HubAnswer, sentSha256: string, hub: URL): Outcome {
  if (status === 200 || status === 201) {
    if (isReceipt(body, sentSha256)) return { kind: 'received', receipt: body }
    return { kind: 'retry', why: notAHub(hub, status) }
  }
  const error = errorOf(body)
  if (error === null) return { kind: 'retry', why: notAHub(hub, status) }
  const { code, message } = error
  const { kind } = ERROR_CODES[code]
  if (kind === 'usage') throw new TelescopeError(code, `hub ${hub.origin}: ${message}`, { hub: hub.origin })
  if (kind === 'input' && !RETRIED_INPUT_CODES.has(code)) return { kind: 'refused', code, message }
  return { kind: 'retry', why: new TelescopeError('HUB_UNREACHABLE', `hub ${hub.origin}: ${message} [${code}]`) }
}

/** Anything in between may answer 200; only a receipt for these very bytes lets a batch go. */
function isReceipt(body: unknown, sha256: string): body is object {
  return typeof body === 'object' && body !== null && (body as { sha256?: unknown }).sha256 === sha256
}

function errorOf(body: unknown): { code: ErrorCode; message: string } | null {
  const { code, message } = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error ?? {}
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) return null
  return { code: code as ErrorCode, message: String(message).replace(/[^\x20-\x7e]/g, '?') }
}

function notAHub(hub: URL, status: number): TelescopeError {
  return new TelescopeError(
    'HUB_UNREACHABLE',
    `hub ${hub.origin}: answered ${status} with something that is no answer of a hub; check the address`,
    { status },
  )
}

function giveUp(why: TelescopeError, waiting: number): TelescopeError {
  return new TelescopeError(
    why.code,
    `${why.message}; ${waiting} ${waiting === 1 ? 'batch stays' : 'batches stay'} in the spool`,
    { waiting },
    why,
  )
}

/** Doubles with each failure; half of it is random, so that sensors do not come back all at once. */
function retryDelay(firstMs: number, failures: number): number {
  const full = Math.min(firstMs * 2 ** (failures - 1), RETRY_MS_MAX)
  return full / 2 + Math.random() * (full / 2)
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  // An abort ends the pause, and the loop sees it.
  await delay(milliseconds, undefined, { signal }).catch(() => {})
}
