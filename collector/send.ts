import { setTimeout as delay } from 'node:timers/promises'
import { ERROR_CODES, type ErrorCode, TelescopeError } from '../schemas/errors.ts'
import { formatSequence } from '../schemas/upload-sequence.ts'
import { batchSensor } from './batch-sensor.ts'
import { ClockSkew } from './clock-skew.ts'
import { compressBatch } from './compressed-batch.ts'
import { errorOfAnswer, notAHub } from './hub-answer.ts'
import type { HubAnswer } from './hub-request.ts'
import type { Identity } from './identity.ts'
import { receiptFault } from './receipt-check.ts'
import { ReceiptFollower } from './receipt-follower.ts'
import { uploadResumably } from './resumable-upload.ts'
import { retryDelay } from './retry-delay.ts'
import { SequenceLedger } from './sequence-ledger.ts'
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
  /** Without watch: how long to ask, at the end, what became of the batches. */
  readonly followMs?: number
  /** Bytes of batches that may wait; beyond it the oldest are given up. Default: no bound. */
  readonly spoolBytesMax?: number
  /** Receipts kept; default: all. */
  readonly receiptsMax?: number
  /** Told of each batch that the hub has received. */
  readonly onSent?: (batch: string, upload: string) => void
}

interface SendSummary {
  readonly sent: number
  readonly refused: number
  readonly waiting: number
  /** What became of the batches, as far as it was asked for. */
  readonly followed?: { readonly counted: number; readonly wrong: number; readonly open: number }
}

/** Failures in a row after which a run that does not watch gives up: about half a minute with waits of 1, 2, 4 … s. */
const TRIES_MAX = 6
const RETRY_MS = 1000
const RETRY_MS_MAX = 5 * 60_000
const WATCH_MS = 5000

/** Damage on the way, not in the batch: it is sent again. */
const RETRIED_INPUT_CODES: ReadonlySet<ErrorCode> = new Set(['DIGEST_MISMATCH', 'BODY_CUT_SHORT', 'BODY_EMPTY'])

type Outcome =
  | { readonly kind: 'received'; readonly receipt: { readonly sha256: string } }
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
  const ledger = await openLedger(spool, watchMs, request)
  if (ledger === null) return { sent: 0, refused: 0, waiting: spool.exists ? spool.waiting().length : 0 }
  const follower = new ReceiptFollower(spool)
  const keeper = request.watch
    ? setInterval(() => quietly(() => evictOldest(spool, ledger, request)), watchMs)
    : undefined
  try {
    if (request.watch) follower.takeUp()
    return await emptySpool({ spool, ledger, follower, skew: new ClockSkew() }, request)
  } finally {
    clearInterval(keeper)
    ledger.close()
  }
}

interface Sending {
  readonly spool: Spool
  readonly ledger: SequenceLedger
  readonly follower: ReceiptFollower
  readonly skew: ClockSkew
}

async function emptySpool(sending: Sending, request: SendRequest): Promise<SendSummary> {
  const { spool, ledger, follower } = sending
  const watchMs = request.watchMs ?? WATCH_MS
  const summary = { sent: 0, refused: 0 }
  let failures = 0
  /** Failures of each batch, so that one that the hub stumbles over does not keep the others waiting. */
  const failuresOf = new Map<string, number>()
  for (;;) {
    if (request.signal.aborted) break
    evictOldest(spool, ledger, request)
    const waiting = spool.waiting()
    ledger.assign(waiting)
    const sha256 = leastFailed(waiting, failuresOf)
    if (sha256 === undefined && !request.watch) break
    if (sha256 === undefined) {
      await follower.look(request)
      await pause(watchMs, request.signal)
      continue
    }
    const outcome = await sendOne(sending, sha256, request)
    if (outcome.kind === 'retry') {
      failures++
      failuresOf.set(sha256, (failuresOf.get(sha256) ?? 0) + 1)
      if (request.signal.aborted) break
      if (failures >= TRIES_MAX && !request.watch) throw giveUp(outcome.why, spool.waiting().length)
      // The first failure, and then ever more seldom.
      if (request.watch && (failures & (failures - 1)) === 0) {
        request.note(`${outcome.why.message}; ${waiting.length} batches wait, trying again [${outcome.why.code}]`)
      }
      await pause(retryDelay(request.retryMs ?? RETRY_MS, failures, RETRY_MS_MAX), request.signal)
      continue
    }
    if (failures > 0 && request.watch) request.note(`hub ${request.hub.origin}: answers again`)
    failures = 0
    if (outcome.kind === 'received') {
      spool.settle(sha256, outcome.receipt)
      follower.follow(sha256, outcome.receipt)
      if (request.receiptsMax !== undefined) spool.pruneReceipts(request.receiptsMax)
      request.onSent?.(sha256, outcome.receipt.sha256)
      summary.sent++
    } else if (outcome.kind === 'refused') {
      const { code, message } = outcome
      spool.refuse(sha256, { code, message })
      summary.refused++
      request.note(`batch ${sha256}: refused: ${message} [${code}]; it is in ${spool.path}/refused`)
    }
  }
  const followed = request.followMs ? { followed: await follower.end(request, request.followMs) } : {}
  return { ...summary, waiting: spool.waiting().length, ...followed }
}

/** The batch that is on its way; it is not evicted. */
const underWay = new WeakMap<Spool, string>()

