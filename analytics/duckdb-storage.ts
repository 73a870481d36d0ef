import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { LOCAL_ACTOR } from '../schemas/audit.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { appendAudit, listAudit, verifyAudit } from './audit.ts'
import { closeDays } from './closed-days.ts'
import { compactStep } from './compaction.ts'
import { DamagedFiles } from './damaged-files.ts'
import { Database } from './database.ts'
import { dropDay, replaceDay } from './days.ts'
import type { Geography } from './geography.ts'
import { enrol, invite } from './invitations.ts'
import { KeptSpans } from './kept-spans.ts'
import { Lake } from './lake.ts'
import { LastUploads } from './last-uploads.ts'
import { migrate, renewIndexes } from './migrations.ts'
import { answerQuery } from './queries/answer-query.ts'
import { readOverview } from './queries/overview.ts'
import type { QueryContext } from './queries/request.ts'
import { readSensorHealth } from './queries/sensor-health.ts'
import { heldByReadCopy, renewReadCopy } from './read-copy.ts'
import { mergeReceiptKeys } from './receipt-key.ts'
import {
  findContent,
  listReceipts,
  pendingReceipts,
  quarantineReceipt,
  ReceiptWriter,
  readAgain,
  readReceipt,
  waitingReceipts,
} from './receipts.ts'
import { dropExpired, findExpired } from './retention.ts'
import { keepSensorKeys, listSensorKeys, noteKeyUsed, revokeSensorKeys, succeedSensorKey } from './sensor-keys.ts'
import { addSensor, changeSensor, keepSensors, sensorRecord } from './sensors.ts'
import { takeSnapshot } from './snapshot.ts'
import { redoSourceEconomies } from './source-economy.ts'
import { countSourceRows } from './source-rows.ts'
import type { Scope, Storage } from './storage.ts'
import { addToken, keepTokens, listTokens, revokeToken } from './tokens.ts'
import { checkReopening, reopenUpload } from './upload-state.ts'
import { readUploadUsage } from './upload-usage.ts'
import { UsualRates } from './usual-rates.ts'
import { withdrawUpload } from './withdraw.ts'

export interface StorageOptions {
  /** Data folder of the hub; made when missing. */
  readonly data: string
  /** Null leaves the economies of sources as they are: for commands that read beside a hub's own geography. */
  readonly geography: Geography | null
  /** Threads of DuckDB; default half of the processors. */
  readonly threads?: number
  /** Memory of DuckDB with unit; default 1GB. More than that spills to the data folder. */
  readonly memoryLimit?: string
  /** Clock, Unix milliseconds; default Date.now. */
  readonly now?: () => number
}

/** Folder of the read copy below the data folder. */
const READ = 'read'

/**
 * Half of the processors. Receipts, parsing and the page need some, too; and to share one statement among threads costs
 * up to as much processor time as the statement itself.
 */
const THREADS_DEFAULT = Math.max(1, Math.floor(availableParallelism() / 2))
const HOUR_MICROS = 3_600_000_000
const MEMORY_LIMIT_DEFAULT = '1GB'

