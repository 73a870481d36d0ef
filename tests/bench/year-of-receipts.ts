import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Database, type Session } from '../../analytics/database.ts'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { insertRows } from '../../analytics/insert-rows.ts'
import { bind, identifier, join as joinSql, literal, type Sql, sql, typeName } from '../../analytics/sql.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { openDataFolder } from '../../dashboard/server/data-folder.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import { LAKE_FILE } from '../../schemas/catalog.ts'
import { physicalColumns } from '../../schemas/column.ts'
import { LAKE_FLOW } from '../../schemas/flow.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../../schemas/time.ts'

/*
 * The data folder of a hub after a year of 200 sensors that send every five minutes: 21 million receipts, as many
 * listened spans and hourly sums of sensors, and a lake. Rows are made by DuckDB itself, as a hub leaves them.
 */

export const SENSORS = 200
/** Each sensor sends so many: every five minutes of 365 days. */
export const UPLOADS_EACH = 105_120
/** One more, that has not sent anything yet: what it sends in the bench overlaps with nothing. */
export const NEW_SENSOR = `lab-${SENSORS + 1}`
const DAYS = 365
const HOUR = HOUR_SECONDS * MICROSECONDS
const UPLOAD = 300 * MICROSECONDS
/** Of the present hour, Unix microseconds; the year begins 365 days before. */
export const YEAR_END = Math.floor((Date.now() * 1000) / HOUR) * HOUR
const YEAR_START = YEAR_END - DAYS * 24 * HOUR
/** What merging leaves of 42.5 million packets a day: files of three to six million flows. */
const FILES_PER_DAY = 8
/** Of the last day, not merged yet. */
const SMALL_FILES = 200
/** Far fewer rows a file than the manifest says: the flows of the lake are not what is measured here. */
const ROWS_PER_FILE = 500
/** As mergeReceiptKeys leaves them: sorted runs, and the newest with an index. */
const RUN_KEYS = 2 ** 20
/** Rows of a sensor and hour. Traffic itself is measured by `npm run bench hub`; here it is a little. */
const SERVICES_PER_HOUR = 3
const SOURCES_PER_HOUR = 4
const SOURCES = 50_000

export interface YearTokens {
  readonly coordinator: string
  /** Of NEW_SENSOR. */
  readonly sensor: string
}

/** Sensors and tokens, as a coordinator made them when the year began. */
export async function prepareHub(data: string): Promise<YearTokens> {
  const storage = await openStorage({ data, geography: null, now: () => YEAR_START / 1000 })
  const folder = openDataFolder(data)
  for (let index = 1; index <= SENSORS + 1; index++) {
    const telescope = `198.19.${index}.0/24`
    await registerSensor(storage, folder, { sensor: `lab-${index}`, economy: 'JP', organisation: '', telescope })
  }
  const { token: coordinator } = await createToken(storage, { role: 'coordinator' })
  const { token: sensor } = await createToken(storage, { sensor: NEW_SENSOR })
  await storage.close()
  return { coordinator, sensor }
}

