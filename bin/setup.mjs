// Makes a checkout runnable with nothing but Node and npm: installs from the lockfile when node_modules is missing or
// stale, builds when a source is newer than the last build. Runs before anything is installed, so it imports only
// node: modules.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const INSTALLED = join(ROOT, 'node_modules/.installed')
const BUILT = join(ROOT, 'dist/.built')
const LOCK = join(ROOT, '.setup-lock')
const SOURCES = [
  'analytics',
  'bin',
  'collector',
  'dashboard',
  'fixtures',
  'schemas',
  'tests',
  'package.json',
  'tsconfig.json',
  'vite.config.ts',
]
/** Other starts wait this long for one that installs and builds; a lock older than that was left by a killed one. */
const LOCK_SECONDS_MAX = 180

function fail(message) {
  process.stderr.write(`hirundo: ${message}\n`)
  process.exit(1)
}

function run(what, command, args) {
  // The output of a tool belongs on stderr: stdout is the command's own, and may be read by a script.
  const { status, error } = spawnSync(command, args, {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (error || status !== 0) fail(`${what} failed (${error ? error.message : `exit status ${status}`})`)
}

function lockfileDigest() {
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package-lock.json')))
  return hash.update(`${process.versions.node.split('.')[0]} ${process.platform} ${process.arch}`).digest('hex')
}

function isInstalled() {
  return existsSync(INSTALLED) && readFileSync(INSTALLED, 'utf8') === lockfileDigest()
}

function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return 0
  // A folder's own time changes when a file is removed or renamed.
  if (!stat.isDirectory()) return stat.mtimeMs
  return readdirSync(path).reduce((time, name) => Math.max(time, newest(join(path, name))), stat.mtimeMs)
}

function isBuilt() {
  const built = statSync(BUILT, { throwIfNoEntry: false })
  return built !== undefined && SOURCES.every(source => newest(join(ROOT, source)) <= built.mtimeMs)
}

function install() {
  process.stderr.write('hirundo: installing packages from the lockfile …\n')
  run('npm ci', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  writeFileSync(INSTALLED, lockfileDigest())
}

function build() {
  process.stderr.write('hirundo: building …\n')
  // Sources that change while the build runs must count as newer than it.
  const started = new Date()
  const bin = name => join(ROOT, 'node_modules', name)
  // Types are the business of `npm run check`; a start only needs the code.
  run('tsc', process.execPath, [bin('typescript/bin/tsc'), '-p', '.', '--noCheck'])
  run('vite build', process.execPath, [bin('vite/bin/vite.js'), 'build', '--logLevel', 'warn'])
  mkdirSync(join(ROOT, 'dist'), { recursive: true })
  writeFileSync(BUILT, '')
  utimesSync(BUILT, started, started)
}

function withLock(work) {
  for (;;) {
    try {
      closeSync(openSync(LOCK, 'wx'))
      break
    } catch (error) {
      if (error.code === 'EROFS' || error.code === 'EACCES')
        fail(`${ROOT} must be writable for the first start (${error.code})`)
      if (error.code !== 'EEXIST') throw error
      const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
      if (age > LOCK_SECONDS_MAX * 1000) rmSync(LOCK, { force: true })
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  }
  const release = () => rmSync(LOCK, { force: true })
  process.once('exit', release)
  try {
    work()
  } finally {
    release()
    process.removeListener('exit', release)
  }
}

/** Installs and builds what is missing; quick when nothing is. An installed package has its build and no sources. */
export function setup({ force = false } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19))
    fail(`Node ${process.versions.node} is too old; 20.19 or newer is needed`)
  if (!existsSync(join(ROOT, 'tsconfig.json'))) return
  if (!force && isInstalled() && isBuilt()) return
  withLock(() => {
    if (!isInstalled()) install()
    if (force || !isBuilt()) build()
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) setup({ force: process.argv.includes('--build') })
