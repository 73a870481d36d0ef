import { existsSync, readdirSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../support/external.ts'
import { damagedInputs, outcomeText } from './damaged.ts'
import { runFiles, type ShardReport } from './run-shard.ts'

// Goal: an input that was once taken wrongly is never again. Method: each file of fixtures/damaged goes through the
// targets that its note names, in a process that is watched, and comes to what the note says. `npm run golden` does not
// write these: what is expected of damage is for a person to decide. A failing case that `npm run fuzz` has kept there
// fails here until it is mended and its note says what it must come to.

const WORKER = `${ROOT}dist/tests/fuzz/worker.js`
const inputs = damagedInputs(ROOT)
const files = inputs.flatMap(({ name, path, note }) => note.targets.map(target => ({ name, target, path, note })))

describe('damaged inputs', () => {
  let report: ShardReport
  beforeAll(async () => {
    if (!existsSync(WORKER)) throw new Error(`${WORKER} is not built; run: npm run build`)
    report = await runFiles(files, { root: ROOT, worker: WORKER })
  }, 120_000)

  it('are there, each with its note', () => {
    expect(inputs.length).toBeGreaterThan(20)
    const notes = readdirSync(`${ROOT}fixtures/damaged`).filter(name => name.endsWith('.json'))
    expect(notes.map(name => name.slice(0, -5)).sort()).toEqual(inputs.map(({ name }) => name))
    expect(files.length).toBeGreaterThanOrEqual(inputs.length)
  })

  it.each(files.map((file, place) => ({ ...file, place })))('$name, $target', ({ place, target, note, path }) => {
    const failure = report.failures.find(({ number }) => number === place)
    expect(failure?.what, path).toBeUndefined()
    expect(outcomeText(target, report.fileOutcomes.get(place)!)).toBe(note.expected[target])
  })
})
