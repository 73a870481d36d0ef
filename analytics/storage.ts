import type { Answer, QueryName, QueryParameters } from '../schemas/api.ts'
import type { AuditEntry, AuditNote } from '../schemas/audit.ts'
import type { Receipt, ReceiptState, TokenRole, UploadKind } from '../schemas/catalog.ts'
import type { ParsedBatch } from '../schemas/parse-job.ts'
import type { SensorHealth } from '../schemas/sensor-health.ts'
import type { SensorKey } from '../schemas/sensor-key.ts'
import type { UploadSequence } from '../schemas/upload-sequence.ts'

/**
 * The storage seam: all that the rest of the hub may ask of the engine that keeps and counts the data. DuckDB over
 * Parquet (`duckdb-storage.ts`) is the embedded default; ClickHouse would stand behind the same lines.
 *
 * STORAGE_FAILED with the detail `fatal: true` is final: nothing works any more until the storage is opened again, so
 * the process exits. With `fatal: false`, and DISK_FULL, the call failed and a later one may not.
 */
export interface Storage {
  // --- sensors and tokens
  /**
   * @param actor who does it, for the audit log; default LOCAL_ACTOR, here and below
   * @throws SENSOR_EXISTS, PREFIX_OVERLAPS
   */
  addSensor(sensor: NewSensor, actor?: string): Promise<SensorRecord>
  /**
   * Corrects a registration; prefixes only while no upload of the sensor is counted, held or on its way.
   * @throws SENSOR_UNKNOWN, SENSOR_HAS_UPLOADS, PREFIX_OVERLAPS
   */
  changeSensor(sensor: string, change: SensorChange, actor?: string): Promise<SensorRecord>
  listSensors(): Promise<SensorRecord[]>
  findSensor(sensor: string): Promise<SensorRecord | null>
  addToken(token: { sha256: string; id: string; role: TokenRole; sensor: string | null }, actor?: string): Promise<void>
  /** A valid token; null when unknown or revoked. */
  findToken(sha256: string): Promise<TokenRecord | null>
  listTokens(): Promise<(TokenRecord & { created_at: string; revoked_at: string | null })[]>
  /** @returns false when there is no such token */
  revokeToken(id: string, actor?: string): Promise<boolean>

  // --- keys of sensors
  /** Keeps the SHA-256 of a one-time code of a sensor; an earlier one that was not used ends. */
  invite(
    invitation: { sensor: string; codeSha256: string; hours: number },
    actor?: string,
  ): Promise<{ expires_at: string }>
  /**
   * Makes a sensor's key known by a code; the same key with the same code again changes nothing.
   * @throws INVITATION_UNKNOWN, INVITATION_OF_OTHER_SENSOR, INVITATION_USED, INVITATION_EXPIRED, SENSOR_KEY_EXISTS
   */
  enrol(codeSha256: string, key: NewSensorKey): Promise<void>
  /** A key, whether it is still valid or not; null when unknown. */
  findSensorKey(keyId: string): Promise<SensorKey | null>
  /** In the order in which they were made known. */
  listSensorKeys(sensor: string): Promise<SensorKey[]>
  /**
   * Makes the successor of a key known. The old one ends seven days later, or five minutes after the new one was first
   * used. Again it changes nothing.
   * @throws SENSOR_KEY_EXISTS
   */
  succeedSensorKey(keyId: string, next: NewSensorKey): Promise<void>
  /** The first use of a key; later ones change nothing. */
  noteKeyUsed(keyId: string): Promise<void>
  /** One key of a sensor, or with null all keys, tokens and open codes. @returns how many were valid */
  revokeSensorKeys(sensor: string, keyId: string | null, actor?: string): Promise<number>

  // --- audit log
  /** Writes an entry by itself, durable when it resolves; what changes the catalog writes its own with the change. */
  audit(note: AuditNote): Promise<void>
  /** Newest first. */
  listAudit(limit: number): Promise<AuditEntry[]>
  /** The sequence of the first entry that is missing or was changed; null when all stand as they were written. */
  verifyAudit(): Promise<number | null>

  // --- received
  findReceipt(sensor: string, sha256: string): Promise<Receipt | null>
  /**
   * Commits the receipt of bytes that are already durable; when it resolves, the receipt is durable too.
   * The number of the upload counts as come even when there is a receipt already: the same bytes may have another one.
   * @returns the receipt that stands, and whether this call made it; calls with one identity at once make one receipt
   */
  recordReceived(upload: NewUpload): Promise<{ receipt: Receipt; created: boolean }>
  /** Receipts as they stand now, in no order. */
  readAgain(receipts: readonly Receipt[]): Promise<Receipt[]>
  /** Newest first. */
  listReceipts(filter: { sensor?: string; state?: ReceiptState; limit: number }): Promise<Receipt[]>
  /** Uploads received and not yet counted: of each sensor in turn its oldest, then of each its next. */
  pending(limit: number): Promise<NumberedReceipt[]>
  /**
   * What each sensor has sent and what of it waits; sensors without either are left out.
   * @param since Unix seconds
   */
  uploadUsage(since: number): Promise<UploadUsage[]>
  /** How many those are, and when the oldest came. */
  waiting(): Promise<{ count: number; oldest: string | null }>

