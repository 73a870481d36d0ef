import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ABOVE = fileURLToPath(new URL('../../', import.meta.url))
/** The root of the checkout, with a slash at the end. Vitest runs this file from the sources, `npm run` from dist/. */
export const ROOT = existsSync(`${ABOVE}package.json`) ? ABOVE : join(ABOVE, '../')

/** Real captures that lie beside the project on some machines. */
export const SHARED_CAPTURES = fileURLToPath(new URL('../../../shared/captures/', import.meta.url))

/**
 * Whether a test may run that needs something outside the project. Absent parts skip the test visibly on a developer's
 * machine; where `CI` is set they are a failure, so that no suite is ever skipped silently there.
 */
export function requireExternal(name: string, present: boolean): boolean {
  if (!present && process.env['CI']) throw new Error(`${name} is missing, and CI must have it`)
  return present
}

/** True when the command can be started. */
export function hasCommand(command: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
}

/**
 * Where a package is that is too large to come with every clone: in the folder HIRUNDO_TEST_TOOLS, to which
 * `npm install --prefix` brought it, or in node_modules.
 * @returns null when it is in neither
 */
export function findPackage(name: string): string | null {
  const tools = process.env['HIRUNDO_TEST_TOOLS']
  for (const folder of tools ? [tools, ROOT] : [ROOT]) {
    try {
      return createRequire(join(folder, '/')).resolve(name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return null
}

export function hasSharedCaptures(): boolean {
  return existsSync(`${SHARED_CAPTURES}MANIFEST.tsv`)
}
