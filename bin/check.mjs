// `npm run check`: the whole truth about a checkout, the same locally and on CI. Types, lint, generated files, tests
// (the structure test is one of them). Runs every part even when one fails, so that one run names all that is wrong.
// `--static` leaves the tests out; other arguments go to vitest.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setup } from './setup.mjs'

setup()
const root = fileURLToPath(new URL('..', import.meta.url))
const bin = name => fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url))
const parts = [
  ['types', [bin('typescript/bin/tsc'), '-p', '.', '--noEmit']],
  ['types of the page', [bin('typescript/bin/tsc'), '-p', 'dashboard/web']],
  ['lint and format', [bin('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.']],
  ['generated files', [fileURLToPath(new URL('../dist/bin/generate.js', import.meta.url)), '--check']],
]
const options = process.argv.slice(2)
if (!options.includes('--static')) parts.push(['tests', [bin('vitest/vitest.mjs'), 'run', ...options]])
const failed = parts.filter(([name, args]) => {
  process.stdout.write(`\n== ${name}\n`)
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status !== 0
})
process.stdout.write(
  failed.length === 0 ? '\ncheck passed\n' : `\ncheck failed: ${failed.map(([name]) => name).join(', ')}\n`,
)
process.exit(failed.length === 0 ? 0 : 1)
