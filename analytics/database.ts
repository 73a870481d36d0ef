import { existsSync } from 'node:fs'
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBMaterializedResult,
  type DuckDBPreparedStatement,
  DuckDBTimestampValue,
  type DuckDBType,
  type DuckDBValue,
  LIST,
  listValue,
  TIMESTAMP,
  UBIGINT,
  UINTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api'
import type { PhysicalColumn, Row, Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { apiRows, type PlainRow, plainRows, type ResultColumns } from './rows.ts'
import { type BoundValue, literal, renderSql, type Sql, type SqlScalar, sql } from './sql.ts'

/**
 * The catalog as one process holds it: readers side by side, one writer at a time, and a failure that is final stays
 * final. With `rows.ts` and `append.ts` the only place that knows the driver.
 */

interface DatabaseOptions {
  /** Catalog file; opened or made. */
  readonly path: string
  /** Folder that COPY and read_parquet may touch; everything else outside the catalog is refused by DuckDB itself. */
  readonly lake: string
  /** Folder for what does not fit into memory. */
  readonly temporary: string
  readonly threads: number
  /** With unit, `1GB`. */
  readonly memoryLimit: string
  /** Opens a copy that nobody writes to, and leaves every byte of it as it is. */
  readonly readOnly?: boolean
}

/**
 * Questions at once; each uses all threads, so that more would only share them. What a receipt waits for has sessions of
 * its own: it takes milliseconds, and must not stand behind what takes seconds. (All run on the four threads of libuv:
 * two questions and a group leave it one.)
 */
const QUESTIONS_MAX = 2
const SHORT_READS_MAX = 4

/**
 * Catalogs that this process has open. Its own check, because file locks do not part one process from itself; and a
 * second open and close would drop the lock that keeps others out (POSIX record locks).
 */
const openPaths = new Set<string>()

export class Database {
  readonly #instance: DuckDBInstance
  readonly #path: string
  readonly #questions = new SessionPool(QUESTIONS_MAX, () => this.session())
  readonly #shortReads = new SessionPool(SHORT_READS_MAX, () => this.session())
  readonly #writers = new SessionPool(1, () => this.session())
  #writing: Promise<unknown> = Promise.resolve()
  /** A commit that something follows, until both are done; and how many have been. */
  #committing: Promise<void> | null = null
  #commits = 0
  #failure: TelescopeError | null = null
  readonly #reading = new Set<Promise<unknown>>()
  #closing: Promise<void> | null = null

  /** A process that was killed had left its log beside the catalog. */
  readonly foundLog: boolean

  private constructor(instance: DuckDBInstance, path: string, foundLog: boolean) {
    this.#instance = instance
    this.#path = path
    this.foundLog = foundLog
  }

  /** @throws DATA_IN_USE, STORAGE_FAILED */
  static async open(options: DatabaseOptions): Promise<Database> {
    const { path } = options
    if (openPaths.has(path)) throw dataInUse(path, 'this process')
    openPaths.add(path)
    const foundLog = existsSync(`${path}.wal`)
    try {
      const instance = await DuckDBInstance.create(path, {
        threads: String(options.threads),
        memory_limit: options.memoryLimit,
        ...(options.readOnly ? { access_mode: 'READ_ONLY' } : {}),
        temp_directory: options.temporary,
        // Files of a group are read within a second and never again; what was read of them would stay until nothing
        // else found room.
        enable_external_file_cache: 'false',
        // A hub fetches no code from the network.
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
      })
      const database = new Database(instance, path, foundLog)
      const session = await database.session()
      await session.run(sql`SET allowed_directories = [${literal(options.lake)}]`)
      await session.run(sql`SET enable_external_access = false`)
      await session.run(sql`SET lock_configuration = true`)
      session.close()
      return database
    } catch (error) {
      openPaths.delete(path)
      const message = error instanceof Error ? error.message : String(error)
      if (message.includes('Could not set lock')) {
        throw dataInUse(path, /PID \d+/.exec(message)?.[0] ?? 'another process', error)
      }
      throw new TelescopeError(
        'STORAGE_FAILED',
        `catalog ${path} cannot be opened: ${oneLine(message)}`,
        { fatal: true },
        error,
      )
    }
  }

  /** A connection of its own, for work that keeps temporary tables; close it. */
  async session(): Promise<Session> {
    this.#assertAlive()
    return new Session(await this.#instance.connect(), error => this.wrap(error))
  }

  /** Runs short reads on one consistent snapshot. */
  read<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#reads(this.#shortReads, session => onSnapshot(session, work))
  }

  /**
   * Runs reads that may take long on one consistent snapshot. When the work begins, what is done after commits has been
   * done for all commits that the snapshot holds, and for no others.
   */
  question<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#reads(this.#questions, async session => {
      for (;;) {
        await this.#committing
        const commits = this.#commits
        const answer = await onSnapshot(session, async () => {
          // DuckDB takes the snapshot when the first statement reads.
          await session.run(sql`SELECT number FROM migration LIMIT 0`)
          return this.#committing === null && commits === this.#commits ? { value: await work(session) } : null
        })
        if (answer) return answer.value
      }
    })
  }

  async #reads<T>(pool: SessionPool, work: (session: Session) => Promise<T>): Promise<T> {
    this.#assertAlive()
    const reading = pool.use(work)
    this.#reading.add(reading)
    try {
      return await reading
    } finally {
      this.#reading.delete(reading)
    }
  }

  /** Rows of one statement, for use inside: a snapshot by itself, and a third of the statements of `read`. */
  plain<T extends Table>(table: T, query: Sql): Promise<PlainRow<T>[]> {
    return this.#reads(this.#shortReads, session => session.plain(table, query))
  }

  /** Rows of one statement, as the API shows them. */
  api<T extends Table>(table: T, query: Sql): Promise<Row<T>[]> {
    return this.#reads(this.#shortReads, session => session.api(table, query))
  }

  /**
   * Runs a transaction; one at a time, in the order of the calls. When it resolves the changes are durable.
   * @param session where the transaction runs, when the work needs its temporary tables; else one of the pool
   * @throws what `work` throws, after a rollback; STORAGE_FAILED when the commit itself fails, and from then on always
   */
  async transaction<T>(work: (session: Session) => Promise<T>, session?: Session): Promise<T> {
    const turn = this.#writing.then(async () => {
      this.#assertAlive()
      const write = (writer: Session) => this.#commit(writer, work)
      return await (session ? write(session) : this.#writers.use(write))
    })
    this.#writing = turn.catch(() => {})
    return turn
  }

  async #commit<T>(writer: Session, work: (session: Session) => Promise<T>): Promise<T> {
    await writer.run(sql`BEGIN TRANSACTION`)
    let result: T
    try {
      result = await work(writer)
    } catch (error) {
      writer.takeFollowing()
      await writer.run(sql`ROLLBACK`).catch(failure => this.fail(failure))
      throw error
    }
    const following = writer.takeFollowing()
    const committing = this.#endCommit(writer, following)
    // Questions only wait for its end; the error goes to whoever commits, and `fail` keeps it for all who come after.
    if (following.length > 0) this.#committing = committing.catch(() => {})
    await committing
    return result
  }

  async #endCommit(writer: Session, following: readonly (() => void)[]): Promise<void> {
    try {
      // After a commit that failed nobody knows what is on disk; only reading it back at a restart tells.
      await writer.run(sql`COMMIT`).catch(failure => {
        throw this.fail(failure)
      })
      try {
        for (const follow of following) follow()
      } catch (error) {
        // What is in memory is of no state of the catalog any more.
        throw this.fail(error)
      }
    } finally {
      if (following.length > 0) this.#commits++
      this.#committing = null
    }
  }

  /** Marks the storage as failed for good: nothing that it acknowledges could be relied on any more. */
  fail(cause: unknown): TelescopeError {
    const message = cause instanceof Error ? cause.message : String(cause)
    this.#failure ??= new TelescopeError(
      'STORAGE_FAILED',
      `storage failed and must be opened again: ${oneLine(message)}`,
      { fatal: true },
      cause,
    )
    return this.#failure
  }

  /** A driver error as ours; a defect in a statement is a bug, all else the machine. */
  wrap(error: unknown): TelescopeError {
    if (error instanceof TelescopeError) return error
    const message = error instanceof Error ? error.message : String(error)
    if (/^(FATAL|INTERNAL) Error|database has been invalidated/.test(message)) return this.fail(error)
    if (/No space left on device|ENOSPC/.test(message)) {
      return new TelescopeError('DISK_FULL', `storage is full: ${oneLine(message)}`, {}, error)
    }
    // Errors of the file system come from Node with the name of the call.
    if (/^(IO|Out of Memory|Interrupt) Error/.test(message) || (error instanceof Error && 'syscall' in error)) {
      return new TelescopeError('STORAGE_FAILED', `storage: ${oneLine(message)}`, { fatal: false }, error)
    }
    return new TelescopeError('INTERNAL', `statement failed: ${oneLine(message)}`, {}, error)
  }

  /** Waits for writer and readers, then closes; the catalog file is then complete without its log. */
  close(): Promise<void> {
    this.#closing ??= this.#closeWhenIdle()
    return this.#closing
  }

  async #closeWhenIdle(): Promise<void> {
    await this.#writing
    await Promise.allSettled([...this.#reading])
    for (const pool of [this.#questions, this.#shortReads, this.#writers]) pool.close()
    this.#instance.closeSync()
    openPaths.delete(this.#path)
  }

  #assertAlive(): void {
    if (this.#failure) throw this.#failure
    if (this.#closing) throw new TelescopeError('NOT_READY', 'storage is closed')
  }
}

/** Sessions that are used in turn and kept, with the statements that they have prepared. */
class SessionPool {
  readonly #max: number
  readonly #open: () => Promise<Session>
  readonly #idle: Session[] = []
  readonly #waiting: ((session: Session) => void)[] = []
  #count = 0

  constructor(max: number, open: () => Promise<Session>) {
    this.#max = max
    this.#open = open
  }

  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#take()
    try {
      return await work(session)
    } finally {
      const next = this.#waiting.shift()
      if (next) next(session)
      else this.#idle.push(session)
    }
  }

  /** None may be in use. */
  close(): void {
    for (const session of this.#idle) session.close()
  }

  async #take(): Promise<Session> {
    const idle = this.#idle.pop()
    if (idle) return idle
    if (this.#count < this.#max) {
      this.#count++
      return this.#open()
    }
    return new Promise(resolve => this.#waiting.push(resolve))
  }
}

async function onSnapshot<T>(session: Session, work: (session: Session) => Promise<T>): Promise<T> {
  await session.run(sql`BEGIN TRANSACTION READ ONLY`)
  try {
    return await work(session)
  } finally {
    await session.run(sql`ROLLBACK`)
  }
}

/** Statements that a session keeps prepared: to plan one takes about as long as to run it. */
const PREPARED_MAX = 64

/** One connection; statements on it run one after another. */
export class Session {
  readonly connection: DuckDBConnection
  readonly #wrap: (error: unknown) => TelescopeError
  /** By their text, the one used last at the end. */
  readonly #following: (() => void)[] = []
  readonly #prepared = new Map<string, DuckDBPreparedStatement>()

  constructor(connection: DuckDBConnection, wrap: (error: unknown) => TelescopeError) {
    this.connection = connection
    this.#wrap = wrap
  }

  /** What is done when the transaction that is under way has been committed, before any question sees it. */
  afterCommit(follow: () => void): void {
    this.#following.push(follow)
  }

  takeFollowing(): readonly (() => void)[] {
    return this.#following.splice(0)
  }

  /** @returns rows changed */
  async run(query: Sql): Promise<number> {
    return (await this.#execute(query)).rowsChanged
  }

  /** Rows for use inside. */
  async plain<T extends Table>(table: T, query: Sql): Promise<PlainRow<T>[]> {
    return plainRows(table, await this.#columns(query))
  }

  /** Rows as the API shows them. */
  async api<T extends Table>(table: T, query: Sql): Promise<Row<T>[]> {
    return apiRows(table, await this.#columns(query))
  }

  close(): void {
    // Prepared statements go with it.
    this.connection.closeSync()
  }

  async #columns(query: Sql): Promise<ResultColumns> {
    const result = await this.#execute(query)
    try {
      // A result without rows has no columns for the driver.
      const columns = await result.getColumns()
      return Object.fromEntries(result.columnNames().map((name, index) => [name, columns[index] ?? []]))
    } catch (error) {
      throw this.#wrap(error)
    }
  }

  async #execute(query: Sql): Promise<DuckDBMaterializedResult> {
    const text = renderSql(query)
    try {
      // Without bound values it is run once, or names files that no other names.
      if (query.values.length === 0) return await this.connection.run(text)
      const statement = await this.#prepare(text)
      try {
        statement.bind(...bindings(query))
        return await statement.run()
      } finally {
        this.#keep(text, statement)
      }
    } catch (error) {
      throw this.#wrap(error)
    }
  }

  /** Taken out of what is kept: whoever runs the same statement meanwhile prepares another. */
  async #prepare(text: string): Promise<DuckDBPreparedStatement> {
    const kept = this.#prepared.get(text)
    this.#prepared.delete(text)
    return kept ?? (await this.connection.prepare(text))
  }

  #keep(text: string, statement: DuckDBPreparedStatement): void {
    this.#prepared.get(text)?.destroySync()
    this.#prepared.set(text, statement)
    if (this.#prepared.size <= PREPARED_MAX) return
    const [oldest, unused] = this.#prepared.entries().next().value!
    this.#prepared.delete(oldest)
    unused.destroySync()
  }
}

const DRIVER_TYPES: Record<BoundValue['type'], DuckDBType> = {
  uint8: UTINYINT,
  uint16: USMALLINT,
  uint32: UINTEGER,
  uint64: UBIGINT,
  bits64: UBIGINT,
  int64: BIGINT,
  float64: DOUBLE,
  boolean: BOOLEAN,
  text: VARCHAR,
  timestamp_us: TIMESTAMP,
}

/** The driver's type of a physical column. */
export function duckdbDriverType(type: PhysicalColumn['type']): DuckDBType {
  return DRIVER_TYPES[type === 'json' ? 'text' : type]
}

function bindings(query: Sql): [DuckDBValue[], DuckDBType[]] {
  return [
    query.values.map(({ type, list, value }) => {
      if (value === null) return null
      if (list)
        return listValue(
          (value as readonly (SqlScalar | null)[]).map(item => (item === null ? null : scalar(type, item))),
        )
      return scalar(type, value as SqlScalar)
    }),
    query.values.map(({ type, list }) => (list ? LIST(DRIVER_TYPES[type]) : DRIVER_TYPES[type])),
  ]
}

function scalar(type: BoundValue['type'], value: SqlScalar): DuckDBValue {
  if (type === 'uint64' || type === 'bits64' || type === 'int64') return BigInt(value)
  if (type === 'timestamp_us') return new DuckDBTimestampValue(BigInt(value))
  return value
}

function dataInUse(path: string, owner: string, cause?: unknown): TelescopeError {
  return new TelescopeError(
    'DATA_IN_USE',
    `data folder of ${path} is in use by ${owner}; ask the running hub instead, or stop it first`,
    { path, owner },
    cause,
  )
}

function oneLine(message: string): string {
  return message.replaceAll(/\s+/g, ' ').trim().slice(0, 500)
}
