import { statSync } from 'node:fs'
import { join } from 'node:path'
import { TelescopeError } from '../../schemas/errors.ts'
import { readManifest } from './backup-manifest.ts'
import { hashFile } from './hashed-copy.ts'
import { type Finding, verifyData } from './verify-data.ts'

/** Reads every byte of a backup: each file against the manifest, then all of it as data. */
export async function verifyBackup(folder: string, onFile: (path: string) => void): Promise<Finding[]> {
  let manifest: ReturnType<typeof readManifest>
  try {
    manifest = readManifest(folder)
  } catch (error) {
    if (!(error instanceof TelescopeError)) throw error
    return [{ problem: 'damaged', path: 'manifest.json', what: error.message }]
  }
  const findings: Finding[] = []
  const whole = new Set<string>()
  for (const { path, byte_count, sha256 } of manifest.files) {
    onFile(path)
    const file = join(folder, path)
    if (!statSync(file, { throwIfNoEntry: false })) {
      findings.push({ problem: 'missing', path, what: `${byte_count} bytes that the manifest names` })
    } else if (hashFile(file).sha256 !== sha256) {
      findings.push({ problem: 'changed', path, what: 'has another SHA-256 than the manifest says' })
    } else whole.add(path)
  }
  if (!whole.has(manifest.catalog)) return findings
  const found = new Set(findings.map(({ path }) => path))
  const deeper = await verifyData(folder, join(folder, manifest.catalog), onFile, whole)
  return [...findings, ...deeper.filter(({ path }) => !found.has(path))]
}
