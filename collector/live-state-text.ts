import { TelescopeError } from '../schemas/errors.ts'
import type { CaptureFile } from './capture-files.ts'
import type { ProcessIdentity } from './process-life.ts'

/** How far one capture was read, and the file in which its end was met last. */
export interface CaptureProgress extends CaptureFile {
  /** As identifyCapture tells it. */
  readonly identity: string
  /** Unix seconds of the first packet. */
  readonly firstSeconds: number
  /** Packets from the first on that are counted. */
  readonly packets: number
}

/** The state file as it is written. */
export interface SavedState {
  readonly version: 1
  readonly sensor: string
  /** Who reads; null when it was ended in order. */
  readonly owner: ProcessIdentity | null
  readonly batch: { readonly sha256: string; readonly temporary: string } | null
  readonly captures: readonly CaptureProgress[]
}

const SHA256 = /^[0-9a-f]{64}$/
const DIGITS = /^\d{1,20}$/

/**
 * Reads a state file: a wrong state would count packets twice or never, so nothing in it is taken on trust.
 * @throws STATE_INVALID
 */
export function parseLiveState(text: string, path: string, sensor: string): SavedState {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw invalid(path, `is no JSON (${(error as Error).message})`)
  }
  const state = fields(json)
  if (state['version'] !== 1)
    throw invalid(path, `has version ${JSON.stringify(state['version'])}, this Hirundo reads 1`)
  if (state['sensor'] !== sensor) throw invalid(path, `is of sensor ${JSON.stringify(state['sensor'])}`)
  const captures = state['captures']
  if (!isOwner(state['owner'])) throw invalid(path, 'names no process as owner')
  if (!isBatch(state['batch'], sensor)) throw invalid(path, 'names no batch')
  const wrong = Array.isArray(captures) ? captures.findIndex(capture => !isProgress(capture)) : 0
  if (!Array.isArray(captures) || wrong >= 0) throw invalid(path, `has no capture at place ${wrong + 1} of its list`)
  return json as SavedState
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isOwner(value: unknown): boolean {
  const { pid, started } = fields(value)
  return value === null || (isCount(pid) && pid > 0 && (started === null || isText(started, DIGITS)))
}

/** The name becomes part of a path: nothing but our own may come of it. */
function isBatch(value: unknown, sensor: string): boolean {
  const { sha256, temporary } = fields(value)
  return (
    value === null || (isText(sha256, SHA256) && isText(temporary, new RegExp(`^${sensor}\\.[0-9a-f]{12}\\.live$`)))
  )
}

function isProgress(value: unknown): boolean {
  const { identity, firstSeconds, packets, path, device, inode, bytes, modified } = fields(value)
  return (
    isText(identity, SHA256) &&
    Number.isFinite(firstSeconds) &&
    isCount(packets) &&
    isText(path, /^/) &&
    isText(device, DIGITS) &&
    isText(inode, DIGITS) &&
    isCount(bytes) &&
    isText(modified, /^-?\d{1,20}$/)
  )
}

function isText(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function invalid(path: string, what: string): TelescopeError {
  return new TelescopeError(
    'STATE_INVALID',
    `state ${path}: ${what}; move it away to have all captures read from their beginning, also what is in batches already`,
    { path },
  )
}