/** @param uploads of each sensor, the last ones of the year */
export async function fillYear(data: string, uploads: number): Promise<void> {
  const database = await Database.open({
    path: join(data, 'catalog.duckdb'),
    lake: join(data, 'lake'),
    temporary: join(data, 'tmp'),
    threads: 2,
    memoryLimit: '6GB',
  })
  const fill = (what: Sql) => database.transaction(session => session.run(what))
  const start = bind('int64', YEAR_END - uploads * UPLOAD)
  const rows = bind('int64', SENSORS * uploads)
  const gap = bind('int64', UPLOAD / SENSORS)
  // In the order in which they came. A few were read with remarks, refused, held, withdrawn, or came twice.
  await fill(sql`INSERT INTO receipt BY NAME SELECT 'lab-' || (i % ${bind('int64', SENSORS)} + 1) AS sensor, sha256(i::VARCHAR) AS sha256,
    CASE WHEN i % 50 = 0 THEN 0 ELSE 1 END AS kind,
    CASE WHEN i % 20011 = 0 THEN 3 WHEN i % 30011 = 0 THEN 4 WHEN i % 5003 = 0 THEN 2 ELSE 1 END AS state,
    60000 + r % 15000 AS byte_count, make_timestamp(${start} + (i + 1) * ${gap} - r % 1000) AS received_at,
    CASE WHEN i % 20011 = 0 OR i % 5003 = 0 THEN NULL ELSE make_timestamp(${start} + (i + 1) * ${gap} + 3000000 + r % 1000000) END AS counted_at,
    sha256((-i)::VARCHAR) AS content_sha256, CASE WHEN i % 1009 = 0 THEN sha256((i - 1)::VARCHAR) END AS duplicate_of,
    5900 + r % 500 AS packet_count, 5890 + r % 500 AS packet_kept_count,
    '{"dst_outside_telescope":' || r % 9 || ',"not_ip":1}' AS drops,
    make_timestamp(${start} + (i // ${bind('int64', SENSORS)}) * ${bind('int64', UPLOAD)} + r % 900000) AS first_packet,
    make_timestamp(${start} + (i // ${bind('int64', SENSORS)} + 1) * ${bind('int64', UPLOAD)} - 1 - r % 900000) AS last_packet,
    CASE WHEN i % 5003 = 0 THEN 'BATCH_INVALID' WHEN i % 4001 = 0 THEN 'CAPTURE_TRUNCATED' END AS error_code,
    CASE WHEN i % 5003 = 0 OR i % 4001 = 0 THEN 'upload: ends within a record, at byte ' || r % 60000 END AS error_message,
    i + 1 AS upload_id, substr(sha256((i % ${bind('int64', SENSORS)})::VARCHAR), 1, 8) AS spool,
    i // ${bind('int64', SENSORS)} + 1 AS sequence, (r % 1000) / 1000.0 AS clock_skew_seconds
    FROM (SELECT i, (hash(i) % 1000000000)::BIGINT AS r FROM range(${rows}) AS t(i)) AS numbered`)
  await fill(sql`INSERT INTO upload_spool BY NAME SELECT sensor, spool, max(sequence) AS last_sequence,
    max(sequence) AS oldest_waiting, max(received_at) AS last_at FROM receipt GROUP BY sensor, spool`)
  await fill(sql`INSERT INTO coverage_span BY NAME SELECT sensor, sha256,
    make_timestamp(${start} + (sequence - 1)::BIGINT * ${bind('int64', UPLOAD)}) AS listened_from,
    make_timestamp(${start} + sequence::BIGINT * ${bind('int64', UPLOAD)}) AS listened_to, 0 AS basis,
    packet_kept_count AS packet_count FROM receipt WHERE state = 1 AND duplicate_of IS NULL`)
  const sorted = Math.floor((SENSORS * uploads) / RUN_KEYS) * RUN_KEYS
  for (let from = 0; from < SENSORS * uploads; from += RUN_KEYS) {
    const keys = sql`SELECT ('0x' || sha256[1:16])::UBIGINT AS digest_head, received_at FROM receipt
      WHERE upload_id > ${bind('int64', from)} AND upload_id <= ${bind('int64', from + RUN_KEYS)}`
    await fill(
      from < sorted
        ? sql`INSERT INTO receipt_key ${keys} ORDER BY digest_head`
        : sql`INSERT INTO receipt_key_recent ${keys}`,
    )
  }
  await fillRollups(fill, YEAR_END - uploads * UPLOAD, uploads)
  await fillLake(database, join(data, 'lake'))
  await database.close()
  // As a hub does it each night.
  const storage = await openStorage({ data, geography: null })
  while ((await storage.closeDays()) > 0);
  await storage.close()
}

