import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, normalize, sep } from 'node:path'
import { TelescopeError } from '../../schemas/errors.ts'

/** What a backup holds. It is written last: without it, or with one that does not fit, there is no backup. */
export interface BackupManifest {
  readonly format: typeof FORMAT
  /** Version of the software that wrote it. */
  readonly software: string
  readonly made_at: string
  /** Path of the catalog's copy; it becomes catalog.duckdb. */
  readonly catalog: string
  readonly files: readonly BackupFile[]
}

export interface BackupFile {
  /** Below the folder, with slashes. */
  readonly path: string
  readonly byte_count: number
  readonly sha256: string
}

const FORMAT = 'hirundo-backup-1'
export const MANIFEST_NAME = 'manifest.json'

/** The text of the manifest, with a digest of all else in it as its last member. */
export function manifestText(manifest: Omit<BackupManifest, 'format'>): string {
  const members = { format: FORMAT, ...manifest }
  const sha256 = createHash('sha256').update(JSON.stringify(members)).digest('hex')
  return `${JSON.stringify({ ...members, sha256 }, null, 1)}\n`
}

/** @returns null when the folder holds no manifest at all */
export function findManifest(folder: string): BackupManifest | null {
  return existsSync(join(folder, MANIFEST_NAME)) ? readManifest(folder) : null
}

/** @throws BACKUP_INVALID */
export function readManifest(folder: string): BackupManifest {
  let text: string
  try {
    text = readFileSync(join(folder, MANIFEST_NAME), 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw invalid(folder, `has no ${MANIFEST_NAME} (${code}); it was never finished, or is no backup`)
  }
  const { format, sha256: _, ...members } = parse(folder, text)
  if (format !== FORMAT) throw invalid(folder, `has format "${String(format)}", this version reads "${FORMAT}"`)
  // To the byte: what was changed anywhere does not come out the same.
  if (manifestText(members) !== text) throw invalid(folder, `has a ${MANIFEST_NAME} that was changed`)
  const manifest = { format, ...members }
  // A path that leaves the folder would write anywhere when it is restored.
  const wrong = manifest.files.find(({ path }) => normalize(path).startsWith('..') || path.startsWith(sep))
  if (wrong) throw invalid(folder, `names a path outside of it: ${wrong.path}`)
  return manifest
}

function parse(folder: string, text: string): BackupManifest & { sha256: string } {
  try {
    return JSON.parse(text) as BackupManifest & { sha256: string }
  } catch {
    throw invalid(folder, `has a ${MANIFEST_NAME} that is no JSON`)
  }
}

function invalid(folder: string, what: string): TelescopeError {
  return new TelescopeError('BACKUP_INVALID', `backup ${folder} ${what}`, { path: folder })
}
