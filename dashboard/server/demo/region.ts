import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TelescopeError } from '../../../schemas/errors.ts'
import { builtFile } from '../package-root.ts'

/** What the demo needs of the simulator's truth.json. */
export interface Region {
  readonly folder: string
  /** Packets relative to the realistic rate. */
  readonly scale: number
  /** The day after the last, `2026-11-22`. */
  readonly end: string
  readonly sensors: readonly {
    readonly id: string
    readonly name: string
    readonly economy: string
    readonly prefixes: readonly string[]
  }[]
  readonly captures: readonly {
    readonly sensor: string
    readonly day: string
    /** Below the folder, with forward slashes. */
    readonly path: string
  }[]
  readonly stories: readonly { readonly protocol: string | null; readonly port: number | null }[]
}

/** A finished simulation; null when there is none. The simulator writes truth.json last. */
export function readRegion(folder: string): Region | null {
  const path = join(folder, 'truth.json')
  if (!existsSync(path)) return null
  return { ...(JSON.parse(readFileSync(path, 'utf8')) as Omit<Region, 'folder'>), folder }
}

/**
 * Simulates the region in a process of its own, as a user would.
 * @param stop ends it early
 * @returns null when it was stopped
 */
export async function simulateRegion(folder: string, days: number, stop: Promise<unknown>): Promise<Region | null> {
  const options = ['--scenario', 'demo', '--out', folder, '--days', String(days)]
  const child = spawn(process.execPath, [builtFile('bin', 'main.js'), 'simulate', ...options], {
    stdio: ['ignore', 'ignore', process.stderr.isTTY ? 'inherit' : 'pipe'],
  })
  let stopped = false
  void stop.then(() => {
    stopped = true
    child.kill('SIGTERM')
  })
  let problems = ''
  child.stderr?.on('data', data => {
    problems += data
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  // Ctrl-C reaches the simulator by itself, perhaps before it reaches us.
  if (status === null) await Promise.race([stop, new Promise(resolve => setTimeout(resolve, 500))])
  if (stopped) return null
  const region = status === 0 ? readRegion(folder) : null
  if (region === null) {
    throw new TelescopeError(
      'OUTPUT_UNWRITABLE',
      `region could not be simulated in ${folder}: ${problems.trim() || `exit status ${status}`}`,
    )
  }
  return region
}