/**
 * Opens the embedded storage: the catalog in DuckDB, the lake in Parquet, both below the data folder.
 * @throws DATA_IN_USE when another process has it open; STORAGE_FAILED
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  mkdirSync(join(options.data, 'lake'), { recursive: true })
  mkdirSync(join(options.data, 'tmp'), { recursive: true })
  const data = realpathSync(options.data)
  const openedAt = Date.now()
  const database = await Database.open({
    path: join(data, 'catalog.duckdb'),
    lake: join(data, 'lake'),
    temporary: join(data, 'tmp'),
    threads: options.threads ?? THREADS_DEFAULT,
    memoryLimit: options.memoryLimit ?? MEMORY_LIMIT_DEFAULT,
  })
  const clock = options.now ?? Date.now
  const nowMicros = () => Math.round(clock() * 1000)
  const lake = await prepare(database, data, nowMicros(), openedAt).catch(async error => {
    await database.close()
    throw error
  })
  const receipts = new ReceiptWriter(database, nowMicros)
  const damaged = new DamagedFiles(database, lake)
  const { geography } = options
  const sensors = keepSensors(database)
  const tokens = keepTokens(database)
  const keys = keepSensorKeys(database)
  const spans = new KeptSpans()
  const usualRates = new UsualRates()
  const lastUploads = new LastUploads()
  let changing: Promise<unknown> = Promise.resolve()
  /** What changes lake files reads them first, long before its transaction: one such work at a time, in order. */
  const changeLake = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = changing.then(work)
    changing = turn.catch(() => {})
    return turn
  }
  const changeHours = <T>(work: () => Promise<T>): Promise<T> =>
    changeLake(() => spans.changing(() => usualRates.changing(work)))
  let renewing: Promise<unknown> = Promise.resolve()
  let economies: Promise<number> | null = null
  // Once, before anything rests on economies, and not at opening: a command that only adds a sensor leaves them alone.
  const economiesReady = () => {
    if (geography !== null) economies ??= redoSourceEconomies(database, geography)
    return economies
  }
  const ask = async <T>(scope: Scope, work: (context: QueryContext) => Promise<T>): Promise<T> => {
    await economiesReady()
    const now = Math.floor(clock() / 1000)
    return lake.read(() =>
      database.question(async session => {
        const views = { spans: spans.view(), usualRates: usualRates.view(nowMicros()) }
        // No older than the snapshot, which then has no rows of a sensor that is not among them.
        const known = [...(await sensors.rows()).values()]
        return await work({ session, lake, lastUploads, now, scope, sensors: known, ...views })
      }),
    )
  }
  return {
    changeSensor: (sensor, change, actor = LOCAL_ACTOR) =>
      sensors.changing(() => changeSensor(database, sensor, change, actor, nowMicros())),
    addSensor: (sensor, actor = LOCAL_ACTOR) => sensors.changing(() => addSensor(database, sensor, actor, nowMicros())),
    listSensors: async () => [...(await sensors.rows()).values()].map(sensorRecord),
    async findSensor(sensor) {
      const row = await sensors.find(sensor)
      return row && sensorRecord(row)
    },
    addToken: (token, actor = LOCAL_ACTOR) => tokens.changing(() => addToken(database, token, actor, nowMicros())),
    findToken: sha256 => tokens.find(sha256),
    listTokens: () => listTokens(database),
    revokeToken: (id, actor = LOCAL_ACTOR) => tokens.changing(() => revokeToken(database, id, actor, nowMicros())),
    invite: ({ hours, ...invitation }, actor = LOCAL_ACTOR) =>
      invite(database, { ...invitation, expiresAtMicros: nowMicros() + hours * HOUR_MICROS }, actor, nowMicros()),
    enrol: (codeSha256, key) => keys.changing(() => enrol(database, codeSha256, key, nowMicros())),
    findSensorKey: keyId => keys.find(keyId),
    listSensorKeys: sensor => listSensorKeys(database, sensor),
    succeedSensorKey: (keyId, next) => keys.changing(() => succeedSensorKey(database, keyId, next, nowMicros())),
    noteKeyUsed: keyId => keys.changing(() => noteKeyUsed(database, keyId, nowMicros())),
    revokeSensorKeys: (sensor, keyId, actor = LOCAL_ACTOR) =>
      keys.changing(() => tokens.changing(() => revokeSensorKeys(database, sensor, keyId, actor, nowMicros()))),
    audit: note => database.transaction(session => appendAudit(session, note, nowMicros())),
    listAudit: limit => database.read(session => listAudit(session, limit)),
    verifyAudit: () => database.read(verifyAudit),
    findReceipt: (sensor, sha256) => database.read(session => readReceipt(session, sensor, sha256)),
    recordReceived: upload => receipts.record(upload),
    listReceipts: filter => listReceipts(database, filter),
    readAgain: receipts => readAgain(database, receipts),
    pending: limit => pendingReceipts(database, limit),
    uploadUsage: since => readUploadUsage(database, since),
    waiting: () => waitingReceipts(database),
    quarantine: (sensor, sha256, error) => quarantineReceipt(database, sensor, sha256, error),
    findContent: (sensor, contentSha256) => database.read(session => findContent(session, sensor, contentSha256)),
    countGroup(uploads) {
      if (geography === null) throw new TelescopeError('INTERNAL', 'storage: counting needs a geography')
      const engine = { database, lake, geography, sensors, spans, usualRates, nowMicros }
      return changeLake(async () => {
        await economiesReady()
        // Node remembers a module that it could not read: only a new process can count then.
        const { countGroup } = await import('./count-group.ts').catch(error => {
          throw database.fail(error)
        })
        await countGroup(engine, uploads)
      })
    },
    checkReopening: (action, upload) => checkReopening(database, action, upload),
    reopenUpload: (action, decision) => reopenUpload(database, action, decision, nowMicros()),
    withdrawUpload: decision => changeHours(() => withdrawUpload({ database, lake, damaged, nowMicros }, decision)),
    query: (name, parameters, scope) => ask(scope, context => answerQuery(name, context, parameters)),
    sourceRows: () => countSourceRows(database),
    overview: scope => ask(scope, context => readOverview(context, geography?.name ?? '')),
    lakeDays: () => database.read(async session => (await import('./rebuild.ts')).lakeDays(session)),
    uploadsOfDay: day => database.read(async session => (await import('./rebuild.ts')).uploadsOfDay(session, day)),
    rebuildDay: (day, uploads, actor) =>
      changeHours(async () => {
        const { rebuildDay } = await import('./rebuild.ts')
        return await rebuildDay({ database, lake, sensors, nowMicros }, day, uploads, actor)
      }),
    replaceDay: day => changeHours(() => replaceDay(database, lake, day)),
    dropDay: day => changeHours(() => dropDay(database, lake, day)),
    async closeDays() {
      const closed = await changeLake(() => closeDays(database, nowMicros()))
      if (closed === 0) {
        const names = [...(await sensors.rows()).keys()]
        await database.question(async session => {
          const [listened, rates] = [spans.view(), usualRates.view(nowMicros())]
          await listened.readFirst(session, names)
          await rates.read(session, names)
        })
      }
      return closed
    },
    compactStep: signal => changeLake(() => compactStep(database, lake, damaged, nowMicros(), signal)),
    damagedLakeFiles: () => damaged.count(),
    renewReadCopy() {
      const turn = renewing.then(() => renewReadCopy(database, lake, join(data, READ), Date.now(), nowMicros()))
      renewing = turn.catch(() => {})
      return turn
    },
    findExpired: limits => findExpired(database, limits),
    dropExpired: limits => changeHours(() => dropExpired(database, lake, limits)),
    mergeReceiptKeys: () => mergeReceiptKeys(database),
    removeRetired: () => lake.unlinkRetired(),
    snapshot: folder => takeSnapshot(database, lake, folder),
    sensorHealth: scope => ask(scope, readSensorHealth),
    async close() {
      await Promise.all([changing, renewing])
      await database.close()
    },
  }
}

/** Brings catalog and lake to where work can begin. */
async function prepare(database: Database, data: string, nowMicros: number, openedAt: number): Promise<Lake> {
  const isChanged = await migrate(database, nowMicros)
  if (isChanged || database.foundLog) {
    const session = await database.session()
    await renewIndexes(session).finally(() => session.close())
  }
  const lake = new Lake(join(data, 'lake'), database)
  lake.hold(heldByReadCopy(join(data, READ)))
  // What is committed later is only as durable as the names of the folders and files that it lies in.
  for (const folder of [join(data, 'lake'), data]) syncFolder(folder)
  await lake.sweep(openedAt)
  return lake
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
