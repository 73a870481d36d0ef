import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Paths of all files below a folder, relative to it and in order; nothing when it is not there. */
export function walkFiles(root: string, below = ''): string[] {
  let entries: import('node:fs').Dirent[]
  try {
    entries = readdirSync(join(root, below), { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(entry => {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      return entry.isDirectory() ? walkFiles(root, path) : entry.isFile() ? [path] : []
    })
}
