import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UPLOAD_KINDS, type UploadKind } from '../../schemas/catalog.ts'
import { syncFolder } from './data-folder.ts'

/**
 * What is durable of an upload that is not finished: `ID.part` holds its bytes, `ID.json` how many of them count.
 * Bytes beyond that were never announced, and after a crash of the machine nobody knows what is in them.
 */
export interface UploadState {
  /** 32 hexadecimal digits that cannot be guessed. */
  readonly id: string
  readonly sensor: string
  readonly kind: UploadKind
  /** Bytes that the hub has promised not to ask for again. */
  readonly offset: number
  /** Bytes of the whole upload, once they were announced. */
  readonly length: number | null
  /** Digest of the whole upload, once it was announced. */
  readonly sha256: string | null
  /** It has its receipt, and there is no `.part` any more. */
  readonly complete: boolean
  /** Unix milliseconds. */
  readonly progressAt: number
}

export function partPath(folder: string, { sensor, id }: Pick<UploadState, 'sensor' | 'id'>): string {
  return join(folder, sensor, `${id}.part`)
}

function statePath(folder: string, { sensor, id }: Pick<UploadState, 'sensor' | 'id'>): string {
  return join(folder, sensor, `${id}.json`)
}

/** Replaces the state on disk; when it resolves, the new one is durable. The folder must be there. */
export async function writeState(folder: string, state: UploadState): Promise<void> {
  const path = statePath(folder, state)
  const temporary = `${path}.${randomUUID()}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(JSON.stringify(state))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
  await syncFolder(dirname(path))
}

/** Takes an upload off the disk: first what names it, so that a crash in between leaves bytes that nobody asks for. */
export async function removeState(folder: string, state: Pick<UploadState, 'sensor' | 'id'>): Promise<void> {
  await unlink(statePath(folder, state)).catch(ignoreMissing)
  await unlink(partPath(folder, state)).catch(ignoreMissing)
  await syncFolder(join(folder, state.sensor)).catch(ignoreMissing)
}

/** All states below the folder, and removes what belongs to none. */
export async function readStates(folder: string): Promise<UploadState[]> {
  const states: UploadState[] = []
  for (const sensor of await readdir(folder)) {
    const known = new Set<string>()
    const names = await readdir(join(folder, sensor))
    for (const name of names.filter(name => name.endsWith('.json'))) {
      const state = parseState(await readFile(join(folder, sensor, name), 'utf8'), sensor, name.slice(0, -5))
      if (state === null) continue
      states.push(state)
      known.add(name)
      if (!state.complete) known.add(`${state.id}.part`)
    }
    for (const name of names.filter(name => !known.has(name))) await unlink(join(folder, sensor, name))
  }
  return states
}

function parseState(text: string, sensor: string, id: string): UploadState | null {
  let state: UploadState
  try {
    state = JSON.parse(text) as UploadState
  } catch {
    return null
  }
  const isOurs = state.sensor === sensor && state.id === id && UPLOAD_KINDS.includes(state.kind)
  return isOurs && Number.isSafeInteger(state.offset) ? state : null
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
