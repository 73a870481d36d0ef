import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configurationPage } from '../schemas/configuration-page.ts'
import { dictionary } from '../schemas/dictionary.ts'

/**
 * `npm run generate` writes the files that derive from the tables; with `--check` it compares instead and exits 1
 * when a committed file is stale.
 */
const GENERATED: Readonly<Record<string, () => string>> = {
  'schemas/DICTIONARY.md': dictionary,
  'docs/CONFIGURATION.md': configurationPage,
}

for (const [name, text] of Object.entries(GENERATED)) {
  // This file runs as dist/bin/generate.js.
  const path = fileURLToPath(new URL(`../../${name}`, import.meta.url))
  if (existsSync(path) && readFileSync(path, 'utf8') === text()) {
    process.stdout.write(`${name} is fresh\n`)
  } else if (process.argv.includes('--check')) {
    process.stderr.write(`${name} is stale; run npm run generate and commit it\n`)
    process.exitCode = 1
  } else {
    writeFileSync(path, text())
    process.stdout.write(`${name} written\n`)
  }
}
