import { RECEIPT, RECEIPT_STATES, type Receipt, type ReceiptState, UPLOAD_KINDS } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import type { Database, Session } from './database.ts'
import { addReceiptKeys, receivedTimes, whereReceipt } from './receipt-key.ts'
import { formatMicroseconds, type PlainRow, parseMicroseconds } from './rows.ts'
import { noteSequences } from './sequence-gaps.ts'
import { type BoundValue, bind, bindList, sql } from './sql.ts'
import type { NewUpload, NumberedReceipt } from './storage.ts'

/** The bound number of a receipt's state. */
export function receiptState(state: ReceiptState): BoundValue {
  return bind('uint8', RECEIPT_STATES.indexOf(state))
}

interface Received {
  readonly receipt: Receipt
  readonly created: boolean
}

interface Waiting {
  readonly upload: NewUpload
  resolve(received: Received): void
  reject(error: unknown): void
}

/** Receipts committed together; more would only make the first caller wait longer for its answer. */
const RECEIPTS_PER_COMMIT_MAX = 256

/**
 * Commits receipts. Calls that come while a commit is under way share the next one, so that many uploads at once cost
 * few syncs of the disk.
 */
export class ReceiptWriter {
  readonly #database: Database
  readonly #now: () => number
  #waiting: Waiting[] = []
  /** The next upload_id; null until the catalog was asked. What a rollback leaves out stays out. */
  #nextId: number | null = null
  #scheduled = false

  /** @param nowMicros clock, Unix microseconds */
  constructor(database: Database, nowMicros: () => number) {
    this.#database = database
    this.#now = nowMicros
  }

  record(upload: NewUpload): Promise<Received> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ upload, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    let group: Waiting[] = []
    this.#database
      .transaction(async session => {
        // Taken here, when the turn has come: all calls made meanwhile are in it.
        group = this.#waiting.splice(0, RECEIPTS_PER_COMMIT_MAX)
        this.#scheduled = false
        if (this.#waiting.length > 0) this.#schedule()
        return this.#recordGroup(
          session,
          group.map(call => call.upload),
        )
      })
      .then(
        received => {
          for (const [index, call] of group.entries()) call.resolve(received[index]!)
        },
        error => {
          for (const call of group) call.reject(error)
          if (group.length > 0) return
          // The turn never came: nobody took the calls.
          this.#scheduled = false
          for (const call of this.#waiting.splice(0)) call.reject(error)
        },
      )
  }

