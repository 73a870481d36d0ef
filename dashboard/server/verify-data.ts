import { readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CatalogCopy } from '../../analytics/catalog-copy.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { hashFile } from './hashed-copy.ts'
import { walkFiles } from './walk-files.ts'

/** Something that is not as it was written. */
export interface Finding {
  readonly problem: 'missing' | 'changed' | 'damaged'
  /** Below the data folder. */
  readonly path: string
  readonly what: string
}

/** Folders whose files bear their SHA-256 as name. */
const NAMED_BY_DIGEST = ['captures', 'batches', 'inbox/captures', 'inbox/batches', 'inbox/quarantine']
const DIGEST = /^[0-9a-f]{64}$/
const KEY = /^[0-9a-f]{64}\n$/

/**
 * Reads every byte of frozen data and holds it against what was promised: received bytes against their names, lake
 * files against the manifest, receipts against the bytes that they need, the audit log against its chain, sensors against
 * their keys.
 * @param catalog where the catalog's copy lies
 * @param alreadyHashed paths whose digest was held against something better
 */
export async function verifyData(
  root: string,
  catalog: string,
  onFile: (path: string) => void,
  alreadyHashed: ReadonlySet<string> = new Set(),
): Promise<Finding[]> {
  const findings = verifyNames(root, onFile, alreadyHashed)
  let copy: CatalogCopy
  try {
    copy = await CatalogCopy.open(catalog, join(root, 'lake'))
  } catch (error) {
    return [...findings, damagedCatalog(error)]
  }
  try {
    return [...findings, ...(await verifyCatalog(copy, root, onFile, alreadyHashed))]
  } catch (error) {
    return [...findings, damagedCatalog(error)]
  } finally {
    await copy.close()
  }
}

/** A catalog that cannot be read or copied is a finding, too. */
export function damagedCatalog(error: unknown): Finding {
  return { problem: 'damaged', path: 'catalog.duckdb', what: error instanceof Error ? error.message : String(error) }
}

function verifyNames(root: string, onFile: (path: string) => void, skip: ReadonlySet<string>): Finding[] {
  const files = NAMED_BY_DIGEST.flatMap(folder => walkFiles(root, folder))
  return files.flatMap((path): Finding[] => {
    const name = basename(path)
    if (!DIGEST.test(name) || skip.has(path)) return []
    onFile(path)
    const { sha256 } = hashFile(join(root, path))
    return sha256 === name ? [] : [{ problem: 'changed', path, what: `has SHA-256 ${sha256}, and its name is another` }]
  })
}

async function verifyCatalog(
  copy: CatalogCopy,
  root: string,
  onFile: (path: string) => void,
  skip: ReadonlySet<string>,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const readable: { path: string; row_count: number }[] = []
  for (const { path, byte_count, sha256, row_count } of await copy.lakeFiles()) {
    const place = `lake/${path}`
    onFile(place)
    const size = statSync(join(root, place), { throwIfNoEntry: false })?.size
    if (size === undefined) findings.push({ problem: 'missing', path: place, what: 'the manifest names it' })
    else if (size !== byte_count) {
      findings.push({ problem: 'changed', path: place, what: `has ${size} bytes, the manifest says ${byte_count}` })
    } else if (sha256 !== '' && !skip.has(place) && hashFile(join(root, place)).sha256 !== sha256) {
      findings.push({ problem: 'changed', path: place, what: 'has another SHA-256 than the manifest says' })
    } else if (!skip.has(place) || sha256 === '') readable.push({ path, row_count })
  }
  const rows = await copy.rowCounts(readable.map(({ path }) => path))
  for (const { path, row_count } of readable) {
    if (rows.get(path) === row_count) continue
    findings.push({ problem: 'changed', path: `lake/${path}`, what: `has ${rows.get(path)} rows, not ${row_count}` })
  }
  for (const { sensor, sha256, kind, state } of await copy.unsettledReceipts()) {
    const received = `inbox/${kind === 'capture' ? 'captures' : 'batches'}/${sensor}/${sha256}`
    const places = [received, `inbox/quarantine/${sensor}/${sha256}`]
    if (places.some(place => statSync(join(root, place), { throwIfNoEntry: false }))) continue
    findings.push({ problem: 'missing', path: received, what: `its receipt is ${state}, and needs these bytes` })
  }
  const broken = await copy.brokenAudit()
  if (broken !== null) {
    const what = `entry ${broken} of the audit log does not follow from the one before`
    findings.push({ problem: 'changed', path: 'catalog.duckdb', what })
  }
  for (const sensor of await copy.sensors()) findings.push(...verifyKey(root, sensor))
  return findings
}

function verifyKey(root: string, sensor: string): Finding[] {
  const path = `keys/${sensor}.key`
  try {
    if (KEY.test(readFileSync(join(root, path), 'utf8'))) return []
    return [{ problem: 'damaged', path, what: 'is no key of 64 hexadecimal digits' }]
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return [{ problem: 'missing', path, what: `the sensor is registered (${code})` }]
  }
}

/** A storage that cannot be opened at all is reported as what it is, unless somebody else has it. */
export function isDamage(error: unknown): boolean {
  return error instanceof TelescopeError && ['STORAGE_FAILED', 'INTERNAL'].includes(error.code)
}
