import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { TelescopeError } from '../../schemas/errors.ts'
import { readManifest } from './backup-manifest.ts'
import { copyHashed, syncFolderNow, unwritable } from './hashed-copy.ts'

/**
 * Makes a data folder of a backup. It appears as a whole, with every file held against the manifest, or not at all.
 * @param data must not be there, or be empty
 * @throws BACKUP_INVALID, OUTPUT_UNWRITABLE, DISK_FULL
 */
export function restoreBackup(
  folder: string,
  data: string,
  onFile: (path: string) => void,
): { files: number; bytes: number } {
  const manifest = readManifest(folder)
  const target = resolve(data)
  if (existsSync(target) && readdirSync(target).length > 0) {
    throw new TelescopeError(
      'OUTPUT_UNWRITABLE',
      `data folder ${target} is not empty; restore to a new one, so that nothing is lost`,
      { path: target },
    )
  }
  // Beside the target, so that it only has to be renamed.
  const making = join(dirname(target), `.${basename(target)}.restoring-${process.pid}`)
  const folders = new Set([making])
  let bytes = 0
  try {
    mkdirSync(making, { recursive: true, mode: 0o700 })
    for (const file of manifest.files) {
      onFile(file.path)
      const source = join(folder, file.path)
      if (!existsSync(source)) {
        throw new TelescopeError('BACKUP_INVALID', `backup file ${source} is missing; take another backup`, {
          path: source,
        })
      }
      const to = join(making, file.path === manifest.catalog ? 'catalog.duckdb' : file.path)
      copyHashed(source, to, file)
      for (let made = dirname(to); made.length >= making.length; made = dirname(made)) folders.add(made)
      bytes += file.byte_count
    }
    for (const made of folders) syncFolderNow(made)
    rmSync(target, { recursive: true, force: true })
    renameSync(making, target)
    syncFolderNow(dirname(target))
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    throw unwritable(target, error)
  }
  return { files: manifest.files.length, bytes }
}
