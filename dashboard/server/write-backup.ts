import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { TelescopeError } from '../../schemas/errors.ts'
import { type BackupFile, type BackupManifest, findManifest, MANIFEST_NAME, manifestText } from './backup-manifest.ts'
import { copyHashed, hashFile, syncFolderNow, unwritable } from './hashed-copy.ts'
import { SOFTWARE_VERSION } from './package-root.ts'
import { walkFiles } from './walk-files.ts'

/** Says from the first file on that the folder is ours, also when the backup was never finished. */
const MARK_NAME = 'hirundo-backup'
/** Named by their bytes, or by chance and never written again; what bears such a name with the same size is the same. */
const IMMUTABLE = /^(lake|captures|batches)\/|^inbox\/(captures|batches)\/|^inbox\/quarantine\/.*[0-9a-f]{64}$/

interface BackupSummary {
  readonly files: number
  readonly bytes: number
  readonly files_copied: number
  readonly bytes_copied: number
  /** Of an earlier backup in the folder, and no longer in the data. */
  readonly files_removed: number
}

/**
 * Copies frozen data to a folder: only what is not there yet. Bytes are copied and never linked, so that damage to the
 * one does not reach the other. An earlier backup in the folder stays good until the new manifest is durable.
 * @param frozen see snapshot.ts
 * @throws BACKUP_INVALID when the folder holds something else; DISK_FULL, OUTPUT_UNWRITABLE
 */
export function writeBackup(frozen: string, target: string, onFile: (path: string) => void): BackupSummary {
  const earlier = openTarget(target)
  const known = new Map(earlier?.files.map(file => [file.path, file]))
  const files: BackupFile[] = []
  const copied = { files: 0, bytes: 0 }
  const folders = new Set<string>()
  // Known by its digest: the one that an earlier manifest names is not written over.
  const catalog = `catalog-${hashFile(join(frozen, 'catalog.duckdb')).sha256.slice(0, 16)}.duckdb`
  for (const source of walkFiles(frozen)) {
    const path = source === 'catalog.duckdb' ? catalog : source
    onFile(path)
    const there = join(target, path)
    const { size } = statSync(join(frozen, source))
    const before = known.get(path)
    const isThere = IMMUTABLE.test(path) && sizeOf(there) === size
    if (isThere && before?.byte_count === size) {
      files.push(before)
      continue
    }
    const hashed = isThere ? sameAs(there, join(frozen, source)) : null
    if (hashed !== null) {
      files.push({ path, ...hashed })
      continue
    }
    files.push({ path, ...copyHashed(join(frozen, source), there, null) })
    folders.add(dirname(there))
    copied.files++
    copied.bytes += size
  }
  for (const folder of foldersUpTo(folders, target)) syncFolderNow(folder)
  writeManifest(target, { software: SOFTWARE_VERSION, made_at: new Date().toISOString(), catalog, files })
  return {
    files: files.length,
    bytes: files.reduce((sum, { byte_count }) => sum + byte_count, 0),
    files_copied: copied.files,
    bytes_copied: copied.bytes,
    files_removed: removeOthers(target, new Set(files.map(({ path }) => path))),
  }
}

/** @returns what an earlier backup in the folder holds; null when there is none that is whole */
function openTarget(target: string): BackupManifest | null {
  try {
    mkdirSync(target, { recursive: true, mode: 0o700 })
    const names = readdirSync(target)
    if (names.length > 0 && !names.includes(MARK_NAME)) {
      throw new TelescopeError(
        'BACKUP_INVALID',
        `backup folder ${target} holds other files; name an empty or a new folder, or one of an earlier backup`,
        { path: target },
      )
    }
    writeFileSync(join(target, MARK_NAME), 'Backup of a Hirundo hub; hirundo restore reads it.\n', { mode: 0o600 })
  } catch (error) {
    throw unwritable(target, error)
  }
  try {
    return findManifest(target)
  } catch (error) {
    // A damaged manifest is no reason to have no backup: all is copied again.
    if (error instanceof TelescopeError && error.code === 'BACKUP_INVALID') return null
    throw error
  }
}

/** Of a backup that was not finished: both are read, since nobody has written down what the one there should be. */
function sameAs(there: string, source: string): { byte_count: number; sha256: string } | null {
  const hashed = hashFile(there)
  return hashed.sha256 === hashFile(source).sha256 ? hashed : null
}

function sizeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.size ?? null
}

function foldersUpTo(folders: ReadonlySet<string>, top: string): Set<string> {
  const all = new Set([top])
  for (const folder of folders) for (let made = folder; made.length > top.length; made = dirname(made)) all.add(made)
  return all
}

/** One rename: before it the earlier backup stands, after it the new one. */
function writeManifest(target: string, manifest: Omit<BackupManifest, 'format'>): void {
  const path = join(target, MANIFEST_NAME)
  try {
    writeFileSync(`${path}.part`, manifestText(manifest), { mode: 0o600, flush: true })
    renameSync(`${path}.part`, path)
    syncFolderNow(target)
  } catch (error) {
    throw unwritable(path, error)
  }
}

function removeOthers(target: string, named: ReadonlySet<string>): number {
  const kept = new Set([MARK_NAME, MANIFEST_NAME])
  const others = walkFiles(target).filter(path => !named.has(path) && !kept.has(path))
  for (const path of others) rmSync(join(target, path), { force: true })
  return others.filter(path => !existsSync(join(target, path))).length
}
