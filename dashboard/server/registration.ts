import { randomBytes } from 'node:crypto'
import { link, open, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { NewSensor, SensorChange, SensorRecord, Storage } from '../../analytics/storage.ts'
import { formatPrefix, parseTelescope } from '../../schemas/address.ts'
import { LOCAL_ACTOR } from '../../schemas/audit.ts'
import { isSensorId } from '../../schemas/batch.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { type DataFolder, syncFolder } from './data-folder.ts'

const KEY_BYTES = 32
const ORGANISATION_CHARACTERS_MAX = 200

const REGIONS = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' })
/** Codes with a name that are no place: unknown, and two for tests of languages. */
const NO_ECONOMIES: ReadonlySet<string> = new Set(['ZZ', 'XA', 'XB'])

/**
 * Registers a sensor and makes the key that numbers its destinations in raw uploads.
 * @throws SENSOR_ID_INVALID, QUERY_INVALID, ADDRESS_INVALID, SENSOR_EXISTS, PREFIX_OVERLAPS
 */
export async function registerSensor(
  storage: Storage,
  folder: DataFolder,
  sensor: NewSensor,
  actor: string = LOCAL_ACTOR,
): Promise<SensorRecord> {
  if (!isSensorId(sensor.sensor)) {
    throw new TelescopeError(
      'SENSOR_ID_INVALID',
      `sensor "${sensor.sensor}" must be 1 to 32 lower-case letters, digits and inner hyphens`,
      { sensor: sensor.sensor },
    )
  }
  const economy = economyOf(sensor.economy)
  const organisation = organisationOf(sensor.organisation)
  const telescope = parseTelescope(sensor.telescope).map(formatPrefix).join(',')
  // The key first: a sensor without one could never be counted, a key without a sensor harms nobody.
  await makeSensorKey(folder, sensor.sensor)
  return await storage.addSensor({ sensor: sensor.sensor, economy, organisation, telescope }, actor)
}

/**
 * Corrects a registration.
 * @throws SENSOR_UNKNOWN, QUERY_INVALID, ADDRESS_INVALID, PREFIX_OVERLAPS, SENSOR_HAS_UPLOADS
 */
export async function changeRegistration(
  storage: Storage,
  sensor: string,
  { economy, organisation, telescope }: SensorChange,
  actor: string = LOCAL_ACTOR,
): Promise<SensorRecord> {
  const change: SensorChange = {
    ...(economy === undefined ? {} : { economy: economyOf(economy) }),
    ...(organisation === undefined ? {} : { organisation: organisationOf(organisation) }),
    ...(telescope === undefined ? {} : { telescope: parseTelescope(telescope).map(formatPrefix).join(',') }),
  }
  return await storage.changeSensor(sensor, change, actor)
}

function economyOf(text: string): string {
  const economy = text.toUpperCase()
  const known = /^[A-Z]{2}$/.test(economy) && !NO_ECONOMIES.has(economy) && REGIONS.of(economy) !== undefined
  const usual = known ? new Intl.Locale(`und-${economy}`).maximize().region : undefined
  if (known && usual === economy) return economy
  const hint = known ? `; did you mean ${usual}?` : ', such as JP'
  throw new TelescopeError('QUERY_INVALID', `economy "${text}" is not two letters of ISO 3166-1${hint}`, {
    economy: text,
  })
}

function organisationOf(text: string): string {
  const organisation = text.trim()
  if (organisation.length <= ORGANISATION_CHARACTERS_MAX) return organisation
  throw new TelescopeError(
    'QUERY_INVALID',
    `organisation has ${organisation.length} characters, at most ${ORGANISATION_CHARACTERS_MAX} are kept`,
  )
}

/** The sensor's dst_index key, 64 hexadecimal digits. */
export async function readSensorKey(folder: DataFolder, sensor: string): Promise<string> {
  return (await readFile(keyPath(folder, sensor), 'utf8')).trim()
}

async function makeSensorKey(folder: DataFolder, sensor: string): Promise<void> {
  const written = `${keyPath(folder, sensor)}.${randomBytes(4).toString('hex')}`
  const handle = await open(written, 'wx', 0o600)
  try {
    await handle.writeFile(`${randomBytes(KEY_BYTES).toString('hex')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    // Never replaced: with another key the same destination would get another index within one epoch.
    await link(written, keyPath(folder, sensor))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(written)
  }
  await syncFolder(folder.keys)
}

function keyPath(folder: DataFolder, sensor: string): string {
  return join(folder.keys, `${sensor}.key`)
}
