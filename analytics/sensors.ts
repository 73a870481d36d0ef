import {
  countIpv4Addresses,
  formatPrefix,
  isIpv4,
  type Prefix,
  parseTelescope,
  prefixesOverlap,
} from '../schemas/address.ts'
import type { AuditNote } from '../schemas/audit.ts'
import { isSensorId } from '../schemas/batch.ts'
import { SENSOR } from '../schemas/catalog.ts'
import type { Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { appendAudit } from './audit.ts'
import type { Database, Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { KeptTable } from './kept-table.ts'
import { receiptState } from './receipts.ts'
import { formatMicroseconds, type PlainRow } from './rows.ts'
import { bind, sql } from './sql.ts'
import type { NewSensor, SensorChange, SensorRecord } from './storage.ts'

/** `ipv4_addr_count` is 32 bits wide; the whole IPv4 space is no telescope anyway. */
const IPV4_ADDRESSES_MAX = 2 ** 32 - 1

const UPLOADS = {
  upload_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Uploads.' },
} as const satisfies Table

/** Registers a sensor. Messages name sensors, never their prefixes. */
export async function addSensor(
  database: Database,
  sensor: NewSensor,
  actor: string,
  nowMicros: number,
): Promise<SensorRecord> {
  const row = sensorRow(sensor, nowMicros)
  await database.transaction(async session => {
    const others = await readSensors(session)
    if (others.some(other => other.sensor === sensor.sensor)) {
      throw new TelescopeError(
        'SENSOR_EXISTS',
        `sensor "${sensor.sensor}" is registered already; hirundo sensor change corrects it`,
        { sensor: sensor.sensor },
      )
    }
    checkDisjoint(row, others)
    await insertRows(session, 'sensor', SENSOR, [row])
    await appendAudit(session, auditOf(actor, 'sensor add', row), nowMicros)
  })
  return sensorRecord(row)
}

/** See Storage.changeSensor. */
export async function changeSensor(
  database: Database,
  sensor: string,
  change: SensorChange,
  actor: string,
  nowMicros: number,
): Promise<SensorRecord> {
  return await database.transaction(async session => {
    const all = await readSensors(session)
    const before = all.find(row => row.sensor === sensor)
    if (!before) {
      throw new TelescopeError('SENSOR_UNKNOWN', `sensor "${sensor}": none of this name is registered`, { sensor })
    }
    const row = sensorRow({ ...before, ...change }, before.created_at)
    if (row.telescope !== before.telescope) {
      checkDisjoint(
        row,
        all.filter(other => other !== before),
      )
      await checkNothingCounted(session, sensor)
    }
    await session.run(
      sql`UPDATE sensor SET economy = ${bind('text', row.economy)}, organisation = ${bind('text', row.organisation)},
        telescope = ${bind('text', row.telescope)}, ipv4_addr_count = ${bind('uint32', row.ipv4_addr_count)},
        has_ipv6 = ${bind('boolean', row.has_ipv6)} WHERE sensor = ${bind('text', sensor)}`,
    )
    const changed = (['economy', 'organisation', 'telescope'] as const).filter(name => row[name] !== before[name])
    const note = auditOf(actor, 'sensor change', row)
    const details = { ...note.details, changed: changed.join(', '), ipv4_addr_count_before: before.ipv4_addr_count }
    await appendAudit(session, { ...note, details }, nowMicros)
    return sensorRecord(row)
  })
}

/** Rates are taken over the addresses of a sensor, and its flows number them: neither may change under what is counted. */
async function checkNothingCounted(session: Session, sensor: string): Promise<void> {
  const [row] = await session.plain(
    UPLOADS,
    sql`SELECT count(*) AS upload_count FROM receipt WHERE sensor = ${bind('text', sensor)}
      AND (state IN (${receiptState('received')}, ${receiptState('held')})
        OR (state = ${receiptState('counted')} AND packet_kept_count > 0))`,
  )
  // Sums outlive what may become of the receipts.
  const [sums] = await session.plain(
    UPLOADS,
    sql`SELECT count(*) AS upload_count FROM sensor_hour WHERE sensor = ${bind('text', sensor)}`,
  )
  if (row!.upload_count === 0 && sums!.upload_count === 0) return
  const what = row!.upload_count === 0 ? 'hourly sums' : `${row!.upload_count} uploads`
  throw new TelescopeError(
    'SENSOR_HAS_UPLOADS',
    `sensor "${sensor}" has ${what} in the numbers or on their way; its prefixes can only change before: withdraw them first (hirundo upload withdraw), or register another sensor`,
    { sensor, uploads: row!.upload_count },
  )
}

function sensorRow(sensor: NewSensor, created_at: number): SensorRow {
  const prefixes = checkSensor(sensor)
  return {
    sensor: sensor.sensor,
    economy: sensor.economy,
    organisation: sensor.organisation,
    telescope: prefixes.map(formatPrefix).join(','),
    telescope_epoch: 1,
    ipv4_addr_count: countIpv4Addresses(prefixes),
    has_ipv6: prefixes.some(prefix => !isIpv4(prefix.first)),
    created_at,
  }
}

function checkDisjoint({ sensor, telescope }: SensorRow, others: readonly SensorRow[]): void {
  const prefixes = parseTelescope(telescope)
  const other = others.find(row => prefixesOverlap(prefixes, parseTelescope(row.telescope)))
  if (!other) return
  throw new TelescopeError(
    'PREFIX_OVERLAPS',
    `telescope of sensor "${sensor}" shares addresses with that of sensor "${other.sensor}"; prefixes must be disjoint`,
    { sensor, other: other.sensor },
  )
}

/** Without the prefixes: they are in no audit row. */
function auditOf(actor: string, action: string, row: SensorRow): AuditNote {
  const { sensor, economy, organisation, ipv4_addr_count, has_ipv6 } = row
  return { actor, action, subject: `sensor ${sensor}`, details: { economy, organisation, ipv4_addr_count, has_ipv6 } }
}

export type SensorRow = PlainRow<typeof SENSOR>

/** By name, in order of their names. */
export function keepSensors(database: Database): KeptTable<SensorRow> {
  return new KeptTable(async () => new Map((await database.read(readSensors)).map(row => [row.sensor, row])))
}

/** In order of their names. */
function readSensors(session: Session): Promise<SensorRow[]> {
  return session.plain(SENSOR, sql`SELECT * FROM sensor ORDER BY sensor`)
}

export function sensorRecord(row: SensorRow): SensorRecord {
  return { ...row, created_at: formatMicroseconds(BigInt(row.created_at)) }
}

function checkSensor(sensor: NewSensor): Prefix[] {
  if (!isSensorId(sensor.sensor)) {
    throw new TelescopeError(
      'SENSOR_ID_INVALID',
      `sensor "${sensor.sensor}" must be 1 to 32 lower-case letters, digits and inner hyphens`,
      { sensor: sensor.sensor },
    )
  }
  if (!/^[A-Z]{2}$/.test(sensor.economy)) {
    throw new TelescopeError('QUERY_INVALID', `economy "${sensor.economy}" is not two capital letters (ISO 3166-1)`, {
      parameter: 'economy',
    })
  }
  const prefixes = parseTelescope(sensor.telescope)
  const count = countIpv4Addresses(prefixes)
  if (count > IPV4_ADDRESSES_MAX) {
    throw new TelescopeError(
      'TELESCOPE_TOO_LARGE',
      `telescope of sensor "${sensor.sensor}" has ${count} IPv4 addresses, at most ${IPV4_ADDRESSES_MAX} are supported`,
      { sensor: sensor.sensor, count },
    )
  }
  return prefixes
}