  // --- counted
  /**
   * Counts a group of parsed uploads in one transaction: their flows become Parquet files (durable before the
   * commit), the manifest, coverage, source economies and rollups follow, receipts turn to counted. All or nothing.
   * Content that was counted before, or stands twice in the group, is counted once, whatever `duplicate_of` says. An
   * upload that holds the traffic of another one turns to held instead, unless the operator accepted it; which of the
   * two it is depends on which is counted first.
   * Calls run one after another.
   * @throws BATCH_INVALID with the details sensor and sha256 of the upload that cannot be counted: quarantine that one
   *   and count the others; SENSOR_UNKNOWN
   */
  countGroup(uploads: readonly ParsedUpload[]): Promise<void>
  quarantine(sensor: string, sha256: string, error: { code: string; message: string }): Promise<void>
  /** @throws NOT_FOUND, UPLOAD_STATE when reopenUpload would */
  checkReopening(action: Reopening, upload: { sensor: string; sha256: string }): Promise<void>
  /**
   * Puts an upload back among those that wait, and writes that down: `accept` one that is held or withdrawn, which then
   * counts whatever it overlaps; `retry` one that is quarantined. Its bytes must be in the inbox before.
   * @throws NOT_FOUND, UPLOAD_STATE
   */
  reopenUpload(action: Reopening, decision: UploadDecision): Promise<Receipt>
  /**
   * Takes a counted or held upload out of lake, rollups and coverage in one transaction, and writes that down; of a
   * quarantined one it only writes down that nothing is to be done about it any more. When a later upload with the same
   * content has a receipt, its content stays in the numbers in that one's name. What was held for what it holds waits to be counted again.
   * @throws NOT_FOUND, UPLOAD_FLOWS_GONE, UPLOAD_STATE (also for one counted by a version that did not note whose flows
   *   are whose)
   */
  withdrawUpload(decision: UploadDecision): Promise<Receipt>
  /** An earlier counted upload of the sensor with this decompressed content; null when there is none. */
  findContent(sensor: string, contentSha256: string): Promise<Receipt | null>

  // --- answers
  /**
   * Answers one of the named questions.
   * @throws QUERY_INVALID, QUERY_RANGE_UNALIGNED, QUERY_RANGE_TOO_WIDE, SENSOR_UNKNOWN (also outside the scope: the
   *   answer must not tell whether it exists)
   */
  query<N extends QueryName>(name: N, parameters: QueryParameters<N>, scope: Scope): Promise<Answer<N>>
  /** Hourly sums of sources, about: what questions have to go through at most. */
  sourceRows(): Promise<number>
  /** Days with data as [since, until) Unix seconds, and uploads per state. */
  overview(scope: Scope): Promise<Overview>
  /** What to look after, a row a sensor, by name. */
  sensorHealth(scope: Scope): Promise<SensorHealth[]>

  // --- upkeep
  /** UTC days that the lake has flows of, Unix seconds of their starts, in order. */
  lakeDays(): Promise<number[]>
  /**
   * Uploads whose flows a UTC day can hold, in the order of their numbers.
   * @returns `numbered` is false when one of them is of a version that did not note whose flows are whose
   */
  uploadsOfDay(day: number): Promise<{ receipts: NumberedReceipt[]; numbered: boolean }>
  /**
   * Makes the flows and rollups of a UTC day again from uploads that are parsed again, and writes that down; coverage
   * and receipts stay. One transaction: the old day or the new one. Files of an upload are read before the next is
   * asked for.
   * @param uploads all of the day
   * @returns flows before and after
   */
  rebuildDay(
    day: number,
    uploads: AsyncIterable<ParsedUpload>,
    actor: string,
  ): Promise<{ before: number; after: number }>
  /** Recomputes the rollups of a UTC day (Unix seconds of its start) from the lake. */
  replaceDay(day: number): Promise<void>
  /** Takes a UTC day out of lake and rollups; its files are unlinked after the commit. */
  dropDay(day: number): Promise<void>
  /**
   * Freezes the numbers: a copy of the catalog as `folder`/catalog.duckdb, and the lake files that it names once more
   * below `folder`/lake, all of one moment. Everything else goes on meanwhile.
   * @param folder exists, on the disk of the data
   */
  snapshot(folder: string): Promise<void>
  /**
   * Merges some small lake files of one day into one. Answers before and after are the same.
   * @param signal ends a step that is under way; then it throws and nothing has happened
   * @returns what was merged; null when nothing is worth it at present
   * @throws STORAGE_FAILED, DISK_FULL; the former once for files that are not as they were written, which then are left out
   */
  compactStep(signal?: AbortSignal): Promise<CompactionStep | null>
  /** Lake files in use that were found damaged since the start; `verify` looks at all. */
  damagedLakeFiles(): Promise<number>
  /**
   * Prepares a day that is over for questions over long ranges; answers before and after are the same.
   * @returns days that were prepared; 0 when nothing is left to do
   */
  closeDays(): Promise<number>
  /**
   * Renews what other programs may read while the hub runs, in the folder `read`, when anything changed.
   * @throws STORAGE_FAILED, DISK_FULL
   */
  renewReadCopy(): Promise<ReadCopyStep>
  /** What `dropExpired` with the same limits would remove. */
  findExpired(limits: ExpiryLimits): Promise<Expired>
  /** Removes flows and hourly sums with coverage before the limits; receipts stay. */
  dropExpired(limits: ExpiryLimits): Promise<void>
  /**
   * Keeps receipts quick to find, however many there are.
   * @returns receipts that were moved on
   */
  mergeReceiptKeys(): Promise<number>
  /**
   * Unlinks lake files and parts of read copies that were replaced some minutes ago.
   * @returns files removed
   */
  removeRetired(): Promise<number>
  close(): Promise<void>
}