async function fillRollups(fill: (what: Sql) => Promise<number>, start: number, uploads: number): Promise<void> {
  // One row a counted upload, as counting leaves them.
  await fill(sql`INSERT INTO sensor_hour BY NAME SELECT date_trunc('hour', listened_from) AS bucket_start, sensor,
    4 AS ip_version, packet_count, packet_count * 48 AS byte_count FROM coverage_span`)
  const hours = sql`SELECT make_timestamp(${bind('int64', start)} + h * 3600000000) AS bucket_start, s, 'lab-' || s AS sensor,
    h * ${bind('int64', SENSORS)} + s AS n FROM range(${bind('int64', Math.ceil(uploads / 12))}) AS hours(h),
    range(1, ${bind('int64', SENSORS + 1)}) AS names(s)`
  await fill(sql`INSERT INTO traffic_hour BY NAME SELECT bucket_start, sensor, 4 AS ip_version,
    CASE WHEN k = 2 THEN 1 ELSE 0 END AS class, 6 AS protocol, [23, 445, 80][k + 1] AS service_port,
    24000 + hash(n) % 1000 AS packet_count, (24000 + hash(n) % 1000) * 48 AS byte_count
    FROM (${hours}), range(${bind('int64', SERVICES_PER_HOUR)}) AS kinds(k)`)
  // Sources as IPv4-mapped addresses of 198.18.0.0/16.
  const source = sql`281474087780352 + (hash(n * 10 + k) % ${bind('int64', SOURCES)})::BIGINT`
  const rest = joinSql(
    physicalColumns(LAKE_FLOW)
      .filter(({ name }) => name.endsWith('_count') && !/^(spoof|packet|byte|fragment)_/.test(name))
      .map(({ name }) => sql`${name === 'mirai_count' ? sql`12000` : sql`0`} AS ${identifier(name)}`),
    ', ',
  )
  await fill(sql`INSERT INTO source_hour BY NAME SELECT bucket_start, sensor, 4 AS ip_version,
    CASE WHEN k = 2 THEN 1 ELSE 0 END AS class, 6 AS protocol, [23, 445, 80, 23][k + 1] AS service_port, 0 AS src_addr_high,
    ${source} AS src_addr_low, 12000 + hash(n) % 1000 AS packet_count, 576000 + hash(n) % 48000 AS byte_count, ${rest}
    FROM (${hours}), range(${bind('int64', SOURCES_PER_HOUR)}) AS kinds(k)`)
  await fill(sql`INSERT INTO source_economy BY NAME SELECT 0 AS src_addr_high, 281474087780352 + i AS src_addr_low,
    ['JP', 'TH', 'VN', 'ID', 'CN', 'US'][(hash(i) % 6)::BIGINT + 1] AS economy, 'bench' AS geography
    FROM range(${bind('int64', SOURCES)}) AS t(i)`)
}

/** Files that are there, since a start looks at each. */
async function fillLake(database: Database, lake: string): Promise<void> {
  const session = await database.session()
  const files: { path: string; day: number; byte_count: number; sha256: string; row_count: number }[] = []
  const firstDay = Math.floor(YEAR_START / MICROSECONDS / DAY_SECONDS)
  for (let index = 0; index < DAYS + 1; index++) {
    const day = (firstDay + index) * DAY_SECONDS * MICROSECONDS
    const name = new Date(day / 1000).toISOString().slice(0, 10)
    const folder = join(lake, 'flows', `day=${name}`)
    await mkdir(folder, { recursive: true })
    const small = index === DAYS ? SMALL_FILES : 0
    const made = join(folder, '0.parquet')
    await writeFlows(session, day, made)
    const { size } = await stat(made)
    const sha256 = createHash('sha256')
      .update(await readFile(made))
      .digest('hex')
    for (let file = 0; file < FILES_PER_DAY + small; file++) {
      const path = `flows/day=${name}/${file}.parquet`
      if (file > 0) await copyFile(made, join(lake, path))
      // Large by the manifest, so that they are not merged.
      files.push({ path, day, byte_count: size, sha256, row_count: file < FILES_PER_DAY ? 5_000_000 : ROWS_PER_FILE })
    }
  }
  session.close()
  await database.transaction(writer =>
    insertRows(
      writer,
      'lake_file',
      LAKE_FILE,
      files.map(file => ({ ...file, packet_count: file.row_count, created_at: file.day })),
    ),
  )
}

async function writeFlows(session: Session, day: number, path: string): Promise<void> {
  const given: Record<string, Sql> = {
    sensor: sql`'lab-' || (i % ${bind('int64', SENSORS)} + 1)`,
    interval_start: sql`make_timestamp(${bind('int64', day)} + i * 60000000)`,
    ip_version: sql`4`,
    src_addr_low: sql`281474087780352 + i`,
    protocol: sql`6`,
    service_port: sql`23`,
    packet_count: sql`1`,
    byte_count: sql`48`,
  }
  const columns = physicalColumns(LAKE_FLOW).map(
    ({ name, type }) => sql`(${given[name] ?? sql`0`})::${typeName(type)} AS ${identifier(name)}`,
  )
  await session.run(
    sql`CREATE OR REPLACE TEMP TABLE flows AS SELECT ${joinSql(columns, ', ')} FROM range(${bind('int64', ROWS_PER_FILE)}) AS t(i)`,
  )
  await session.run(sql`COPY flows TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd)`)
}

/** Bytes of all files below a folder. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  let bytes = 0
  for (const entry of entries) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}
