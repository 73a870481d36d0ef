import {
  countIpv4Addresses,
  formatPrefix,
  isIpv4,
  type Prefix,
  parseTelescope,
  prefixesOverlap,
} from '../schemas/address.ts'
import { isSensorId } from '../schemas/batch.ts'
import { SENSOR } from '../schemas/catalog.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { appendAudit } from './audit.ts'
import type { Database, Session } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { KeptTable } from './kept-table.ts'
import { formatMicroseconds, type PlainRow } from './rows.ts'
import { sql } from './sql.ts'
import type { NewSensor, SensorRecord } from './storage.ts'

/** `ipv4_addr_count` is 32 bits wide; the whole IPv4 space is no telescope anyway. */
const IPV4_ADDRESSES_MAX = 2 ** 32 - 1

/** Registers a sensor. Messages name sensors, never their prefixes. */
export async function addSensor(
  database: Database,
  sensor: NewSensor,
  actor: string,
  nowMicros: number,
): Promise<SensorRecord> {
  const prefixes = checkSensor(sensor)
  const row = {
    sensor: sensor.sensor,
    economy: sensor.economy,
    organisation: sensor.organisation,
    telescope: prefixes.map(formatPrefix).join(','),
    telescope_epoch: 1,
    ipv4_addr_count: countIpv4Addresses(prefixes),
    has_ipv6: prefixes.some(prefix => !isIpv4(prefix.first)),
    created_at: nowMicros,
  }
  await database.transaction(async session => {
    for (const other of await readSensors(session)) {
      if (other.sensor === sensor.sensor) {
        throw new TelescopeError('SENSOR_EXISTS', `sensor "${sensor.sensor}" is registered already`, {
          sensor: sensor.sensor,
        })
      }
      if (prefixesOverlap(prefixes, parseTelescope(other.telescope))) {
        throw new TelescopeError(
          'PREFIX_OVERLAPS',
          `telescope of sensor "${sensor.sensor}" shares addresses with that of sensor "${other.sensor}"; prefixes must be disjoint`,
          { sensor: sensor.sensor, other: other.sensor },
        )
      }
    }
    await insertRows(session, 'sensor', SENSOR, [row])
    const { economy, organisation, ipv4_addr_count, has_ipv6 } = row
    const details = { economy, organisation, ipv4_addr_count, has_ipv6 }
    await appendAudit(session, { actor, action: 'sensor add', subject: `sensor ${row.sensor}`, details }, nowMicros)
  })
  return sensorRecord(row)
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
