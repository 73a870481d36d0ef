import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json: the same from the sources and from dist/. */
const PACKAGE_ROOT = findPackageRoot(dirname(fileURLToPath(import.meta.url)))

/** Version of the software, as package.json says. */
export const SOFTWARE_VERSION = String(
  (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: unknown }).version,
)

/** A built file; children of the process and the web page are run and served from there. */
export function builtFile(...path: string[]): string {
  return join(PACKAGE_ROOT, 'dist', ...path)
}

function findPackageRoot(folder: string): string {
  const parent = dirname(folder)
  return existsSync(join(folder, 'package.json')) || parent === folder ? folder : findPackageRoot(parent)
}