export interface CompactionStep {
  /** Unix seconds of the start of the UTC day. */
  readonly day: number
  readonly files: number
  readonly rows: number
}

export interface ReadCopyStep {
  /** False when the one that stands is as good. */
  readonly changed: boolean
  /** Days of tables that were written; the others are as they were. */
  readonly parts_written: number
  readonly lake_files: number
}

/** Unix seconds of the start of a UTC day; what is of an earlier time goes. Null keeps everything. */
export interface ExpiryLimits {
  readonly flows: number | null
  readonly rollups: number | null
}

export interface Expired {
  /** Lake files, with their flows and bytes. */
  readonly file_count: number
  readonly flow_count: number
  readonly byte_count: number
  /** Hours with sums. */
  readonly hour_count: number
}

/** Whose data a caller may see; built into the SQL, never filtered afterwards. */
export type Scope = { readonly sensors: 'all' | readonly string[] }

export interface NewSensor {
  readonly sensor: string
  readonly economy: string
  readonly organisation: string
  /** Prefixes as text, separated by commas. */
  readonly telescope: string
}

/** What is left out stays. */
export type SensorChange = Partial<Omit<NewSensor, 'sensor'>>

export interface SensorRecord extends NewSensor {
  readonly telescope_epoch: number
  readonly ipv4_addr_count: number
  readonly has_ipv6: boolean
  readonly created_at: string
}

/** A receipt with the number of its upload in the lake. */
export type NumberedReceipt = Receipt & { readonly upload_id: number }

export interface NewSensorKey {
  readonly key_id: string
  readonly sensor: string
  /** 32 bytes in base64url. */
  readonly public_key: string
}

export interface TokenRecord {
  readonly token_id: string
  readonly role: TokenRole
  readonly sensor: string | null
}

export interface NewUpload {
  readonly sensor: string
  readonly sha256: string
  readonly kind: UploadKind
  readonly byte_count: number
  /** How the sensor numbered it; absent or null when it does not. */
  readonly sequence?: UploadSequence | null
  /** The sensor's clock minus the hub's. */
  readonly clock_skew_seconds?: number | null
}

export type Reopening = 'accept' | 'retry'

export interface UploadDecision {
  readonly sensor: string
  readonly sha256: string
  /** Who decides, for the audit log. */
  readonly actor: string
}

export interface UploadUsage {
  readonly sensor: string
  /** Received since the time asked for, whatever became of them. */
  readonly upload_count: number
  readonly byte_count: number
  /** Received at any time and not yet counted. */
  readonly pending_count: number
}

export interface ParsedUpload {
  readonly sensor: string
  readonly sha256: string
  readonly content_sha256: string
  /** Set when the content was counted before: then there are no batches, and only the receipt changes. */
  readonly duplicate_of: string | null
  /** Files that our own child wrote. */
  readonly batches: readonly ParsedBatch[]
  readonly packets_read: number
  readonly packets_kept: number
  readonly drops: Readonly<Record<string, number>>
  /** Unix microseconds. */
  readonly first_packet: number | null
  readonly last_packet: number | null
  /** What was damaged, when what could be read is counted all the same. */
  readonly error: { readonly code: string; readonly message: string } | null
}

export interface Overview {
  readonly since: number | null
  readonly until: number | null
  /** All uploads ever received, whatever became of them. */
  readonly received: number
  readonly counted: number
  readonly quarantined: number
  readonly held: number
  readonly withdrawn: number
  readonly geography: string
}
