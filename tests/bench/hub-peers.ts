import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { RecordBatchReader } from 'apache-arrow'
import { ColumnAppender, type FixedWidthArray } from '../../analytics/append.ts'
import { Database } from '../../analytics/database.ts'
import { columnDefinitions, sql } from '../../analytics/sql.ts'
import { type PhysicalColumn, physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import '../support/arrow-codec.ts'

/*
 * What others take to insert the flows of batches: a plain table of the same DuckDB, and ClickHouse. Neither checks
 * the values, finds repetitions, sums hours, or keeps what came; ClickHouse syncs nothing to the disk either.
 */

const COLUMNS = physicalColumns(FLOW)
/** ClickHouse takes a moment to begin, longer on a busy machine. */
const START_SECONDS_MAX = 60
/** As in the files of the lake. */
const ORDER = 'src_addr_high, src_addr_low, protocol, service_port, interval_start, dst_index'

const WIDTHS: Partial<Record<PhysicalColumn['type'], { readonly bytes: number; readonly clickhouse: string }>> = {
  uint8: { bytes: 1, clickhouse: 'UInt8' },
  uint16: { bytes: 2, clickhouse: 'UInt16' },
  uint32: { bytes: 4, clickhouse: 'UInt32' },
  uint64: { bytes: 8, clickhouse: 'UInt64' },
  bits64: { bytes: 8, clickhouse: 'UInt64' },
  timestamp_us: { bytes: 8, clickhouse: 'Int64' },
}

/** The record batches of a file: columns in the order of FLOW. */
async function* recordBatches(path: string): AsyncGenerator<{ rows: number; columns: FixedWidthArray[] }> {
  const reader = await RecordBatchReader.from(createReadStream(path, { highWaterMark: 4 * 2 ** 20 }))
  await reader.open()
  const places = COLUMNS.map(({ name }) => reader.schema.fields.findIndex(field => field.name === name))
  for await (const { numRows, data } of reader) {
    const columns = places.map(place => {
      const { values, length } = data.children[place]!
      return (values as FixedWidthArray).subarray(0, length)
    })
    yield { rows: numRows, columns }
  }
}

/**
 * Inserts batches into a plain table, with the driver, the appender and the chunks of the hub, in one transaction.
 * @returns seconds until the table was in its file
 */
export async function insertIntoDuckdb(folder: string, batches: readonly string[]): Promise<number> {
  const options = { path: join(folder, 'plain.duckdb'), lake: folder, temporary: folder }
  const database = await Database.open({ ...options, threads: 2, memoryLimit: '1GB' })
  const session = await database.session()
  await session.run(sql`CREATE TABLE flow (${columnDefinitions(FLOW)})`)
  const started = performance.now()
  await database.transaction(async () => {
    const appender = await ColumnAppender.open(session, { name: 'flow', temporary: false }, COLUMNS)
    for (const path of batches) {
      for await (const { rows, columns } of recordBatches(path)) appender.append(columns, rows)
    }
    appender.close()
  }, session)
  await session.run(sql`CHECKPOINT`)
  const seconds = (performance.now() - started) / 1000
  session.close()
  await database.close()
  await rm(options.path)
  return seconds
}

/**
 * The rows of batches one behind the other as ClickHouse takes them.
 * @returns rows
 */
export async function writeRowBinary(batches: readonly string[], path: string): Promise<number> {
  const widths = COLUMNS.map(({ type }) => WIDTHS[type]!.bytes)
  const rowBytes = widths.reduce((sum, bytes) => sum + bytes, 0)
  const out = createWriteStream(path)
  let written = 0
  for (const batch of batches) {
    for await (const { rows, columns } of recordBatches(batch)) {
      const target = new Uint8Array(rows * rowBytes)
      let offset = 0
      for (const [index, width] of widths.entries()) {
        const column = columns[index]!
        const source = new Uint8Array(column.buffer, column.byteOffset, column.byteLength)
        for (let row = 0, from = 0, to = offset; row < rows; row++, to += rowBytes - width) {
          for (let byte = 0; byte < width; byte++) target[to++] = source[from++]!
        }
        offset += width
      }
      written += rows
      if (!out.write(target)) await once(out, 'drain')
    }
  }
  out.end()
  await once(out, 'close')
  return written
}

/** A server of its own in a folder, on a port that was free. */
export class ClickHouse {
  readonly #child: ChildProcess
  readonly #port: number

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.#port = port
  }

  static async start(folder: string): Promise<ClickHouse> {
    await mkdir(folder)
    const [http, tcp] = [await freePort(), await freePort()]
    const config = join(folder, 'config.xml')
    await writeFile(config, configuration(folder, http, tcp))
    const server = spawn('clickhouse-server', [`--config-file=${config}`], { cwd: folder, stdio: 'ignore' })
    const clickhouse = new ClickHouse(server, http)
    for (const end = Date.now() + START_SECONDS_MAX * 1000; ; ) {
      const answer = await clickhouse.ask('SELECT 1').catch(() => null)
      if (answer === '1\n') return clickhouse
      if (Date.now() > end || server.exitCode !== null) {
        await clickhouse.stop()
        throw new Error(`clickhouse-server did not answer within ${START_SECONDS_MAX} s`)
      }
      await new Promise(resolve => setTimeout(resolve, 200))
    }
  }

  /**
   * Inserts a file of rows into an empty table.
   * @returns seconds until it answered
   */
  async insert(path: string, rows: number): Promise<number> {
    await this.ask('DROP TABLE IF EXISTS flow', '')
    const columns = COLUMNS.map(({ name, type }) => `${name} ${WIDTHS[type]!.clickhouse}`).join(', ')
    await this.ask(`CREATE TABLE flow (${columns}) ENGINE = MergeTree() ORDER BY (${ORDER})`, '')
    const started = performance.now()
    await this.ask(`INSERT INTO flow (${names()}) FORMAT RowBinary`, path)
    const seconds = (performance.now() - started) / 1000
    const counted = Number(await this.ask('SELECT count() FROM flow'))
    if (counted !== rows) throw new Error(`clickhouse holds ${counted} rows, ${rows} were sent`)
    return seconds
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }

  /** @param path body of the request; an empty one makes it a command, none a question */
  private async ask(query: string, path?: string): Promise<string> {
    const length = path ? (await stat(path)).size : 0
    return await new Promise((resolve, reject) => {
      const call = request(
        {
          port: this.#port,
          host: '127.0.0.1',
          path: `/?query=${encodeURIComponent(query)}`,
          method: path === undefined ? 'GET' : 'POST',
          headers: path === undefined ? {} : { 'content-length': length },
        },
        async response => {
          let text = ''
          for await (const piece of response) text += piece
          if (response.statusCode === 200) resolve(text)
          else reject(new Error(`clickhouse: ${text.slice(0, 300)}`))
        },
      )
      call.on('error', reject)
      if (path) createReadStream(path, { highWaterMark: 2 ** 20 }).pipe(call)
      else call.end()
    })
  }
}

function names(): string {
  return COLUMNS.map(({ name }) => name).join(', ')
}

function configuration(folder: string, http: number, tcp: number): string {
  return `<yandex>
  <logger><level>warning</level><log>${folder}/server.log</log><errorlog>${folder}/error.log</errorlog></logger>
  <http_port>${http}</http_port><tcp_port>${tcp}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>${folder}/data/</path><tmp_path>${folder}/tmp/</tmp_path><mark_cache_size>67108864</mark_cache_size>
  <users_config>config.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
  <profiles><default></default></profiles>
  <users><default><password></password><networks><ip>::1</ip><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
  <quotas><default></default></quotas>
</yandex>
`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