  async #recordGroup(session: Session, uploads: readonly NewUpload[]): Promise<Received[]> {
    const receipts = new Map<string, Receipt>()
    const fresh = new Map<string, NewUpload>()
    for (const upload of uploads) {
      const identity = `${upload.sensor} ${upload.sha256}`
      if (receipts.has(identity) || fresh.has(identity)) continue
      const earlier = await readReceipt(session, upload.sensor, upload.sha256)
      if (earlier) receipts.set(identity, earlier)
      else fresh.set(identity, upload)
    }
    if (fresh.size > 0) {
      this.#nextId ??= await readNextId(session)
      const firstId = this.#nextId
      this.#nextId += fresh.size
      for (const receipt of await insertReceived(session, [...fresh.values()], firstId, this.#now())) {
        receipts.set(`${receipt.sensor} ${receipt.sha256}`, receipt)
      }
    }
    const numbered = uploads.flatMap(({ sensor, sequence }) => (sequence ? [{ sensor, sequence }] : []))
    if (numbered.length > 0) await noteSequences(session, numbered, this.#now())
    return uploads.map(upload => {
      const identity = `${upload.sensor} ${upload.sha256}`
      // Only the first of several calls with one identity made the receipt.
      return { receipt: receipts.get(identity)!, created: fresh.get(identity) === upload }
    })
  }
}

async function readNextId(session: Session): Promise<number> {
  const [row] = await session.plain(
    { upload_id: RECEIPT.upload_id },
    sql`SELECT coalesce(max(upload_id), 0)::UINTEGER AS upload_id FROM receipt`,
  )
  return row!.upload_id + 1
}

/** Two statements however many: their cost is mostly their planning. */
async function insertReceived(
  session: Session,
  uploads: readonly NewUpload[],
  firstId: number,
  nowMicros: number,
): Promise<Receipt[]> {
  const digests = uploads.map(({ sha256 }) => ({ sha256, received_at: nowMicros }))
  await addReceiptKeys(session, digests)
  return await session.api(
    RECEIPT,
    sql`INSERT INTO receipt BY NAME SELECT unnest(${bindList(
      'text',
      uploads.map(upload => upload.sensor),
    )}) AS sensor, unnest(${bindList(
      'text',
      uploads.map(upload => upload.sha256),
    )}) AS sha256, unnest(${bindList(
      'uint8',
      uploads.map(upload => UPLOAD_KINDS.indexOf(upload.kind)),
    )}) AS kind, unnest(${bindList(
      'uint64',
      uploads.map(upload => upload.byte_count),
    )}) AS byte_count, unnest(${bindList(
      'text',
      uploads.map(upload => upload.sequence?.spool ?? null),
    )}) AS spool, unnest(${bindList(
      'uint64',
      uploads.map(upload => upload.sequence?.number ?? null),
    )}) AS sequence, unnest(${bindList(
      'float64',
      uploads.map(upload => upload.clock_skew_seconds ?? null),
    )}) AS clock_skew_seconds, unnest(${bindList(
      'uint32',
      uploads.map((_, index) => firstId + index),
    )}) AS upload_id, ${receiptState('received')} AS state, ${bind('timestamp_us', nowMicros)} AS received_at
      RETURNING *`,
  )
}

export async function readReceipt(session: Session, sensor: string, sha256: string): Promise<Receipt | null> {
  const place = await whereReceipt(session, sha256)
  if (place === null) return null
  const rows = await session.api(RECEIPT, sql`SELECT * FROM receipt WHERE ${place}`)
  return rows.find(receipt => receipt.sensor === sensor) ?? null
}

/** Newest first. */
export function listReceipts(
  database: Database,
  filter: { sensor?: string; state?: ReceiptState; limit: number },
): Promise<Receipt[]> {
  const ofSensor = filter.sensor === undefined ? sql`true` : sql`sensor = ${bind('text', filter.sensor)}`
  const inState = filter.state === undefined ? sql`true` : sql`state = ${receiptState(filter.state)}`
  return database.api(
    RECEIPT,
    sql`SELECT * FROM receipt WHERE ${ofSensor} AND ${inState} ORDER BY received_at DESC, sensor, sha256 LIMIT ${bind('int64', filter.limit)}`,
  )
}

/**
 * Received and not yet counted: of each sensor in turn its oldest, then of each its next. However much one sensor has
 * sent, it is one of those that get a turn.
 */
export function pendingReceipts(database: Database, limit: number): Promise<NumberedReceipt[]> {
  return database.api(
    NUMBERED_RECEIPT,
    sql`SELECT * FROM receipt WHERE state = ${receiptState('received')}
        ORDER BY row_number() OVER (PARTITION BY sensor ORDER BY received_at, upload_id, sha256), received_at, sensor LIMIT ${bind('int64', limit)}`,
  )
}

const WAITING = {
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads received and not yet counted.' },
  received_at: { ...RECEIPT.received_at, nullable: true },
} as const satisfies Table

/** See Storage.waiting. */
export async function waitingReceipts(database: Database): Promise<{ count: number; oldest: string | null }> {
  const [row] = await database.plain(
    WAITING,
    sql`SELECT count(*) AS row_count, min(received_at) AS received_at FROM receipt WHERE state = ${receiptState('received')}`,
  )
  const { row_count, received_at } = row!
  return { count: row_count, oldest: received_at === null ? null : formatMicroseconds(BigInt(received_at)) }
}

/** Takes an upload that could not be read out of the queue; one that is counted stays counted. */
export async function quarantineReceipt(
  database: Database,
  sensor: string,
  sha256: string,
  error: { code: string; message: string },
): Promise<void> {
  await database.transaction(async session => {
    const row = await findReceiptRow(session, sensor, sha256)
    if (row?.state !== RECEIPT_STATES.indexOf('received')) return
    await session.run(
      sql`UPDATE receipt SET state = ${receiptState('quarantined')}, error_code = ${bind('text', error.code)},
        error_message = ${bind('text', error.message)} WHERE rowid = ${bind('int64', row.row_id)}`,
    )
  })
}

/** A receipt as whoever parses its upload needs it; it leaves the hub in no answer. */
export const NUMBERED_RECEIPT = {
  ...RECEIPT,
  upload_id: { ...RECEIPT.upload_id, sharing: 'members' },
} as const satisfies Table

/** A receipt as whoever changes it needs it. */
export type ReceiptRow = PlainRow<typeof RECEIPT_ROW>

const RECEIPT_ROW = {
  row_id: { type: 'uint64', role: 'key', sharing: 'withheld', doc: 'Place of the row in its table.' },
  sensor: RECEIPT.sensor,
  state: RECEIPT.state,
  kind: RECEIPT.kind,
  upload_id: RECEIPT.upload_id,
  received_at: RECEIPT.received_at,
  accepted_at: RECEIPT.accepted_at,
  duplicate_of: RECEIPT.duplicate_of,
  first_packet: RECEIPT.first_packet,
  last_packet: RECEIPT.last_packet,
  error_code: RECEIPT.error_code,
  key_check: RECEIPT.key_check,
} as const satisfies Table

/** A receipt with where its row stands, to change it without reading them all; that is good within one transaction. */
export async function findReceiptRow(session: Session, sensor: string, sha256: string): Promise<ReceiptRow | null> {
  const place = await whereReceipt(session, sha256)
  if (place === null) return null
  const rows = await session.plain(
    RECEIPT_ROW,
    sql`SELECT rowid AS row_id, sensor, state, kind, upload_id, received_at, accepted_at, duplicate_of, first_packet, last_packet, error_code, key_check
      FROM receipt WHERE ${place}`,
  )
  return rows.find(row => row.sensor === sensor) ?? null
}

/**
 * Receipts that wait to be counted, with where their rows stand; good within one transaction.
 * @returns in the order of the uploads, null for one that does not wait
 */
export async function findWaitingRows(
  session: Session,
  uploads: readonly Pick<Receipt, 'sensor' | 'sha256'>[],
): Promise<(ReceiptRow | null)[]> {
  const rows = await session.plain(
    { ...RECEIPT_ROW, sha256: RECEIPT.sha256 },
    sql`SELECT rowid AS row_id, sensor, sha256, state, kind, upload_id, received_at, accepted_at, duplicate_of, first_packet, last_packet, error_code, key_check
      FROM receipt WHERE state = ${receiptState('received')} AND sha256 IN (SELECT unnest(${digestList(uploads)}))`,
  )
  const found = new Map(rows.map(row => [`${row.sensor} ${row.sha256}`, row]))
  return uploads.map(({ sensor, sha256 }) => found.get(`${sensor} ${sha256}`) ?? null)
}

/** Receipts as they stand now, in no order. */
export async function readAgain(database: Database, receipts: readonly Receipt[]): Promise<Receipt[]> {
  const identities = new Set(receipts.map(({ sensor, sha256 }) => `${sensor} ${sha256}`))
  const times = receipts.map(({ received_at }) => parseMicroseconds(received_at))
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const rows = await database.api(
    RECEIPT,
    sql`SELECT * FROM receipt WHERE received_at >= ${bind('timestamp_us', first)} AND received_at <= ${bind('timestamp_us', last)}
      AND sha256 IN (SELECT unnest(${digestList(receipts)}))`,
  )
  return rows.filter(({ sensor, sha256 }) => identities.has(`${sensor} ${sha256}`))
}

function digestList(uploads: readonly Pick<Receipt, 'sha256'>[]): BoundValue {
  return bindList(
    'text',
    uploads.map(({ sha256 }) => sha256),
  )
}

/** The earliest counted upload of the sensor with this decompressed content that was no duplicate itself. */
export async function findContent(session: Session, sensor: string, contentSha256: string): Promise<Receipt | null> {
  // One after the other, since a year may lie between the first and the last of them.
  for (const time of await receivedTimes(session, contentSha256)) {
    const [row] = await session.api(
      RECEIPT,
      sql`SELECT * FROM receipt WHERE received_at = ${bind('timestamp_us', time)} AND sensor = ${bind('text', sensor)}
        AND content_sha256 = ${bind('text', contentSha256)} AND state = ${receiptState('counted')} AND duplicate_of IS NULL
        LIMIT 1`,
    )
    if (row) return row
  }
  return null
}