/** Gives up the oldest batches beyond what may wait, with a note: the hub hears of them with the next upload. */
function evictOldest(spool: Spool, ledger: SequenceLedger, { spoolBytesMax, note }: SendRequest): void {
  if (spoolBytesMax === undefined || !spool.exists) return
  const waiting = spool.waiting().map(sha256 => ({ sha256, bytes: spool.batchBytes(sha256) }))
  let bytes = waiting.reduce((sum, batch) => sum + batch.bytes, 0)
  if (bytes <= spoolBytesMax) return
  ledger.assign(waiting.map(({ sha256 }) => sha256))
  let count = 0
  for (const batch of waiting) {
    // The newest stays, however large it is.
    if (bytes <= spoolBytesMax || batch === waiting.at(-1)) break
    if (underWay.get(spool) === batch.sha256) continue
    ledger.evict(batch.sha256)
    bytes -= batch.bytes
    count++
  }
  if (count > 0) {
    note(
      `spool ${spool.path}: full (${spoolBytesMax} bytes): ${count} of the oldest batches were given up, their packets are lost; the hub will be told`,
    )
  }
}

/** What fails beside the sending is met by the sending, too, which tells it. */
function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // See above.
  }
}

/** @returns null when another process sends, or when told to stop while waiting for it to end */
async function openLedger(spool: Spool, watchMs: number, request: SendRequest): Promise<SequenceLedger | null> {
  let isTold = false
  for (;;) {
    try {
      return new SequenceLedger(spool.path)
    } catch (error) {
      if (!(error instanceof TelescopeError) || error.code !== 'DATA_IN_USE') throw error
      if (!isTold) request.note(error.message)
      isTold = true
      if (!request.watch || request.signal.aborted) return null
      await pause(watchMs, request.signal)
    }
  }
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

async function sendOne(
  { spool, ledger, skew }: Sending,
  sha256: string,
  { hub, identity, signal, note, retryMs = RETRY_MS }: SendRequest,
): Promise<Outcome> {
  let answer: HubAnswer
  let sentSha256: string
  const sequence = ledger.sequenceOf(sha256)
  underWay.set(spool, sha256)
  try {
    const wrong = await wrongSensor(spool.batchPath(sha256), identity)
    if (wrong !== null) return wrong
    const batch = await compressBatch(spool.batchPath(sha256), sha256, { signal })
    if (batch === null) return damaged(sha256)
    sentSha256 = batch.sha256
    const askedAt = Date.now()
    const headers = { ...formatSequence(sequence), date: new Date(askedAt).toUTCString() }
    // That is no Content-Encoding, which whoever is on the way may undo: the digest is of the compressed bytes.
    const contentType = 'application/gzip'
    // One failure without progress ends it: others wait, and the hub knows the batch again.
    const tries = { triesMax: 1, retryMs }
    answer = await uploadResumably({ hub, identity, kind: 'batch', ...batch, contentType, headers, signal, ...tries })
    const told = skew.see(answer.headers.date, askedAt)
    if (told !== null) note(told)
  } catch (error) {
    if (signal.aborted || (error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'gone' }
    return { kind: 'retry', why: spoolError(error, spool.path) }
  } finally {
    underWay.delete(spool)
  }
  const outcome = judge(answer, sentSha256, hub, identity)
  if (outcome.kind === 'received') ledger.told(sequence.gone)
  return outcome
}

/** The hub would take its bytes, and never count them. */
async function wrongSensor(path: string, identity: Identity): Promise<Outcome | null> {
  const sensor = await batchSensor(path)
  if (sensor === null || sensor === identity.sensor) return null
  const message = `batch: it is of sensor "${sensor}", and the identity is of "${identity.sensor}"; send it with that sensor's identity`
  return { kind: 'refused', code: 'BATCH_SENSOR_MISMATCH', message }
}

/** Never sent: the hub would count what it was made into, if it can be read at all. */
function damaged(sha256: string): Outcome {
  const message = `batch: its bytes no longer have the SHA-256 ${sha256} that it is named by; the disk has damaged it`
  return { kind: 'refused', code: 'DIGEST_MISMATCH', message }
}

function judge({ status, body }: HubAnswer, sentSha256: string, hub: URL, identity: Identity): Outcome {
  if (status === 200 || status === 201) {
    if (!isReceipt(body, sentSha256)) return { kind: 'retry', why: notAHub(hub, status) }
    const why = receiptFault(body, identity)
    return why === null ? { kind: 'received', receipt: body } : { kind: 'retry', why }
  }
  const error = errorOfAnswer(body)
  if (error === null) return { kind: 'retry', why: notAHub(hub, status) }
  const { code, message } = error
  const { kind } = ERROR_CODES[code]
  if (kind === 'usage') throw new TelescopeError(code, `hub ${hub.origin}: ${message}`, { hub: hub.origin })
  if (kind === 'input' && !RETRIED_INPUT_CODES.has(code)) return { kind: 'refused', code, message }
  return { kind: 'retry', why: new TelescopeError('HUB_UNREACHABLE', `hub ${hub.origin}: ${message} [${code}]`) }
}

/** Anything in between may answer 200; only a receipt for these very bytes lets a batch go. */
function isReceipt(body: unknown, sha256: string): body is { readonly sha256: string } {
  return typeof body === 'object' && body !== null && (body as { sha256?: unknown }).sha256 === sha256
}

function giveUp(why: TelescopeError, waiting: number): TelescopeError {
  return new TelescopeError(
    why.code,
    `${why.message}; ${waiting} ${waiting === 1 ? 'batch stays' : 'batches stay'} in the spool, nothing is lost; run it again`,
    { waiting },
    why,
  )
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  // An abort ends the pause, and the loop sees it.
  await delay(milliseconds, undefined, { signal }).catch(() => {})
}
