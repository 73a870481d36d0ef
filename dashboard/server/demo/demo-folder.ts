import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { TelescopeError } from '../../../schemas/errors.ts'
import { SCHEMA_VERSION } from '../../../schemas/flow.ts'
import { commandLine } from '../instructions.ts'

/** Raised when a folder that an older demo filled can no longer be used. */
const DEMO_VERSION = `1.${SCHEMA_VERSION}`

interface DemoState {
  readonly version: string
  /** All captures are uploaded and counted: the next start has nothing to do. */
  readonly complete: boolean
  /** Where the demo was last reached, for whoever starts a second one. */
  readonly url: string | null
}

const EMPTY: DemoState = { version: DEMO_VERSION, complete: false, url: null }

/** Where the demo keeps its region: `demo.json` says that the folder is a demo's and how far it has come. */
export class DemoFolder {
  readonly root: string
  /** Data folder of the hub. */
  readonly hub: string
  /** What the simulator writes. */
  readonly region: string
  #state: DemoState

  /**
   * Opens the folder, or makes it.
   * @throws USAGE when it holds something else; DATA_VERSION_UNSUPPORTED; OUTPUT_UNWRITABLE
   */
  constructor(path: string) {
    this.root = resolve(path)
    this.hub = join(this.root, 'hub')
    this.region = join(this.root, 'region')
    const found = readState(this.root)
    if (found === null) refuseForeignFolder(this.root)
    if (found !== null && found.version !== DEMO_VERSION) {
      throw new TelescopeError(
        'DATA_VERSION_UNSUPPORTED',
        `demo data in ${this.root} is of version ${found.version}, this is ${DEMO_VERSION}; make it anew with: ${commandLine('demo', '--reset')}`,
        { path: this.root, found: found.version, expected: DEMO_VERSION },
      )
    }
    this.#state = found ?? EMPTY
    if (found === null) this.update({})
  }

  get state(): DemoState {
    return this.#state
  }

  update(change: Partial<DemoState>): void {
    this.#state = { ...this.#state, ...change }
    writeState(this.root, this.#state)
  }
}

/** `$XDG_DATA_HOME/hirundo/demo`, by default `~/.local/share/hirundo/demo`: one demo a user, wherever it is started. */
export function demoFolderDefault(): string {
  const base = process.env['XDG_DATA_HOME']
  return join(base?.startsWith('/') ? base : join(homedir(), '.local', 'share'), 'hirundo', 'demo')
}

/**
 * Removes what a demo made, and nothing else.
 * @throws USAGE when the folder is not a demo's
 */
export function removeDemo(path: string): void {
  const root = resolve(path)
  if (readState(root) === null) {
    refuseForeignFolder(root)
    return
  }
  for (const part of ['hub', 'region']) rmSync(join(root, part), { recursive: true, force: true })
  // The mark stays, so that an interrupted removal is still a demo's folder.
  writeState(root, EMPTY)
}

function refuseForeignFolder(root: string): void {
  if (!existsSync(root) || readdirSync(root).every(name => name === 'demo.json.partial')) return
  throw new TelescopeError('USAGE', `folder ${root} holds something that is not a demo; choose another with --data`, {
    path: root,
  })
}

function readState(root: string): DemoState | null {
  try {
    return JSON.parse(readFileSync(statePath(root), 'utf8')) as DemoState
  } catch {
    return null
  }
}

function writeState(root: string, state: DemoState): void {
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 })
    writeFileSync(`${statePath(root)}.partial`, `${JSON.stringify(state)}\n`)
    renameSync(`${statePath(root)}.partial`, statePath(root))
  } catch (error) {
    throw new TelescopeError(
      'OUTPUT_UNWRITABLE',
      `demo folder ${root} cannot be written (${(error as NodeJS.ErrnoException).code}); choose another with --data`,
      { path: root },
      error,
    )
  }
}

function statePath(root: string): string {
  return join(root, 'demo.json')
}
