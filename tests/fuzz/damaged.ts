import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import type { CaseFailure } from './shard.ts'
import type { Outcome } from './targets.ts'

/**
 * fixtures/damaged: one file for each input that was once taken wrongly, or that shows a quirk, and beside it a JSON
 * file of the same name that says what it is and what must come of it.
 */

const FOLDER = 'fixtures/damaged/'
const INPUT = '.bin'

export interface DamagedNote {
  /** Targets that the input is replayed on. */
  readonly targets: readonly string[]
  /** What is odd about the input, and what went wrong with it. */
  readonly why: string
  /** By target, as `outcomeText` says it; missing until the defect is mended. */
  readonly expected: Readonly<Record<string, string>>
}

export interface DamagedInput {
  readonly name: string
  readonly path: string
  readonly notePath: string
  readonly note: DamagedNote
}

/** @param root of the checkout, with a slash at the end */
export function damagedInputs(root: string): DamagedInput[] {
  const folder = root + FOLDER
  return readdirSync(folder)
    .filter(name => name.endsWith(INPUT))
    .sort()
    .map(file => {
      const name = file.slice(0, -INPUT.length)
      const notePath = join(folder, `${name}.json`)
      return {
        name,
        path: join(folder, file),
        notePath,
        note: JSON.parse(readFileSync(notePath, 'utf8')) as DamagedNote,
      }
    })
}

/**
 * An outcome as a note has it: the error code or "good", and packets. The reasons of drops are told for frames alone,
 * and not whether packets are for the telescope: the other targets draw their options, which say nothing of the input.
 */
export function outcomeText(target: string, { code, packets, drops }: Outcome): string {
  const told = code === null || code === 'CAPTURE_OFF_TELESCOPE' ? 'good' : code
  const reasons = target === 'decode' ? DROP_REASON_NAMES.filter((_, reason) => (drops[reason] ?? 0) > 0) : []
  const dropped = reasons.length === 0 ? '' : `, dropped as ${reasons.join(', ')}`
  return `${told}, packets: ${packets}${dropped}`
}

function writeNote(path: string, note: DamagedNote): void {
  writeFileSync(path, `${JSON.stringify(note, null, 2)}\n`)
}

/**
 * Keeps the input of a failing case until its defect is mended and it has a name by its quirk.
 * @returns the file, from the root of the checkout
 */
export function keepFailure(root: string, failure: CaseFailure, seed: number): string {
  const input = Buffer.from(failure.input, 'base64')
  const digest = createHash('sha256').update(input).digest('hex').slice(0, 8)
  const file = `${FOLDER}${failure.target}-${digest}`
  mkdirSync(root + FOLDER, { recursive: true })
  writeFileSync(`${root}${file}${INPUT}`, input)
  const why = `seed ${seed}, case ${failure.number}: ${failure.what.slice(0, 300)}; made of ${failure.made}`
  writeNote(`${root}${file}.json`, { targets: [failure.target], why, expected: {} })
  return `${file}${INPUT}`
}
