import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Registers what is to be done at the end: of the test, or of whatever the caller says. */
export type AtEnd = (clean: () => void | Promise<void>) => void

/** An empty folder that is removed when the test ends; in a hook, which is no test, say when. */
export function temporaryFolder(atEnd: AtEnd = onTestFinished): string {
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
